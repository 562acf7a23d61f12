//! The generation that is served, and the swap to the next one. A request keeps the generation that was current when
//! it arrived; a retired generation is dropped after its last request has ended.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::extract::Request;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    compression::Compression,
    connections::Addresses,
    fields::{Asked, Fields},
    files::{Folders, Target, has_file},
    forwarded, limits,
};
use crate::{
    delivery,
    exchange::{self, Access, Answered, Exchange, Places, RoutePlaces},
    generation::Generation,
    message::Peer,
    task,
    telemetry::{self, metrics},
};

/// Interval between two checks for idle instances that no request has needed.
const SHRINK_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum time for cancelled requests to roll back, and then for background tasks to end.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

/// The generation that is served, behind a pointer that [`swap`](Self::swap) replaces atomically.
#[derive(Debug)]
pub(crate) struct Live {
    current: ArcSwap<Stage>,
    places: Arc<Places>,
    /// Running requests of all generations.
    running: TaskTracker,
    /// Background tasks of all generations.
    background: TaskTracker,
    /// Cancels the requests of all generations.
    cut_off: CancellationToken,
    drain_timeout: Duration,
    /// Requests of clients that have no response yet.
    in_flight: Arc<Addresses>,
}

/// A generation with the state that its requests share.
#[derive(Debug)]
struct Stage {
    exchange: Arc<Exchange>,
    folders: Folders,
    /// `None` if no response is compressed.
    compression: Option<Arc<Compression>>,
    /// `None` if no response gets further header fields.
    fields: Option<Arc<Fields>>,
    /// Stops the workers of its outboxes and the task that drops its idle instances.
    retired: CancellationToken,
}

impl Live {
    /// Serves a first generation. Its configuration and engine set the maximum number of concurrent requests, and its
    /// configuration the drain timeout. Later generations change neither.
    pub(crate) fn new(generation: Generation) -> Arc<Self> {
        let config = &generation.config.server;
        let (total, drain_timeout) = (generation.engine.requests(config.max_concurrent_requests), config.drain_timeout);
        let (running, cut_off) = (TaskTracker::new(), CancellationToken::new());
        let (places, background) = (Arc::new(Places::new(total, config)), TaskTracker::new());
        let first = stage(generation, &places, &running, &cut_off, &background);
        Arc::new(Self {
            current: ArcSwap::from_pointee(first),
            places,
            running,
            background,
            cut_off,
            drain_timeout,
            in_flight: Arc::default(),
        })
    }

    /// Returns the generation that is served now.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.current.load().exchange.generation.clone()
    }

    /// Returns whether the peer of a connection is a proxy that names its client.
    pub(super) fn is_proxy(&self, address: Option<IpAddr>) -> bool {
        forwarded::is_trusted(&self.current.load().exchange.generation.config.server.trusted_proxies, address)
    }

    /// Answers a request of `peer` by the current generation.
    pub(super) async fn answer(&self, mut request: Request, mut peer: Peer) -> Answered {
        let (target, exchange, compression, fields, admission) = {
            let stage = self.current.load();
            let config = &stage.exchange.generation.config.server;
            if !config.trusted_proxies.is_empty() {
                peer = forwarded::client(config, request.headers_mut(), peer);
            }
            let fields = stage.fields.clone().map(|fields| (Fields::asked(&request), fields));
            if let Some((asked, fields)) = &fields
                && let Some(headers) = fields.preflight(asked)
            {
                return exchange::answer_preflight(request.into_parts().0, peer, headers);
            }
            let admission = match limits::admit(&stage.exchange.generation, &self.in_flight, &request, peer) {
                Ok(admission) => admission,
                Err(failure) => {
                    return dress(exchange::refuse_head(request.into_parts().0, peer, &failure), fields);
                }
            };
            let path = request.uri().path();
            let target = stage.folders.target(path, || stage.exchange.generation.routes.pattern(path));
            (target, stage.exchange.clone(), stage.compression.clone(), fields, admission)
        };
        let compression = compression.map(|compression| (Compression::wish(&request), compression));
        let mut answered = dispatch(target, exchange, request, peer).await;
        admission.describe(answered.response.headers_mut());
        let answered = dress(answered, fields);
        match compression {
            None => answered,
            Some((wish, compression)) => {
                Answered { response: compression.apply(wish, answered.response).await, access: answered.access }
            }
        }
    }

    /// Serves another generation from the next request on. Running requests finish on the old generation; requests that
    /// still run after the drain timeout are rolled back.
    pub(crate) fn swap(&self, generation: Generation) {
        let next = stage(generation, &self.places, &self.running, &self.cut_off, &self.background);
        let old = self.current.swap(Arc::new(next));
        old.retired.cancel();
        let in_flight = old.exchange.running.len();
        self.background.spawn(drain(old, in_flight, self.drain_timeout));
    }

    /// Returns how many requests run and wait.
    pub(super) fn load(&self) -> metrics::Load {
        self.places.load()
    }

    /// Returns the number of running requests of all generations.
    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Waits until all requests have ended. The caller ensures that no further request begins.
    pub(super) async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Cancels the running requests, and returns how many of them have not ended within [`CANCEL_TIMEOUT`].
    pub(super) async fn cut_off(&self) -> usize {
        self.cut_off.cancel();
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, self.drained()).await;
        self.running.len()
    }

    /// Stops the background tasks, and closes the databases.
    pub(super) async fn close(&self) {
        let current = self.current.load_full();
        current.retired.cancel();
        self.background.close();
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, self.background.wait()).await;
        for (_, database) in current.exchange.generation.all_databases() {
            database.close();
        }
    }
}

/// Adds the configured header fields to a response.
fn dress(answered: Answered, fields: Option<(Asked, Arc<Fields>)>) -> Answered {
    match fields {
        None => answered,
        Some((asked, fields)) => Answered { response: fields.apply(asked, answered.response), ..answered },
    }
}

/// Answers a request by the application or by a folder.
async fn dispatch(target: Target, exchange: Arc<Exchange>, request: Request, peer: Peer) -> Answered {
    let (folder, is_last) = match target {
        Target::Application => return exchange::serve(exchange, request, peer).await,
        Target::Folder(folder) => (folder, true),
        Target::FileOrApplication(folder) => (folder, false),
    };
    let begun = Access::begin();
    // Boxed: otherwise the future of every request would contain the large future that reads a file.
    let response = Box::pin(folder.answer(&request, is_last)).await;
    match is_last || has_file(&response) {
        true => exchange::answer_with_file(response, folder.prefix(), (request, peer), begun),
        false => exchange::serve(exchange, request, peer).await,
    }
}

/// Builds the stage of a generation, and starts its background tasks. This must not fail: a deployed generation is
/// recorded as active before it is served.
fn stage(
    generation: Generation,
    places: &Arc<Places>,
    all: &TaskTracker,
    cut_off: &CancellationToken,
    background: &TaskTracker,
) -> Stage {
    metrics::serving(&generation.id);
    let generation = Arc::new(generation);
    let retired = CancellationToken::new();
    let (shrunk, until) = (generation.clone(), retired.clone());
    background.spawn(task::persist("shrink", move || shrink(shrunk.clone(), until.clone())));
    let databases = generation.config.all_databases().zip(generation.all_databases());
    for ((_, settings), (_, database)) in databases.filter(|_| generation.runs_actions()) {
        for _ in 0..settings.outbox_workers {
            let (delivered, database, until) = (generation.clone(), database.clone(), retired.clone());
            let work = move || delivery::work(delivered.clone(), database.clone(), until.clone());
            background.spawn(task::persist("outbox", work));
        }
        if generation.config.server.metrics.is_some() {
            let (database, until) = (database.clone(), retired.clone());
            let measure = move || delivery::measure(database.clone(), until.clone());
            background.spawn(task::persist("outbox metrics", measure));
        }
    }
    let exchange = Arc::new(Exchange {
        places: places.clone(),
        places_per_request: places.of_request(&generation),
        routes: RoutePlaces::of_all(&generation, places),
        generation,
        running: TaskTracker::new(),
        all: all.clone(),
        cut_off: cut_off.child_token(),
    });
    let folders = Folders::new(&exchange.generation.config.static_files);
    let compression = Compression::new(&exchange.generation.config.server).map(Arc::new);
    let fields = Fields::new(&exchange.generation.config).map(Arc::new);
    Stage { exchange, folders, compression, fields, retired }
}

/// Drops idle instances that no request has needed and the counts of idle clients, until the generation is retired.
async fn shrink(generation: Arc<Generation>, retired: CancellationToken) {
    while tokio::time::timeout(SHRINK_INTERVAL, retired.cancelled()).await.is_err() {
        generation.components.iter().for_each(|component| component.shrink());
        generation.rates.forget();
    }
}

/// Waits until the last request of a retired generation has ended. Cancels the requests that still run after `timeout`.
async fn drain(old: Arc<Stage>, in_flight: usize, timeout: Duration) {
    let (begun, exchange) = (Instant::now(), &old.exchange);
    let generation = &exchange.generation.id;
    exchange.running.close();
    if tokio::time::timeout(timeout, exchange.running.wait()).await.is_err() {
        let left = exchange.running.len();
        tracing::warn!(
            generation,
            left,
            "drain_timeout is over: rolling back the remaining requests of the old generation"
        );
        exchange.cut_off.cancel();
        exchange.running.wait().await;
    }
    let ms = telemetry::millis(begun.elapsed());
    tracing::info!(generation, in_flight, ms, "the old generation has drained");
}
