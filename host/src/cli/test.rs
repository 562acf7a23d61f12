//! `carya test`: serves the application of a project on throw-away databases, and runs the project's tests against it.
//! The tests find the application at `CARYA_TEST_URL`, and the control at `CARYA_TEST_CONTROL`.

use std::{ffi::OsString, path::Path, process::ExitStatus, sync::Arc};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::{
    dev::{Builder, list, print},
    signals::Signals,
};
use crate::{
    app::{self, Application, format_error},
    config::{self, Config, Dialect},
    generation::Files,
    server::connections::Connections,
    telemetry::{self, Format},
    testing::{self, Control, Lanes, PrivateServer, Product, Scratch},
    watch::{Filter, Places, Watcher},
};

/// The tests ran, and failed.
#[derive(Debug, thiserror::Error)]
#[error("the tests failed: `{command}` ended with {status}")]
pub(super) struct Failed {
    command: String,
    status: ExitStatus,
}

impl Failed {
    /// Returns the exit code of the tests, or 1 if a signal ended them.
    pub(super) fn code(&self) -> u8 {
        self.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

/// Options of the command.
#[derive(Debug)]
pub(super) struct Options {
    /// The command that runs the tests; empty for that of the configuration.
    pub(super) command: Vec<OsString>,
    /// Servers to start.
    pub(super) start: Vec<Product>,
    /// Whether the databases stay.
    pub(super) keep: bool,
    /// Whether the tests run again after each change.
    pub(super) watch: bool,
}

/// Builds the components, serves the application, and runs the tests.
///
/// # Errors
///
/// [`Failed`] if the tests ran and failed.
pub(super) async fn test(path: &Path, format: Format, options: &Options) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let config = config::load(path)?;
    telemetry::start(format, &config.test.log_filter, config.log);
    let (_, name) = command(&config, &options.command)?;
    for product in &options.start {
        product.check_needed(&config)?;
    }
    let starting = async {
        let mut servers = Vec::new();
        for product in &options.start {
            servers.push(PrivateServer::start(*product, &config).await?);
        }
        Ok(servers)
    };
    let Some(servers) = signals.unless_ended(starting).await? else { return Ok(()) };
    let started: Vec<_> = servers.iter().map(PrivateServer::url).collect();
    let tested = if options.watch {
        repeat(path, config, options, &started, &mut signals).await
    } else {
        once(path, config, options, &started, &mut signals).await
    };
    for server in servers {
        server.end().await;
    }
    match tested? {
        None => bail!("a signal ended the tests"),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failed { command: name, status }.into()),
    }
}

/// Runs the tests on new databases. Returns `None` if a signal ended them.
async fn once(
    path: &Path,
    config: Config,
    options: &Options,
    started: &[(Dialect, String)],
    signals: &mut Signals,
) -> anyhow::Result<Option<ExitStatus>> {
    let (command, name) = command(&config, &options.command)?;
    let making = Scratch::new(&config, started, options.keep);
    let Some(scratch) = signals.unless_ended(making).await? else { return Ok(None) };
    let scratch = Arc::new(scratch);
    let ended = run(path, config, &scratch, command, &name, signals).await;
    scratch.end().await;
    ended
}

/// Runs the tests, and again after each change to a source, until a signal ends them.
async fn repeat(
    path: &Path,
    mut config: Config,
    options: &Options,
    started: &[(Dialect, String)],
    signals: &mut Signals,
) -> anyhow::Result<Option<ExitStatus>> {
    let mut watcher = Watcher::new()?;
    let mut sources = Files::default();
    loop {
        watcher.follow(places(&config));
        sources = sources_of(&config, &sources);
        match once(path, config, options, started, signals).await {
            Ok(None) => return Ok(None),
            Ok(Some(status)) => print(&format!("the tests ended with {status}; waiting for a change\n")),
            Err(error) => print(&format!("not tested: {}\nwaiting for a change\n", format_error(&error))),
        }
        config = loop {
            let changing = async {
                watcher.changed().await;
                Ok(())
            };
            let Some(()) = signals.unless_ended(changing).await? else { return Ok(None) };
            let config = match config::load(path) {
                Ok(config) => config,
                Err(problems) => {
                    print(&format!("not tested: {problems}\nwaiting for a change\n"));
                    continue;
                }
            };
            // The tests themselves, and the builds, may have written files.
            let now = sources_of(&config, &sources);
            let changed: Vec<_> = sources.changed(&now).into_iter().map(Path::to_owned).collect();
            if !changed.is_empty() {
                print(&format!("{} changed\n", list(&changed)));
                break config;
            }
        };
    }
}

/// Returns the places of the sources of an application and of its tests.
fn places(config: &Config) -> Places {
    let mut places = Places::default();
    places.add_file(&config.file);
    folders(config).for_each(|folder| places.add_folder(folder, Filter::Sources));
    places
}

/// Returns the sources with their contents: all files but the components. `known`: the sources at an earlier time.
fn sources_of(config: &Config, known: &Files) -> Files {
    let folders = folders(config).map(|folder| known.sources(folder));
    let all = folders.reduce(Files::and).unwrap_or_default();
    config.components.values().fold(all, |files, component| files.without(&component.path))
}

/// Returns the folder of the configuration, and those of the sources of components.
fn folders(config: &Config) -> impl Iterator<Item = &Path> {
    let builds = config.components.values().filter_map(|component| component.build.as_ref());
    [folder_of(config)].into_iter().chain(builds.map(|build| build.source.as_path()))
}

/// Returns the folder of the configuration.
fn folder_of(config: &Config) -> &Path {
    Some(config.folder()).filter(|folder| *folder != "").unwrap_or(Path::new("."))
}

/// Serves the application and runs the tests. Returns `None` if a signal ended them.
async fn run(
    path: &Path,
    config: Config,
    scratch: &Arc<Scratch>,
    mut command: Command,
    name: &str,
    signals: &mut Signals,
) -> anyhow::Result<Option<ExitStatus>> {
    let starting = async {
        Builder::new(path, config)?.build_once().await?;
        start(path, scratch.clone()).await
    };
    let Some((lanes, control)) = signals.unless_ended(starting).await? else { return Ok(None) };
    command.env("CARYA_TEST_URL", lanes.first()?).env("CARYA_TEST_CONTROL", control.url());
    command.kill_on_drop(true);
    let served = tokio::spawn(control.serve(lanes.clone()));
    let running = async { command.status().await.with_context(|| format!("cannot run `{name}`")) };
    let ended = signals.unless_ended(running).await;
    served.abort();
    lanes.end().await;
    ended
}

/// Returns the command that runs the tests, and its text for messages: `arguments`, or that of the configuration.
fn command(config: &Config, arguments: &[OsString]) -> anyhow::Result<(Command, String)> {
    if let Some((program, rest)) = arguments.split_first() {
        let mut command = Command::new(program);
        command.args(rest);
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        return Ok((command, words.join(" ")));
    }
    let Some(text) = &config.test.command else {
        bail!(
            "there is no command that runs the tests; add [test] command = \"..\" to {}, or run `carya test -- COMMAND`",
            config.file.display()
        );
    };
    let mut command = Command::new("sh");
    command.args(["-c", text]).current_dir(folder_of(config));
    Ok((command, text.clone()))
}

/// Serves the application on throw-away databases.
async fn start(path: &Path, scratch: Arc<Scratch>) -> anyhow::Result<(Arc<Lanes>, Control)> {
    // Read the configuration again, because a build may have changed it.
    let mut sources = Application::read(path, None)?.pull().await?;
    testing::adapt(&mut sources.config);
    let control = Control::bind(Connections::new(&sources.config.server)).await?;
    let engine = app::engine(&testing::for_all(&sources.config))?;
    let application = app::assemble(sources, engine, None).await?;
    let lanes = Lanes::new(application, scratch, control.url().to_owned()).await?;
    Ok((Arc::new(lanes), control))
}
