//! `carya test`: serves the application of a project on throw-away databases, and runs the project's tests against it.
//! The tests find the application at `CARYA_TEST_URL`, and the control at `CARYA_TEST_CONTROL`.

use std::{ffi::OsString, path::Path, process::ExitStatus, sync::Arc};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::{dev::Builder, signals::Signals};
use crate::{
    app::{self, Application},
    config::{self, Config},
    server::connections::Connections,
    telemetry::{self, Format},
    testing::{self, Control, Lanes, PrivateServer, Product, Scratch},
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
    let (command, name) = command(&config, &options.command)?;
    for product in &options.start {
        product.check_needed(&config)?;
    }
    let starting = async {
        let mut servers = Vec::new();
        for product in &options.start {
            servers.push(PrivateServer::start(*product, testing::temporary_folder(&config)).await?);
        }
        Ok(servers)
    };
    let Some(servers) = signals.unless_ended(starting).await? else { return Ok(()) };
    let started: Vec<_> = servers.iter().map(PrivateServer::url).collect();
    let tested = async {
        let making = Scratch::new(&config, &started, options.keep);
        let Some(scratch) = signals.unless_ended(making).await? else { return Ok(None) };
        let scratch = Arc::new(scratch);
        let ended = run(path, config, &scratch, command, &name, &mut signals).await;
        scratch.end().await;
        ended
    };
    let tested = tested.await;
    for server in servers {
        server.end().await;
    }
    match tested? {
        None => bail!("a signal ended the tests"),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failed { command: name, status }.into()),
    }
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
    let folder = Some(config.folder()).filter(|folder| *folder != "").unwrap_or(Path::new("."));
    command.args(["-c", text]).current_dir(folder);
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
