//! What is served at this moment, and the change to what is served next. A request stays with the generation that it
//! met; the generation is let go when its last request has ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{extract::Request, response::Response};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::files::{Folders, Place};
use crate::{
    component::Engine,
    delivery,
    exchange::{self, Exchange},
    generation::Generation,
    task,
    telemetry::metrics,
};

/// How often the instances are looked at that may serve several requests.
const SHRINK: Duration = Duration::from_secs(5);
/// How long requests have to roll back once they are cut off.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// One generation behind one pointer.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Stage>,
    places: Arc<Semaphore>,
    /// How many places there are in all.
    total: usize,
    /// Requests of all generations.
    running: TaskTracker,
    /// The work of all generations beside requests.
    beside: TaskTracker,
    /// Cuts off everything.
    cut_off: CancellationToken,
    drain_timeout: Duration,
}

/// A generation that is served, and where its requests run.
#[derive(Debug)]
struct Stage {
    exchange: Arc<Exchange>,
    folders: Folders,
    /// Ends the looking after its outboxes and its idle instances.
    retired: CancellationToken,
}

impl Live {
    /// Serves a first generation, whose configuration says how many requests run at the same time and how long they
    /// have to end when they must.
    pub fn new(generation: Generation) -> Arc<Self> {
        let config = &generation.config.server;
        let (total, drain_timeout) = (generation.engine.requests(config.max_concurrent_requests), config.drain_timeout);
        let (running, cut_off) = (TaskTracker::new(), CancellationToken::new());
        let (places, beside) = (Arc::new(Semaphore::new(total)), TaskTracker::new());
        let first = stage(generation, (&places, total), &running, &cut_off, &beside);
        Arc::new(Self { current: ArcSwap::from_pointee(first), places, total, running, beside, cut_off, drain_timeout })
    }

    /// What is served now.
    pub fn generation(&self) -> Arc<Generation> {
        self.current.load().exchange.generation.clone()
    }

    /// Answers a request that arrives now.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let (place, exchange) = {
            let stage = self.current.load();
            let path = request.uri().path();
            let place = stage.folders.place(path, || stage.exchange.generation.routes.pattern(path));
            (place, stage.exchange.clone())
        };
        // Boxed: the future of every request would carry the room for reading a file.
        let file = match place {
            Place::Application => None,
            Place::Folder(folder) => return Box::pin(folder.answer(request)).await,
            Place::FileOrApplication(folder) => Box::pin(folder.file(&request)).await,
        };
        match file {
            Some(file) => file,
            None => exchange::serve(exchange, request).await,
        }
    }

    /// Serves another generation from the next request on. Requests that have begun end on theirs; those that take
    /// longer than the drain timeout are rolled back.
    pub fn swap(&self, generation: Generation) {
        let next = stage(generation, (&self.places, self.total), &self.running, &self.cut_off, &self.beside);
        let old = self.current.swap(Arc::new(next));
        old.retired.cancel();
        let in_flight = old.exchange.running.len();
        self.beside.spawn(drain(old, in_flight, self.drain_timeout));
    }

    /// Requests in flight, of all generations.
    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Ready once all requests have ended. None may begin any more.
    pub(super) async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Cuts off the requests that still run, and tells how many could not be ended.
    pub(super) async fn cut_off(&self) -> usize {
        self.cut_off.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, self.drained()).await;
        self.running.len()
    }

    /// Ends the work beside requests, and lets go of the databases.
    pub(super) async fn close(&self) {
        let current = self.current.load_full();
        current.retired.cancel();
        self.beside.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.beside.wait()).await;
        for (_, database) in current.exchange.generation.all_databases() {
            database.close();
        }
    }
}

/// Sets up a generation, and looks after its outboxes from now on. It must not fail: the generation is recorded as
/// active before it is served.
fn stage(
    generation: Generation,
    (places, total): (&Arc<Semaphore>, usize),
    all: &TaskTracker,
    cut_off: &CancellationToken,
    beside: &TaskTracker,
) -> Stage {
    metrics::serving(&generation.id);
    let generation = Arc::new(generation);
    let retired = CancellationToken::new();
    let (shrunk, until) = (generation.clone(), retired.clone());
    beside.spawn(task::persist("shrink", move || shrink(shrunk.clone(), until.clone())));
    for (_, database) in generation.all_databases().filter(|_| generation.runs_actions()) {
        let (delivered, database, until) = (generation.clone(), database.clone(), retired.clone());
        let deliver = move || delivery::deliver_outbox(delivered.clone(), database.clone(), until.clone());
        beside.spawn(task::persist("outbox", deliver));
    }
    // More than all places would never be free.
    let weight = Engine::weight(generation.guests()).min(total);
    let exchange = Arc::new(Exchange {
        generation,
        places: places.clone(),
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
        running: TaskTracker::new(),
        all: all.clone(),
        cut_off: cut_off.child_token(),
    });
    let folders = Folders::new(&exchange.generation.config.static_files);
    Stage { exchange, folders, retired }
}

/// Lets go of instances that wait for requests in vain, until the generation is retired.
async fn shrink(generation: Arc<Generation>, retired: CancellationToken) {
    while tokio::time::timeout(SHRINK, retired.cancelled()).await.is_err() {
        generation.components.iter().for_each(|component| component.shrink());
    }
}

/// Waits for the last request of a generation that is not served any more.
async fn drain(old: Arc<Stage>, in_flight: usize, timeout: Duration) {
    let (begun, exchange) = (Instant::now(), &old.exchange);
    let generation = &exchange.generation.id;
    exchange.running.close();
    if tokio::time::timeout(timeout, exchange.running.wait()).await.is_err() {
        let left = exchange.running.len();
        tracing::warn!(generation, left, "drain_timeout is over: rolling back what still runs on the old generation");
        exchange.cut_off.cancel();
        exchange.running.wait().await;
    }
    let ms = begun.elapsed().as_millis();
    tracing::info!(generation, in_flight, ms, "the old generation has drained");
}
