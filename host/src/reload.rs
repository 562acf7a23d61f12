//! Replacing the served generation: assembles and tries a new generation beside the running requests, and serves it
//! once it is complete. If a step fails, the old generation stays.

mod compare;
mod retry;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use tokio::sync::{Mutex, MutexGuard, watch};

pub use self::compare::Comparison;
use crate::{
    app,
    component::Engine,
    config::{self, Config},
    deploy::{self, Id, SPARE, Step, Store},
    diff::{self, Difference, Outline},
    generation::{Files, Generation},
    oci,
    server::Live,
    task,
};

/// Maximum number of attempts to assemble from files that are written to meanwhile.
const REREADS: usize = 10;

/// Makes generations from a configuration file or from the deployed generations, one at a time.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    engine: Engine,
    live: Arc<Live>,
    store: Option<Arc<Store>>,
    tried: Mutex<Attempt>,
    /// Reason of the last failed reload, if a later attempt may succeed.
    owed: watch::Sender<Option<String>>,
}

/// The input of the last attempt, successful or not.
#[derive(Debug)]
struct Attempt {
    /// The last configuration that could be read.
    config: Arc<Config>,
    files: Files,
}

/// The configuration and the files at one moment.
#[derive(Debug, PartialEq)]
struct Read {
    /// Or the reason why it cannot be read.
    config: Result<Config, String>,
    files: Files,
}

/// A completed change of the served generation.
#[derive(Debug)]
pub struct Change {
    /// The generation that is served now.
    pub generation: Arc<Generation>,
    /// The files that are new, gone or different. Empty for the activation of a deployed generation.
    pub files: Vec<PathBuf>,
    /// The differences in routes, components, databases and capabilities.
    pub differences: Vec<Difference>,
    /// Time from the beginning to the swap.
    pub took: Duration,
}

impl Reloader {
    /// Returns a reloader for a generation that is already served. Its configuration must have been [`read`] from
    /// `file` and `store`.
    pub fn new(file: &Path, engine: Engine, live: Arc<Live>, store: Option<Arc<Store>>) -> Self {
        let generation = live.generation();
        let (config, files) = (Arc::new(generation.config.clone()), generation.files.clone());
        let tried = Mutex::new(Attempt { config, files });
        Self { file: file.to_owned(), engine, live, store, tried, owed: watch::Sender::new(None) }
    }

    /// Returns the server's pointer to the served generation.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Returns the last configuration that could be read, served or not.
    pub async fn config(&self) -> Arc<Config> {
        self.tried.lock().await.config.clone()
    }

    /// Reads the files and serves them; returns `None` if they have not changed since the last attempt.
    ///
    /// # Errors
    ///
    /// Fails if the new generation cannot be served. The old one stays.
    pub async fn reload_if_changed(&self) -> anyhow::Result<Option<Change>> {
        let mut tried = self.tried.lock().await;
        let begun = Instant::now();
        let read = self.read(&tried).await?;
        if tried.files == read.files {
            return Ok(None);
        }
        self.note(self.change(&mut tried, read, begun).await).map(Some)
    }

    /// Reads the files and the environment, and serves them whether they have changed or not.
    ///
    /// # Errors
    ///
    /// Fails if the new generation cannot be served. The old one stays.
    pub async fn reload(&self) -> anyhow::Result<Change> {
        self.reload_now(&mut *self.tried.lock().await).await
    }

    async fn reload_now(&self, tried: &mut Attempt) -> anyhow::Result<Change> {
        let begun = Instant::now();
        let read = self.read(tried).await?;
        self.note(self.change(tried, read, begun).await)
    }

    /// Reads the configuration and hashes the files that it names, on the blocking pool: the threads that serve
    /// requests must not wait for this.
    async fn read(&self, tried: &Attempt) -> anyhow::Result<Read> {
        let (file, store, before) = (self.file.clone(), self.store.clone(), tried.files.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let config = read(&file, store.as_deref()).map_err(|error| told(&error));
            // If the configuration cannot be read, it names no files: hash the files of the last attempt, which include
            // the configuration itself.
            let files = config.as_ref().map_or_else(|_| before.again(), |config| before.now(config));
            Read { config, files }
        });
        reading.await.context("the reading of the files was ended")
    }

    /// Waits until no other change is in progress, and blocks others until the [`Turn`] is dropped.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { reloader: self, tried: self.tried.lock().await }
    }

    /// Activates a deployed generation on this host: it is served now and after every start.
    ///
    /// # Errors
    ///
    /// Fails if the generation cannot be served. The old one stays.
    pub async fn activate(&self, step: &Step) -> anyhow::Result<Change> {
        let turn = self.turn().await;
        let store = self.store.as_ref().context("there is no [deploy] section")?;
        let history = store.after(store.history()?, step)?;
        turn.activate(&history, async { Ok(()) }).await
    }

    async fn change(&self, tried: &mut Attempt, mut read: Read, begun: Instant) -> anyhow::Result<Change> {
        let before = tried.files.clone();
        let old = self.live.generation();
        for _ in 0..REREADS {
            tried.files = read.files.clone();
            let assembled = match &read.config {
                Ok(config) => {
                    tried.config = Arc::new(config.clone());
                    self.assemble(config.clone(), &old).await
                }
                Err(problem) => Err(anyhow!("{problem}")),
            };
            // A file that was written to during the assembly may be in the generation half old and half new. Serve it
            // only if the files are the same before and after.
            let again = self.read(tried).await?;
            let is_whole = |generation: &Generation| generation.files == read.files;
            if again == read && assembled.as_ref().map_or(true, is_whole) {
                let files = before.changed(&read.files).into_iter().map(Path::to_owned).collect();
                return self.serve(assembled?, &old, files, begun, async { Ok(()) }).await;
            }
            read = again;
        }
        bail!("the files were written to again and again while they were read")
    }

    async fn assemble(&self, mut config: Config, old: &Arc<Generation>) -> anyhow::Result<Generation> {
        oci::pull(&mut config).await?;
        app::assemble(config, self.engine.clone(), Some(old.clone())).await
    }

    async fn serve(
        &self,
        generation: Generation,
        old: &Generation,
        files: Vec<PathBuf>,
        begun: Instant,
        record: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Change> {
        tell_what_waits(&old.config.server, &generation.config.server);
        if old.config.deploy != generation.config.deploy {
            tracing::warn!("[deploy] has changed, which takes effect at the next start");
        }
        let (outline_before, outline) = (Outline::of(old), Outline::of(&generation));
        let differences = diff::between(&outline_before, &outline);
        diff::refuse(&differences, &outline_before, &outline)?;
        let mut applied = Vec::new();
        let making = task::caught(async {
            let generation = app::prepare(generation, Some(old), &mut applied).await?;
            app::rehearse(&generation).await?;
            record.await?;
            anyhow::Ok(generation)
        });
        let made = making.await.map_err(anyhow::Error::from).flatten();
        let generation = made.map_err(|error| with_what_stays(error, &applied))?;
        // No step after `record` may fail: the recorded generation must be served.
        self.live.swap(generation);
        Ok(Change { generation: self.live.generation(), files, differences, took: begun.elapsed() })
    }
}

/// Exclusive right to change the served generation.
pub struct Turn<'a> {
    reloader: &'a Reloader,
    tried: MutexGuard<'a, Attempt>,
}

impl Turn<'_> {
    /// Activates the last generation of a history: it is served now and after every start. Awaits `agreed` after the
    /// trial of the generation and before the change; an error of `agreed` cancels the change.
    ///
    /// # Errors
    ///
    /// Fails if the generation cannot be served, or with the error of `agreed`. The old generation stays.
    pub async fn activate(
        mut self,
        history: &[Id],
        agreed: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Change> {
        let (begun, reloader) = (Instant::now(), self.reloader);
        let store = reloader.store.as_ref().context("there is no [deploy] section")?;
        let id = history.last().context("there is no generation to activate")?.clone();
        let (file, from) = (reloader.file.clone(), store.clone());
        let config = tokio::task::spawn_blocking(move || read_deployed(&file, &from, &id)).await??;
        let old = reloader.live.generation();
        let generation = reloader.assemble(config.clone(), &old).await?;
        // Recorded after the trial and before the swap: a start must find only a generation that works, and a served
        // generation must be found by the next start.
        let record = async {
            agreed.await?;
            Ok(store.record(history)?)
        };
        let change = reloader.serve(generation, &old, Vec::new(), begun, record).await?;
        *self.tried = Attempt { config: Arc::new(config), files: change.generation.files.clone() };
        let store = store.clone();
        let collecting = tokio::task::spawn_blocking(move || store.collect(SPARE));
        if let Err(error) = collecting.await.map_err(anyhow::Error::from).and_then(|result| Ok(result?)) {
            tracing::warn!(%error, "what is left over of old generations could not be removed");
        }
        reloader.note(Ok(change))
    }
}

/// Reads the configuration to serve: that of the active generation, or of `file` if none is active.
pub fn read(file: &Path, store: Option<&Store>) -> anyhow::Result<Config> {
    match store.map(|store| Ok::<_, deploy::Error>((store, store.active()?))).transpose()? {
        Some((store, Some(id))) => read_deployed(file, store, &id),
        _ => Ok(config::load(file)?),
    }
}

/// Reads the configuration of a deployed generation, with the host settings of `file`.
pub fn read_deployed(file: &Path, store: &Store, id: &Id) -> anyhow::Result<Config> {
    let host = config::load_host(file)?;
    let app = store.folder(id)?;
    Ok(config::load_deployed(&app.join(deploy::NAME), &host, &id.to_string())?)
}

/// Adds the names of the migrations that ran before an error. They stay applied.
fn with_what_stays(error: anyhow::Error, applied: &[String]) -> anyhow::Error {
    if applied.is_empty() {
        return error;
    }
    let (told, applied) = (told(&error), applied.join(", "));
    error.context(format!("{told}; the migrations that ran before it stay applied: {applied}"))
}

/// Logs which changed keys of `[server]` take effect at the next start only.
fn tell_what_waits(old: &config::Server, new: &config::Server) {
    let waits = [
        ("listen", old.listen != new.listen),
        ("metrics", old.metrics != new.metrics),
        ("connections", old.connections != new.connections),
        ("header_timeout", old.header_timeout != new.header_timeout),
        ("idle_timeout", old.idle_timeout != new.idle_timeout),
        ("send_timeout", old.send_timeout != new.send_timeout),
        ("max_unsent", old.max_unsent != new.max_unsent),
        ("drain_timeout", old.drain_timeout != new.drain_timeout),
        ("max_concurrent_requests", old.max_concurrent_requests != new.max_concurrent_requests),
        ("cache", old.cache != new.cache),
        ("page_scan", old.page_scan != new.page_scan),
    ];
    for (key, _) in waits.into_iter().filter(|(_, differs)| *differs) {
        tracing::warn!("server.{key} has changed, which takes effect at the next start");
    }
}

/// Function that reports the result of a change. Its second argument is the generation that was served before.
pub type Tell = fn(&anyhow::Result<Change>, &Generation);

/// Logs a change, or the error that kept it from happening.
pub fn tell(result: &anyhow::Result<Change>, served: &Generation) {
    match result {
        Ok(Change { generation, files, differences, took }) => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let (files, ms, routes) = (files.join(", "), took.as_millis(), generation.handlers.len());
            tracing::info!(generation = generation.id, routes, ms, files, "a new generation is served");
            differences.iter().for_each(tell_difference);
        }
        Err(error) => {
            tracing::error!(generation = served.id, "the old generation is served on: {}", told(error));
        }
    }
}

/// Logs a difference, as a warning if it permits something that was not possible before.
fn tell_difference(difference: &Difference) {
    let (kind, place) = (difference.kind.as_str(), &difference.place);
    match difference.kind.widens() {
        true => tracing::warn!(kind, place, "{difference}"),
        false => tracing::info!(kind, place, "{difference}"),
    }
}

/// Formats an error with its causes. Leaves out causes that are already part of the text.
pub fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}
