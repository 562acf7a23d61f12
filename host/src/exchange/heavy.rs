//! Threads for requests that use much processor time. Their priority is lower, so that the threads of other requests
//! run first. A request moves there once it has used its share; the next requests of its route begin there if the recent
//! ones have used much on average.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use rustix::{process::setpriority_process, thread::gettid};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
};
use tokio_util::sync::PollSemaphore;

/// Processor time that work may use on the caller's task. Guests yield every 10 ms. Without optimization, the host and
/// its compiler need about ten times as long.
pub(super) const SHARE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 10 });

/// Time that a failure of a guest counts. A trap takes a fraction of a millisecond, but a guest that always traps ends so
/// many requests that the others wait for them. With this time, a route is slow if more than one in eight requests fails.
const FAILURE: Duration = SHARE.saturating_mul(4);

/// Nice value of the threads.
const NICE: i32 = 10;

/// Returns the runtime, which has as many threads as the machine has cores. The first call starts the threads. Returns
/// `None` if that fails.
pub(super) fn runtime() -> Option<&'static Handle> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        let built = Builder::new_multi_thread()
            .thread_name("carya-heavy")
            .on_thread_start(|| {
                if let Err(error) = setpriority_process(Some(gettid()), NICE) {
                    tracing::debug!(%error, "the priority of a thread could not be lowered");
                }
            })
            .enable_all()
            .build();
        built.inspect_err(|error| tracing::error!(%error, "the threads for long calls could not be started")).ok()
    };
    RUNTIME.get_or_init(start).as_ref().map(Runtime::handle)
}

/// The processor time of a route's recent requests, and the permits of its component.
#[derive(Debug)]
pub(super) struct Pace {
    /// Permits for the polls of work on the threads of this module, shared by all routes of a component.
    turns: Arc<Semaphore>,
    /// Moving average of the time that the polls of a request take, in microseconds.
    average_us: AtomicU32,
}

impl Pace {
    pub(super) fn new(turns: Arc<Semaphore>) -> Self {
        Self { turns, average_us: AtomicU32::new(0) }
    }

    /// Returns whether a request is expected to use much processor time.
    pub(super) fn is_slow(&self) -> bool {
        Duration::from_micros(self.average_us.load(Relaxed).into()) > SHARE / 2
    }

    /// Records a failure of a guest.
    pub(super) fn record_failure(&self) {
        self.record(FAILURE);
    }

    /// Records the time of a request.
    pub(super) fn record(&self, used: Duration) {
        let (used, old) = (u32::try_from(used.as_micros()).unwrap_or(u32::MAX), self.average_us.load(Relaxed));
        let new = old - old / 8 + used / 8;
        // Most routes have a steady average. Without a write, the processors share the line of the cache.
        if new != old {
            self.average_us.store(new, Relaxed);
        }
    }
}

/// Work that needs a permit for each of its polls, so that the components take turns, however many calls each has. The
/// work releases the permit after each poll: between two polls it may hold row locks that other work waits for.
pub(super) struct InTurn<F> {
    work: Pin<Box<F>>,
    turns: PollSemaphore,
    pace: Arc<Pace>,
    used: Duration,
}

impl<F> InTurn<F> {
    /// `used` is the time that the polls of the work have taken so far.
    pub(super) fn new(work: Pin<Box<F>>, pace: Arc<Pace>, used: Duration) -> Self {
        Self { work, turns: PollSemaphore::new(pace.turns.clone()), pace, used }
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // The semaphore is never closed, so there is always a permit.
        let _permit = ready!(self.turns.poll_acquire(context));
        let begun = Instant::now();
        let polled = self.work.as_mut().poll(context);
        self.used += begun.elapsed();
        if polled.is_ready() {
            self.pace.record(self.used);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_slow_by_its_recent_requests() {
        let pace = Pace::new(Arc::new(Semaphore::new(1)));
        let record = |count: usize, used: Duration| {
            (0..count).for_each(|_| pace.record(used));
            pace.is_slow()
        };
        let table = [(1, SHARE, false), (20, SHARE, true), (3, SHARE / 100, true), (20, SHARE / 100, false)];
        for (count, used, expected) in table {
            assert_eq!(record(count, used), expected, "{count} requests of {used:?}");
        }
        // One request of any length is no reason to move the next ones, unless it is very long.
        assert!(!record(1, 3 * SHARE) && record(1, 100 * SHARE));
        assert!(!record(100, Duration::ZERO));
        pace.record_failure();
        assert!(!record(8, Duration::ZERO), "one of nine requests fails");
        (0..3).for_each(|_| pace.record_failure());
        assert!(record(1, Duration::ZERO), "most requests fail");
    }
}
