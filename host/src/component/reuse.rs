//! Instances that outlive their request, where the configuration of a component asks for it. Each has a store of its
//! own, which the request's state visits for the length of a call; whatever ends badly is not used again.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Store, component::Instance};

use super::store::Guest;

/// How long an instance waits for another request.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An instance in a store of its own.
pub(super) struct Reused {
    pub(super) component: usize,
    pub(super) store: Store<Guest>,
    /// Made by the first call.
    pub(super) instance: Option<Instance>,
    /// Where it waits between requests, for as long as its component is there.
    idle: Weak<Idle>,
    requests: u32,
}

/// One that waits.
struct Waiting {
    reused: Reused,
    since: Instant,
    /// Its share of the engine's instances.
    _share: OwnedSemaphorePermit,
}

/// The instances of one component that wait for their next request.
pub(super) struct Idle {
    max_requests: u32,
    /// What instances of all components may hold while they do nothing.
    shares: Arc<Semaphore>,
    /// The last to come is the first to go: its memory is warm, and the others get old.
    waiting: Mutex<Vec<Waiting>>,
}

impl Idle {
    pub(super) fn new(max_requests: u32, shares: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self { max_requests, shares, waiting: Mutex::default() })
    }

    /// An instance that served before, or a store for a new one.
    pub(super) fn take(self: &Arc<Self>, component: usize, store: impl FnOnce() -> Store<Guest>) -> Reused {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match waiting {
            Some(waiting) => waiting.reused,
            None => Reused { component, store: store(), instance: None, idle: Arc::downgrade(self), requests: 0 },
        }
    }

    /// Lets go of those that nobody has needed for a while.
    pub(super) fn shrink(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let young = waiting.partition_point(|waiting| waiting.since.elapsed() > LONGEST_WAIT);
        let old: Vec<Waiting> = waiting.drain(..young).collect();
        drop(waiting);
        drop(old);
    }
}

impl Reused {
    /// Waits for the next request, if there may be one.
    pub(super) fn give_back(mut self) {
        self.requests += 1;
        let Some(idle) = self.idle.upgrade().filter(|idle| self.requests < idle.max_requests) else { return };
        // Without a share others need the room more.
        if let Ok(share) = idle.shares.clone().try_acquire_owned() {
            let waiting = Waiting { reused: self, since: Instant::now(), _share: share };
            idle.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_go_with_their_component() {
        let engine = wasmtime::Engine::default();
        let shares = Arc::new(Semaphore::new(2));
        let idle = Idle::new(10, shares.clone());
        let store = || Store::new(&engine, Guest::nobodys());
        let (one, two, three) = (idle.take(0, store), idle.take(0, store), idle.take(0, store));
        [one, two, three].into_iter().for_each(Reused::give_back);
        assert_eq!(shares.available_permits(), 0, "two wait, for the third there is no room");
        let again = idle.take(0, || unreachable!("two wait"));
        assert_eq!(shares.available_permits(), 1, "who runs needs no share");
        drop(idle);
        again.give_back();
        assert_eq!(shares.available_permits(), 2, "nobody waits any more");
    }
}
