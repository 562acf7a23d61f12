//! Makes generations, one at a time, and replaces the served one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, anyhow, bail};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::{
    change::{Change, warn_of_settings_for_the_next_start},
    retry::may_pass,
};
use crate::{
    app::{self, Application, format_error},
    component::Engine,
    config::Config,
    deploy::{Id, SPARE, Step, Store},
    diff::{self, Outline},
    generation::{Files, Generation},
    server::Live,
    supervisor, task,
};

/// Maximum number of attempts to assemble a generation if its files are changed during each attempt.
const REREADS: usize = 10;

/// Makes generations from a configuration file or from the deployed generations, one at a time.
#[derive(Debug)]
pub(crate) struct Reloader {
    file: PathBuf,
    engine: Engine,
    live: Arc<Live>,
    store: Option<Arc<Store>>,
    last: Mutex<Attempt>,
    /// Reason of the last failed reload, if a later attempt may succeed.
    pending_retry: watch::Sender<Option<String>>,
}

/// The input of the last attempt, successful or not.
#[derive(Debug)]
struct Attempt {
    /// The last configuration that could be read.
    config: Arc<Config>,
    files: Files,
}

/// The application and its files at one moment.
#[derive(Debug, PartialEq)]
struct Input {
    /// The application, or the reason why its configuration cannot be read.
    application: Result<Application, String>,
    files: Files,
}

impl Reloader {
    /// Returns a reloader for a generation that is already served. Its [`Application`] must have been read from `file`
    /// and `store`.
    pub(crate) fn new(file: &Path, engine: Engine, live: Arc<Live>, store: Option<Arc<Store>>) -> Self {
        let generation = live.generation();
        let (config, files) = (Arc::new(generation.config.clone()), generation.files.clone());
        let last = Mutex::new(Attempt { config, files });
        Self { file: file.to_owned(), engine, live, store, last, pending_retry: watch::Sender::new(None) }
    }

    /// Returns the server's pointer to the served generation.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Returns the last configuration that could be read, served or not.
    pub(crate) async fn config(&self) -> Arc<Config> {
        self.last.lock().await.config.clone()
    }

    /// Reads the files, and serves a generation made from them. Returns `None` if they have not changed since the last
    /// attempt.
    ///
    /// # Errors
    ///
    /// Fails if the new generation cannot be served. The old one stays.
    pub(crate) async fn reload_if_changed(&self) -> anyhow::Result<Option<Change>> {
        let mut last = self.last.lock().await;
        let begun = Instant::now();
        let input = self.read_input(&last).await?;
        if last.files == input.files {
            return Ok(None);
        }
        let _notice = self.begin_notice();
        self.set_pending_retry(self.apply(&mut last, input, begun).await).map(Some)
    }

    /// Reads the files and the environment, and serves a generation made from them, even if they have not changed.
    ///
    /// # Errors
    ///
    /// Fails if the new generation cannot be served. The old one stays.
    pub(crate) async fn reload(&self) -> anyhow::Result<Change> {
        self.reload_now(&mut *self.last.lock().await).await
    }

    /// Reloads if the last attempt failed with a temporary error. Returns `None` otherwise.
    pub(crate) async fn retry(&self) -> Option<anyhow::Result<Change>> {
        let mut last = self.last.lock().await;
        if self.pending_retry.borrow().is_none() {
            return None;
        }
        Some(self.reload_now(&mut last).await)
    }

    /// Returns a receiver of the reason of the last failed reload. The reason is `None` unless a later attempt may
    /// succeed. The receiver is notified after every attempt.
    pub(crate) fn pending_retry(&self) -> watch::Receiver<Option<String>> {
        self.pending_retry.subscribe()
    }

    /// Stores whether a later attempt may succeed, and returns the result unchanged.
    fn set_pending_retry(&self, result: anyhow::Result<Change>) -> anyhow::Result<Change> {
        let failure = result.as_ref().err().filter(|error| may_pass(error));
        self.pending_retry.send_replace(failure.map(format_error));
        result
    }

    async fn reload_now(&self, last: &mut Attempt) -> anyhow::Result<Change> {
        let _notice = self.begin_notice();
        let begun = Instant::now();
        let input = self.read_input(last).await?;
        self.set_pending_retry(self.apply(last, input, begun).await)
    }

    /// Notifies the service manager that a change begins, and of its end when the returned guard is dropped.
    fn begin_notice(&self) -> Notice<'_> {
        supervisor::reloading();
        Notice(&self.live)
    }

    /// Reads the configuration and hashes the files that it names, on the blocking pool: the threads that serve
    /// requests must not wait for this.
    async fn read_input(&self, last: &Attempt) -> anyhow::Result<Input> {
        let (file, store, before) = (self.file.clone(), self.store.clone(), last.files.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let application = Application::read(&file, store.as_deref()).map_err(|error| format_error(&error));
            // If the configuration cannot be read, it names no files: hash the files of the last attempt, which include
            // the configuration itself.
            let files = match &application {
                Ok(application) => before.now(&application.config),
                Err(_) => before.again(),
            };
            Input { application, files }
        });
        reading.await.context("the files of the application were not read")
    }

    /// Waits until no other change is in progress. No further change begins before the guard is dropped.
    pub(crate) async fn begin_change(&self) -> ChangeGuard<'_> {
        ChangeGuard { reloader: self, last: self.last.lock().await }
    }

    /// Reads the application of a deployed generation.
    async fn read_deployed(&self, id: &Id) -> anyhow::Result<Application> {
        let (file, store, id) = (self.file.clone(), self.store()?.clone(), id.clone());
        tokio::task::spawn_blocking(move || Application::deployed(&file, &store, &id)).await?
    }

    /// Assembles a deployed generation as this host would serve it, without its databases.
    pub(crate) async fn deployed(&self, id: &Id) -> anyhow::Result<Generation> {
        self.assemble(self.read_deployed(id).await?, &self.live.generation()).await
    }

    fn store(&self) -> anyhow::Result<&Arc<Store>> {
        self.store.as_ref().context("there is no [deploy] section")
    }

    /// Activates a deployed generation on this host, which serves it from now on and after a restart.
    ///
    /// # Errors
    ///
    /// Fails if the generation cannot be served. The old one stays.
    pub(crate) async fn activate(&self, step: &Step) -> anyhow::Result<Change> {
        let guard = self.begin_change().await;
        let store = self.store()?;
        let history = store.after(store.history()?, step)?;
        guard.activate(&history, async { Ok(()) }).await
    }

    /// Assembles a generation from the input and serves it. Reads the input again if it changes meanwhile.
    async fn apply(&self, last: &mut Attempt, mut input: Input, begun: Instant) -> anyhow::Result<Change> {
        let before = last.files.clone();
        let old = self.live.generation();
        for _ in 0..REREADS {
            last.files = input.files.clone();
            let assembled = match &input.application {
                Ok(application) => {
                    last.config = Arc::new(application.config.clone());
                    self.assemble(application.clone(), &old).await
                }
                Err(problem) => Err(anyhow!("{problem}")),
            };
            // If a file was written to during the assembly, the generation may contain a part of the old and a part of
            // the new content. Serve it only if the files are the same before and after.
            let again = self.read_input(last).await?;
            let is_whole = |generation: &Generation| generation.files == input.files;
            if again == input && assembled.as_ref().map_or(true, is_whole) {
                let files = before.changed(&input.files).into_iter().map(Path::to_owned).collect();
                return self.replace(assembled?, &old, files, begun, async { Ok(()) }).await;
            }
            input = again;
        }
        bail!("the files were written to during each of {REREADS} attempts to read them; reload once they are complete")
    }

    async fn assemble(&self, application: Application, old: &Arc<Generation>) -> anyhow::Result<Generation> {
        app::assemble(application.pull().await?, self.engine.clone(), Some(old.clone())).await
    }

    /// Prepares a generation and serves it, if the rules of `[reload]` and its smoke requests permit. Awaits `record`
    /// as the last step before the swap.
    async fn replace(
        &self,
        generation: Generation,
        old: &Generation,
        files: Vec<PathBuf>,
        begun: Instant,
        record: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Change> {
        warn_of_settings_for_the_next_start(&old.config, &generation.config);
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
        let generation = made.map_err(|error| with_applied_migrations(error, &applied))?;
        // No step after `record` may fail: the recorded generation must be served.
        self.live.swap(generation);
        Ok(Change { generation: self.live.generation(), files, differences, took: begun.elapsed() })
    }
}

/// Guard of a change that the service manager was notified of.
struct Notice<'a>(&'a Live);

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        supervisor::ready(&self.0.generation().id);
    }
}

/// Exclusive right to change the served generation.
pub(crate) struct ChangeGuard<'a> {
    reloader: &'a Reloader,
    last: MutexGuard<'a, Attempt>,
}

impl ChangeGuard<'_> {
    /// Activates the last generation of a history. The host serves it from now on and after a restart. Awaits
    /// `agreement` after the trial of the generation and before the change; an error of `agreement` cancels the change.
    ///
    /// # Errors
    ///
    /// Fails if the generation cannot be served, or with the error of `agreement`. The old generation stays.
    pub(crate) async fn activate(
        mut self,
        history: &[Id],
        agreement: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Change> {
        let (begun, reloader) = (Instant::now(), self.reloader);
        let _notice = reloader.begin_notice();
        let store = reloader.store()?;
        let id = history.last().context("there is no generation to activate")?;
        let application = reloader.read_deployed(id).await?;
        let config = Arc::new(application.config.clone());
        let old = reloader.live.generation();
        let generation = reloader.assemble(application, &old).await?;
        // Record the history after the trial and before the swap. The host serves the recorded generation after its
        // next start: that generation must have passed the trial, and a generation that was served must be recorded.
        let record = async {
            agreement.await?;
            Ok(store.record(history)?)
        };
        let change = reloader.replace(generation, &old, Vec::new(), begun, record).await?;
        *self.last = Attempt { config, files: change.generation.files.clone() };
        let store = store.clone();
        let collecting = tokio::task::spawn_blocking(move || store.collect(SPARE));
        if let Err(error) = collecting.await.map_err(anyhow::Error::from).and_then(|result| Ok(result?)) {
            tracing::warn!(%error, "old generations could not be removed");
        }
        reloader.set_pending_retry(Ok(change))
    }
}

/// Adds to an error the names of the migrations that ran before it and stay applied.
fn with_applied_migrations(error: anyhow::Error, applied: &[String]) -> anyhow::Error {
    if applied.is_empty() {
        return error;
    }
    let (text, applied) = (format_error(&error), applied.join(", "));
    error.context(format!("{text}; the migrations that ran before it stay applied: {applied}"))
}
