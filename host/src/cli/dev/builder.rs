//! Building components from their sources: when they are missing, and whenever a source has changed. One build runs at
//! a time; what changes meanwhile is built after it. It does not know what is served: what was built is a file that has
//! changed, which others watch.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Instant, SystemTime},
};

use tokio::process::Command;

use super::{list, say, time};
use crate::{
    config::{self, Component, Config},
    generation::Files,
    watch::{Filter, Places, Watcher},
};

/// The components that can be built, and what they were built from.
pub(super) struct Builder {
    file: PathBuf,
    /// The last that could be read.
    config: Config,
    /// The sources of each at its last build, whether that succeeded or not.
    tried: BTreeMap<String, Files>,
    watcher: Watcher,
}

/// A command, and the components that it builds.
struct Job {
    command: String,
    components: Vec<(String, PathBuf)>,
}

impl Builder {
    /// Builds what a configuration says that was read from `file`.
    pub(super) fn new(file: &Path, config: Config) -> notify::Result<Self> {
        let (file, tried) = (file.to_owned(), BTreeMap::new());
        Ok(Self { file, config, tried, watcher: Watcher::new()? })
    }

    /// Builds components until there is a file of each, waiting for changes as long as there is not.
    pub(super) async fn until_all_are_there(&mut self) {
        loop {
            self.turn().await;
            let is_missing = |(_, component, _): &(_, &Component, _)| !component.path.exists();
            let Some(name) = self.buildable().find(is_missing).map(|(name, ..)| name) else { return };
            say(&format!("{name} is needed to serve; waiting for a change\n"));
            self.watcher.changed().await;
        }
    }

    /// Builds after every change, for as long as the process lives.
    pub(super) async fn run(&mut self) {
        loop {
            // What came into the places only now may have changed before they were listened to.
            while self.turn().await {}
            self.watcher.changed().await;
        }
    }

    /// Builds what is due. Tells whether there are other places to listen to than before.
    async fn turn(&mut self) -> bool {
        // One that cannot be read is told by those who serve it.
        if let Ok(config) = config::load(&self.file) {
            self.config = config;
        }
        let places = self.places();
        self.watcher.follow(places.clone());
        for job in self.due() {
            run(job, &self.config).await;
        }
        self.places() != places
    }

    fn buildable(&self) -> impl Iterator<Item = (&String, &Component, &config::Build)> {
        self.config.components.iter().filter_map(|(name, component)| Some((name, component, component.build.as_ref()?)))
    }

    fn places(&self) -> Places {
        let mut places = Places::default();
        places.add_file(&self.file);
        self.buildable().for_each(|(_, _, build)| places.add_folder(&build.source, Filter::Sources));
        places
    }

    /// What must be built, and remembers that it was.
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
                say(&format!("{} changed\n", list(&changed)));
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

/// Whether a component is not there, or older than its sources.
fn is_older(component: &Path, sources: Option<SystemTime>) -> bool {
    let built = fs::metadata(component).and_then(|metadata| metadata.modified()).ok();
    built.is_none_or(|built| sources.is_some_and(|written| built < written))
}

/// Runs a command, whose output goes where ours does, and says what came of it.
async fn run(job: Job, config: &Config) {
    let Job { command, components } = job;
    let names = components.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let before: Vec<_> = components.iter().map(|(_, path)| fs::read(path).ok()).collect();
    say(&format!("building {names}: {command}\n"));
    let begun = Instant::now();
    let folder = Some(config.folder()).filter(|folder| *folder != "").unwrap_or(Path::new("."));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let status = shell.status().await;
    let took = time(begun.elapsed());
    match status {
        Ok(status) if status.success() => {
            say(&format!("built {names} in {took}\n"));
            for ((name, path), before) in components.iter().zip(before) {
                let (path, now) = (path.display(), fs::read(path.as_path()).ok());
                if now.is_none() {
                    say(&format!("but there is no {path}; is component.{name}.path what the command makes?\n"));
                } else if now == before {
                    say(&format!("{path} is what it was before\n"));
                }
            }
        }
        Ok(status) => say(&format!("{names} not built, {status} after {took}; what is served is served on\n")),
        Err(error) => say(&format!("{names} not built, the shell cannot be run: {error}\n")),
    }
}
