//! From what is served to what is served next: everything is made and tried beside the requests, and only what is whole
//! takes over. Whatever goes wrong, the old generation serves on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::sync::Mutex;

use crate::{
    app::{self, Files},
    component::Engine,
    config::{self, Config},
    diff::{self, Difference, Outline},
    generation::Generation,
    server::Live,
};

/// Makes generations from one configuration file, one at a time.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    engine: Engine,
    live: Arc<Live>,
    /// What the last attempt was made of, whether it succeeded or not.
    tried: Mutex<Files>,
}

/// What a change was.
#[derive(Debug)]
pub struct Change {
    /// The generation that is served now.
    pub id: String,
    /// The files that are new, gone or different.
    pub files: Vec<PathBuf>,
    /// What differs in what is served and in what it may do.
    pub differences: Vec<Difference>,
    /// How many routes are served.
    pub routes: usize,
    /// From the beginning to the swap.
    pub took: Duration,
}

impl Reloader {
    /// What is served was made from `file`.
    pub fn new(file: &Path, engine: Engine, live: Arc<Live>) -> Self {
        let tried = Mutex::new(Files::of(&live.generation().config));
        Self { file: file.to_owned(), engine, live, tried }
    }

    /// What is served.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Serves what the files say now. None if nothing has changed since the last attempt.
    pub async fn reload_if_changed(&self) -> anyhow::Result<Option<Change>> {
        let mut tried = self.tried.lock().await;
        // A configuration that cannot be read is still known by its own bytes.
        let config = app::read(&self.file).await;
        let files = match &config {
            Ok(config) => tried.now(config),
            Err(_) => tried.again(),
        };
        if *tried == files {
            return Ok(None);
        }
        let changed = tried.changed(&files).into_iter().map(Path::to_owned).collect();
        *tried = files;
        self.change(config?, changed).await.map(Some)
    }

    /// Serves what the files and the environment say now, whether they have changed or not.
    pub async fn reload(&self) -> anyhow::Result<Change> {
        let mut tried = self.tried.lock().await;
        let config = app::read(&self.file).await?;
        let files = tried.now(&config);
        let changed = tried.changed(&files).into_iter().map(Path::to_owned).collect();
        *tried = files;
        self.change(config, changed).await
    }

    async fn change(&self, config: Config, files: Vec<PathBuf>) -> anyhow::Result<Change> {
        let begun = Instant::now();
        let old = self.live.generation();
        tell_what_waits(&old.config.server, &config.server);
        let (engine, before) = (self.engine.clone(), old.clone());
        // Reading and compiling are no work for a thread that serves requests.
        let assembled = tokio::task::spawn_blocking(move || app::assemble(config, engine, Some(&before))).await;
        let generation = assembled.context("the assembling of the new generation was ended")??;
        let (before, now) = (Outline::of(&old), Outline::of(&generation));
        let differences = diff::between(&before, &now);
        diff::refuse(&differences, &before, &now)?;
        app::try_out(&generation, Some(&old)).await?;
        let generation = app::prepare(generation, Some(&old)).await?;
        app::rehearse(&generation).await?;
        let (id, routes) = (generation.id.clone(), generation.handlers.len());
        self.live.swap(generation);
        Ok(Change { id, files, differences, routes, took: begun.elapsed() })
    }
}

/// Says which keys of `[server]` a running process cannot change.
fn tell_what_waits(old: &config::Server, new: &config::Server) {
    let waits = [
        ("listen", old.listen != new.listen),
        ("metrics", old.metrics != new.metrics),
        ("header_timeout", old.header_timeout != new.header_timeout),
        ("drain_timeout", old.drain_timeout != new.drain_timeout),
        ("max_concurrent_requests", old.max_concurrent_requests != new.max_concurrent_requests),
        ("cache", old.cache != new.cache),
    ];
    for (key, _) in waits.into_iter().filter(|(_, differs)| *differs) {
        tracing::warn!("server.{key} has changed, which takes effect at the next start");
    }
}

/// Tells the log of a change, or why there is none.
pub fn tell(result: &anyhow::Result<Change>, served: &Generation) {
    match result {
        Ok(Change { id, files, differences, routes, took }) => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let (files, ms) = (files.join(", "), took.as_millis());
            tracing::info!(generation = id, routes, ms, files, "a new generation is served");
            differences.iter().for_each(tell_difference);
        }
        Err(error) => {
            tracing::error!(generation = served.id, "the old generation is served on: {error:#}");
        }
    }
}

/// What may happen now and could not before is worth a second look.
fn tell_difference(difference: &Difference) {
    let (kind, place) = (difference.kind.as_str(), &difference.place);
    match difference.kind.widens() {
        true => tracing::warn!(kind, place, "{difference}"),
        false => tracing::info!(kind, place, "{difference}"),
    }
}
