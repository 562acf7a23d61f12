//! Lanes: copies of the application for parallel tests, each with its own address and its own databases. All lanes share
//! the components and the engine.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, RwLock, Weak},
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answers::{Answer, Answers},
    scratch::{Scratch, Set},
};
use crate::{
    app::{self, format_error},
    config::{Config, MAIN},
    database::{Database, ReplicaState},
    generation::{Generation, Instruments},
    outbound::Redirect,
    server::{Live, Server, connections::Connections},
    transaction::Recorder,
};

/// Maximum number of lanes.
const MAX_LANES: usize = 16;
/// Maximum number of concurrent requests of a lane.
const MAX_REQUESTS: usize = 16;
/// Interval between two checks whether the requests on replaced databases have ended.
const DISCARD_INTERVAL: Duration = Duration::from_millis(100);

/// The application and its lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// The application without databases.
    application: Generation,
    scratch: Arc<Scratch>,
    /// URL of the control.
    control: String,
    recorder: Arc<Recorder>,
    lanes: RwLock<Vec<Arc<Lane>>>,
    /// Held while a lane is added, so that each lane has its own number.
    adding: Mutex<()>,
    end: CancellationToken,
    serving: TaskTracker,
}

/// An address at which the application is served on its own databases.
#[derive(Debug)]
struct Lane {
    url: String,
    live: Arc<Live>,
    answers: Arc<Answers>,
    /// How often the databases of the lane were replaced.
    resets: Mutex<usize>,
}

/// Adapts the configuration of an application to tests: each lane listens on a free port of the loopback interface.
pub(crate) fn adapt(config: &mut Config) {
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
    config.server.redirect = None;
    config.server.proxy_protocol = false;
    config.server.metrics = None;
    config.server.tls.clear();
    config.server.acme = None;
    config.server.drain_delay = Duration::ZERO;
    config.server.max_concurrent_requests = config.server.max_concurrent_requests.min(MAX_REQUESTS);
    config.deploy = None;
}

/// Returns the configuration for an engine that runs the requests of all lanes.
pub(crate) fn for_all(config: &Config) -> Config {
    let mut config = config.clone();
    config.server.max_concurrent_requests *= MAX_LANES;
    config
}

impl Lanes {
    /// Prepares and saves the databases of an application, and starts the first lane. `control` is the URL of the
    /// control.
    pub(crate) async fn new(application: Generation, scratch: Arc<Scratch>, control: String) -> anyhow::Result<Self> {
        let lanes = Self {
            application,
            scratch,
            control,
            recorder: Arc::default(),
            lanes: RwLock::default(),
            adding: Mutex::default(),
            end: CancellationToken::new(),
            serving: TaskTracker::new(),
        };
        lanes.scratch.create(&lanes.application.config).await?;
        let first = lanes.prepare(Set::First).await?;
        lanes.scratch.save(first.all_databases().map(|(name, database)| (name, &**database))).await?;
        lanes.add().await?;
        Ok(lanes)
    }

    /// Returns the address of the first lane.
    pub(crate) fn first(&self) -> anyhow::Result<String> {
        Ok(self.lane(0)?.url.clone())
    }

    /// Returns the addresses of all lanes.
    pub(super) fn urls(&self) -> Vec<String> {
        let lanes = self.lanes.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        lanes.iter().map(|lane| lane.url.clone()).collect()
    }

    /// Adds a lane with fresh databases. Returns its number and its address.
    pub(super) async fn add(&self) -> anyhow::Result<(usize, String)> {
        let _adding = self.adding.lock().await;
        let number = self.urls().len();
        ensure!(number < MAX_LANES, "there are {MAX_LANES} lanes, which is the maximum; use those at GET /lanes");
        let config = &self.application.config;
        let server = Server::bind(config, None, Connections::new(&config.server)).await.context("cannot listen")?;
        let addresses = server.addresses()?;
        let url = format!("http://{}", addresses.first().context("the listener has no address")?);
        let live = Live::new(self.fresh(Set::Lane { number, resets: 0 }).await?);
        let (end, mut has_ended) = (self.end.clone(), false);
        let shutdown = async move || {
            // A second shutdown request would cancel the running requests.
            if has_ended {
                pending::<()>().await;
            }
            end.cancelled().await;
            has_ended = true;
        };
        self.serving.spawn(server.serve(live.clone(), shutdown));
        let lane = Arc::new(Lane { url: url.clone(), live, answers: Arc::default(), resets: Mutex::new(0) });
        self.lanes.write().unwrap_or_else(|poisoned| poisoned.into_inner()).push(lane);
        Ok((number, url))
    }

    /// Replaces the databases of a lane by copies of the saved ones. Requests that are running end on the old ones.
    pub(super) async fn reset(&self, number: usize) -> anyhow::Result<()> {
        let lane = self.lane(number)?;
        let mut resets = lane.resets.lock().await;
        let replaced = Set::Lane { number, resets: *resets };
        *resets += 1;
        let next = self.fresh(Set::Lane { number, resets: *resets }).await?;
        let old = lane.live.generation();
        lane.live.swap(next);
        lane.answers.clear();
        let discarded = discard(self.scratch.clone(), replaced, Arc::downgrade(&old));
        self.serving.spawn(discarded);
        Ok(())
    }

    /// Returns a database of a lane.
    pub(super) fn database(&self, number: usize, name: Option<&str>) -> anyhow::Result<Arc<Database>> {
        let generation = self.lane(number)?.live.generation();
        let found = generation.database(name).cloned();
        found.with_context(|| match name {
            Some(name) => format!("there is no database {name:?} in the configuration"),
            None => "there is no default database in the configuration".to_owned(),
        })
    }

    /// Changes the state of the replicas of a database of a lane, until the lane is reset.
    pub(super) async fn set_replicas(
        &self,
        number: usize,
        name: Option<&str>,
        state: ReplicaState,
    ) -> anyhow::Result<()> {
        let changed = self.database(number, name)?.set_replicas(state).await;
        changed.with_context(|| format!("database {:?}", name.unwrap_or(MAIN)))
    }

    /// Sets the clock of all outboxes of a lane forward, until the lane is reset.
    pub(super) fn advance_clock(&self, number: usize, by: Duration) -> anyhow::Result<()> {
        for (_, database) in self.lane(number)?.live.generation().all_databases() {
            database.outbox().advance_clock(by);
        }
        Ok(())
    }

    /// Returns the records of the requests of all lanes.
    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Answers the outbound requests of a lane by a table from now on, until the lane is reset.
    pub(super) fn answer_outbound(&self, number: usize, table: Vec<Answer>) -> anyhow::Result<()> {
        let lane = self.lane(number)?;
        lane.answers.replace(table)?;
        if let Some(instruments) = &lane.live.generation().instruments {
            instruments.redirect.turn_on();
        }
        Ok(())
    }

    /// Returns the answers to the outbound requests of a lane.
    pub(super) fn answers(&self, number: usize) -> anyhow::Result<Arc<Answers>> {
        Ok(self.lane(number)?.answers.clone())
    }

    /// Stops serving.
    pub(crate) async fn end(&self) {
        self.end.cancel();
        self.serving.close();
        self.serving.wait().await;
    }

    fn lane(&self, number: usize) -> anyhow::Result<Arc<Lane>> {
        let lanes = self.lanes.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = lanes.len();
        lanes.get(number).cloned().with_context(|| {
            format!("there is no lane {number}; the lanes are 0 to {}; POST /lanes adds one", count.saturating_sub(1))
        })
    }

    /// Returns the application with copies of the saved databases.
    async fn fresh(&self, set: Set) -> anyhow::Result<Generation> {
        self.scratch.copy(&self.application.config, set).await?;
        self.prepare(set).await
    }

    /// Returns the application with the databases of a set, migrated and initialized.
    async fn prepare(&self, set: Set) -> anyhow::Result<Generation> {
        let config = self.scratch.configure(&self.application.config, set);
        let number = if let Set::Lane { number, .. } = set { number } else { 0 };
        let redirect = Arc::new(Redirect::new(format!("{}/upstream/{number}/", self.control)));
        let instruments = Some(Arc::new(Instruments { recorder: self.recorder.clone(), redirect }));
        let application = Generation { config, instruments, ..self.application.clone() };
        app::prepare(application, None, &mut Vec::new()).await
    }
}

/// Drops the databases of a replaced generation after its last request has ended.
async fn discard(scratch: Arc<Scratch>, set: Set, old: Weak<Generation>) {
    while let Some(old) = old.upgrade() {
        drop(old);
        tokio::time::sleep(DISCARD_INTERVAL).await;
    }
    if let Err(error) = scratch.discard(set).await {
        tracing::warn!("the databases before a reset could not be dropped: {}", format_error(&error));
    }
}
