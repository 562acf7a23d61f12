//! Admission of requests. A request takes a place out of `server.max_concurrent_requests`, one of its component, one of
//! its route if the route has a limit, and one of the places for routes with a database. If one of them is not free, the
//! request waits in order of arrival.

use std::{collections::BTreeMap, num::NonZero, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use super::{Exchange, heavy::Pace};
use crate::{
    component::Engine,
    config::{self, Access},
    error::Failure,
    generation::{Generation, Handler},
    quota::{Quota, Share},
    telemetry::metrics,
};

/// Maximum time that a request waits for its places. Then the reply has the status 503.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Places of all generations.
#[derive(Debug)]
pub(crate) struct Places {
    running: Semaphore,
    /// Places that routes with a database may take. The other places stay free while databases do not answer.
    with_database: Semaphore,
    total: usize,
    /// Requests that wait.
    waiting: Quota,
    /// Bytes of bodies that are being received.
    pub(super) receiving: Quota,
}

/// The places of a route.
#[derive(Debug)]
pub(crate) struct RoutePlaces {
    component: Arc<ComponentPlaces>,
    route: Option<Semaphore>,
    uses_database: bool,
    pace: Arc<Pace>,
}

/// The places of a component, for all its routes.
#[derive(Debug)]
struct ComponentPlaces {
    name: Arc<str>,
    running: Semaphore,
    waiting: Quota,
    /// Permits for the polls of calls that have used much processor time.
    turns: Arc<Semaphore>,
}

impl Places {
    /// Makes `total` places, with the limits of `server` on requests that wait and on bodies.
    pub(crate) fn new(total: usize, server: &config::Server) -> Self {
        Self {
            running: Semaphore::new(total),
            with_database: Semaphore::new(total - total / 4),
            total,
            waiting: Quota::at_most(server.max_waiting.unwrap_or(total)),
            receiving: Quota::at_most(server.max_receiving),
        }
    }

    /// Returns how many places are taken, and how many requests wait.
    pub(crate) fn load(&self) -> metrics::Load {
        metrics::Load { taken: self.total - self.running.available_permits(), waiting: self.waiting.now() }
    }

    /// Returns how many places a request of the generation takes. A request takes more than one if the generation has
    /// long hook chains, since each guest of a request needs an instance.
    pub(crate) fn of_request(&self, generation: &Generation) -> u32 {
        // A request that needs more than all places would wait forever.
        let weight = Engine::weight(generation.guests()).min(self.total - self.total / 4);
        u32::try_from(weight).unwrap_or(u32::MAX)
    }
}

impl RoutePlaces {
    /// Makes the places of all routes of a generation, in the order of [`Generation::handlers`].
    pub(crate) fn of_all(generation: &Generation, places: &Places) -> Vec<Self> {
        let mut components = BTreeMap::new();
        let routes = generation.handlers.iter().zip(&generation.config.routes);
        let places = routes.map(|(handler, route)| {
            let name = handler.controller.name();
            let component = components
                .entry(name.clone())
                .or_insert_with(|| Arc::new(ComponentPlaces::new(name, generation, places)));
            Self {
                component: component.clone(),
                route: route.max_concurrent.map(Semaphore::new),
                uses_database: uses_database(generation, handler),
                pace: Arc::new(Pace::new(component.turns.clone())),
            }
        });
        places.collect()
    }
}

fn uses_database(generation: &Generation, handler: &Handler) -> bool {
    handler.access != Some(Access::None) && generation.database(handler.database.as_deref()).is_some()
}

impl ComponentPlaces {
    fn new(name: &Arc<str>, generation: &Generation, places: &Places) -> Self {
        let half = |count: usize| (count / 2).max(1);
        let default = || half(places.total / places.of_request(generation) as usize);
        let config = &generation.config;
        let own = config.components.get(&**name).and_then(|component| component.max_concurrent);
        let running = own.or(config.server.max_concurrent_per_component).unwrap_or_else(default);
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            name: name.clone(),
            running: Semaphore::new(running),
            waiting: Quota::at_most(half(places.waiting.max())),
            turns: Arc::new(Semaphore::new(2 * cores)),
        }
    }
}

/// The limits of concurrent requests, in the order in which each request acquires their permits: the narrowest first, so
/// that a request that waits for its route keeps no permit of its component.
const LIMITS: [Limit; 4] = [Limit::Route, Limit::Component, Limit::Database, Limit::All];

/// A limit of concurrent requests.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Route,
    Component,
    Database,
    All,
}

impl Limit {
    /// Returns the failure of a request that waited for this limit. `route` is its route.
    fn failure(self, route: Option<&RoutePlaces>) -> Failure {
        let name = route.map_or("", |route| &route.component.name);
        Failure::overloaded(&match self {
            Self::Route => format!("max_concurrent of a route of the component `{name}`"),
            Self::Component => format!("max_concurrent of the component `{name}`"),
            Self::Database => "server.max_concurrent_requests for routes with a database".to_owned(),
            Self::All => "server.max_concurrent_requests".to_owned(),
        })
    }
}

/// A request with its places, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    exchange: Arc<Exchange>,
    route: Option<usize>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        for (semaphore, permits) in self.exchange.semaphores(self.route).into_iter().flatten() {
            semaphore.add_permits(permits as usize);
        }
    }
}

impl Exchange {
    /// Returns the semaphores of a request, each with the number of permits to acquire, in the order of [`LIMITS`].
    /// `route` is the index of its route, or `None` if only hooks run.
    fn semaphores(&self, route: Option<usize>) -> [Option<(&Semaphore, u32)>; LIMITS.len()] {
        let (places, weight) = (&*self.places, self.places_per_request);
        let route = route.map(|route| &self.routes[route]);
        [
            route.and_then(|route| Some((route.route.as_ref()?, 1))),
            route.map(|route| (&route.component.running, 1)),
            route.filter(|route| route.uses_database).map(|_| (&places.with_database, weight)),
            Some((&places.running, weight)),
        ]
    }

    /// Returns the pace of a route.
    pub(super) fn pace(&self, route: Option<usize>) -> Option<Arc<Pace>> {
        route.map(|route| self.routes[route].pace.clone())
    }

    /// Records a failure of the guest of a route.
    pub(super) fn record_failure(&self, route: Option<usize>) {
        if let Some(route) = route {
            self.routes[route].pace.record_failure();
        }
    }
}

/// Waits until the request may run. The caller must keep the returned value while the request runs. It is `None` if no
/// guest runs.
pub(super) async fn admit(exchange: &Arc<Exchange>, route: Option<usize>) -> Result<Option<Admitted>, Failure> {
    if route.is_none() && exchange.generation.global.all().is_empty() {
        return Ok(None);
    }
    let is_free = {
        let mut permits = [const { None }; LIMITS.len()];
        let is_free = exchange.semaphores(route).into_iter().zip(&mut permits).all(|(semaphore, permit)| {
            let Some((semaphore, count)) = semaphore else { return true };
            *permit = semaphore.try_acquire_many(count).ok();
            permit.is_some()
        });
        if is_free {
            permits.into_iter().flatten().for_each(SemaphorePermit::forget);
        }
        is_free
    };
    if !is_free {
        // Boxed, because few requests wait, but the future of every request would contain this one.
        Box::pin(wait(exchange, route)).await?;
    }
    Ok(Some(Admitted { exchange: exchange.clone(), route }))
}

/// Acquires the permits of a request one after the other, in order of arrival, and forgets them.
async fn wait(exchange: &Exchange, route: Option<usize>) -> Result<(), Failure> {
    let (until, places) = (Instant::now() + MAX_WAIT, route.map(|route| &exchange.routes[route]));
    // A component that answers slowly must not fill the queue of all.
    let limit = "half of server.max_waiting, for one component";
    let _of_component = places.map(|places| queue(&places.component.waiting, limit)).transpose()?;
    let _of_all = queue(&exchange.places.waiting, "server.max_waiting")?;
    let mut permits = [const { None }; LIMITS.len()];
    for ((semaphore, permit), limit) in exchange.semaphores(route).into_iter().zip(&mut permits).zip(LIMITS) {
        let Some((semaphore, count)) = semaphore else { continue };
        match timeout_at(until, semaphore.acquire_many(count)).await {
            Ok(Ok(acquired)) => *permit = Some(acquired),
            Ok(Err(_)) | Err(_) => return Err(limit.failure(places)),
        }
    }
    permits.into_iter().flatten().for_each(SemaphorePermit::forget);
    Ok(())
}

/// Counts a request as one that waits, until the returned value is dropped. Fails if too many wait; `limit` names their
/// maximum number.
fn queue<'a>(waiting: &'a Quota, limit: &str) -> Result<Share<&'a Quota>, Failure> {
    let mut share = Share::of(waiting);
    share.add(1).map_err(|_| Failure::queue_full(limit))?;
    Ok(share)
}
