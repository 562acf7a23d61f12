//! Builds components from their sources: at the start if they are missing or older than their sources, and after each
//! change to a source. One build runs at a time; changes during a build trigger the next one.
//!
//! The builder does not reload: `watch` detects the built file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Instant, SystemTime},
};

use anyhow::ensure;
use tokio::process::Command;

use super::output::{list, print, time};
use crate::{
    config::{self, ComponentConfig, Config},
    generation::Files,
    watch::{Filter, Places, Watcher},
};

/// The components that can be built, and the sources of their last builds.
pub(in crate::cli) struct Builder {
    file: PathBuf,
    /// The last configuration that could be read.
    config: Config,
    /// The sources of each component at its last build, successful or not.
    tried: BTreeMap<String, Files>,
    watcher: Watcher,
}

/// A build command, and the components that it builds.
struct Job {
    command: String,
    components: Vec<(String, PathBuf)>,
}

impl Job {
    /// Returns the names of its components.
    fn names(&self) -> String {
        self.components.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Builder {
    /// Returns a builder for a configuration that was read from `file`.
    pub(in crate::cli) fn new(file: &Path, config: Config) -> notify::Result<Self> {
        let (file, tried) = (file.to_owned(), BTreeMap::new());
        Ok(Self { file, config, tried, watcher: Watcher::new()? })
    }

    /// Builds components until all their files exist. Waits for a change between two attempts.
    pub(super) async fn until_all_are_there(&mut self) {
        loop {
            self.build_due().await;
            let is_missing = |(_, component, _): &(_, &ComponentConfig, _)| !component.path.exists();
            let Some(name) = self.buildable().find(is_missing).map(|(name, ..)| name) else { return };
            print(&format!("{name} is needed to serve; waiting for a change\n"));
            self.watcher.changed().await;
        }
    }

    /// Builds the components that are due, once.
    ///
    /// # Errors
    ///
    /// Returns an error if a build fails.
    pub(in crate::cli) async fn build_once(&mut self) -> anyhow::Result<()> {
        for job in self.due() {
            let names = job.names();
            ensure!(build(job, &self.config).await, "{names} could not be built; see the messages above");
        }
        Ok(())
    }

    /// Builds after every change, for as long as the process runs.
    pub(super) async fn build_on_changes(&mut self) {
        loop {
            // If there are new places to watch, their files may have changed before, so check again before waiting.
            while self.build_due().await {}
            self.watcher.changed().await;
        }
    }

    /// Builds the components that are due. Returns whether the places to watch have changed meanwhile.
    async fn build_due(&mut self) -> bool {
        // Ignore a configuration that cannot be read: the reload reports its problems.
        if let Ok(config) = config::load(&self.file) {
            self.config = config;
        }
        let places = self.places();
        self.watcher.follow(places.clone());
        for job in self.due() {
            build(job, &self.config).await;
        }
        self.places() != places
    }

    fn buildable(&self) -> impl Iterator<Item = (&String, &ComponentConfig, &config::Build)> {
        self.config.components.iter().filter_map(|(name, component)| Some((name, component, component.build.as_ref()?)))
    }

    fn places(&self) -> Places {
        let mut places = Places::default();
        places.add_file(&self.file);
        self.buildable().for_each(|(_, _, build)| places.add_folder(&build.source, Filter::Sources));
        places
    }

    /// Returns the builds that are due, and stores the current sources of all components.
    fn due(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut tried = BTreeMap::new();
        for (name, component, build) in self.buildable() {
            let before = self.tried.get(name);
            let now = before.cloned().unwrap_or_default().sources(&build.source).without(&component.path);
            let is_due = match before {
                Some(before) => *before != now,
                None => is_older(&component.path, now.youngest()),
            };
            if let Some(before) = before.filter(|_| is_due) {
                let changed: Vec<_> = before.changed(&now).into_iter().map(Path::to_owned).collect();
                print(&format!("{} changed\n", list(&changed)));
            }
            tried.insert(name.clone(), now);
            if is_due {
                let (command, built) = (&build.command, (name.clone(), component.path.clone()));
                match jobs.iter_mut().find(|job| job.command == *command) {
                    Some(job) => job.components.push(built),
                    None => jobs.push(Job { command: command.clone(), components: vec![built] }),
                }
            }
        }
        self.tried = tried;
        jobs
    }
}

/// Returns whether a component does not exist or is older than its sources.
fn is_older(component: &Path, sources: Option<SystemTime>) -> bool {
    let built = fs::metadata(component).and_then(|metadata| metadata.modified()).ok();
    built.is_none_or(|built| sources.is_some_and(|written| built < written))
}

/// Runs a build command, which inherits standard output and standard error, and prints the result. Returns whether it
/// succeeded.
async fn build(job: Job, config: &Config) -> bool {
    let (names, Job { command, components }) = (job.names(), job);
    let before: Vec<_> = components.iter().map(|(_, path)| fs::read(path).ok()).collect();
    print(&format!("building {names}: {command}\n"));
    let begun = Instant::now();
    let folder = Some(config.folder()).filter(|folder| *folder != "").unwrap_or(Path::new("."));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let status = shell.status().await;
    let took = time(begun.elapsed());
    match status {
        Ok(status) if status.success() => {
            print(&format!("built {names} in {took}\n"));
            for ((name, path), before) in components.iter().zip(before) {
                let (path, now) = (path.display(), fs::read(path.as_path()).ok());
                if now.is_none() {
                    print(&format!(
                        "but {path} does not exist; component.{name}.path must be the file that the command writes\n"
                    ));
                } else if now == before {
                    print(&format!("{path} is unchanged\n"));
                }
            }
            return true;
        }
        Ok(status) => print(&format!("{names} not built, {status} after {took}; the served generation stays\n")),
        Err(error) => print(&format!("{names} not built, cannot run the shell: {error}\n")),
    }
    false
}
