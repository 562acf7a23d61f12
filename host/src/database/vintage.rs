//! The age of a pool's connections. The pool lends a connection again only if it was made after the last known change of the
//! schema.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// The shortest time between two renewals because of failed statements. A guest can make statements fail; it must not
/// have the host open all connections of a pool anew for each of its requests.
const PAUSE: Duration = Duration::from_secs(1);

/// The age of connections, counted in renewals of their pool.
#[derive(Debug, Default)]
pub(super) struct Vintage {
    current: AtomicU64,
    last_failure: Mutex<Option<Instant>>,
}

impl Vintage {
    /// The vintage of a connection that is about to be made.
    pub(super) fn current(&self) -> u64 {
        self.current.load(SeqCst)
    }

    /// Retires all connections that have been made.
    pub(super) fn renew(&self) {
        self.current.fetch_add(1, SeqCst);
    }

    /// Retires the connections that are as old as one of this vintage, on which a statement failed because it was prepared
    /// before the schema changed. Does nothing within a second of the last time: then each is found by itself.
    pub(super) fn renew_after(&self, vintage: u64) {
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = last.is_some_and(|last| last.elapsed() < PAUSE);
        if !is_soon && self.current.compare_exchange(vintage, vintage + 1, SeqCst, SeqCst).is_ok() {
            *last = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_retires_all_that_are_as_old() {
        let vintage = Vintage::default();
        vintage.renew_after(0);
        assert_eq!(vintage.current(), 1);
        vintage.renew_after(0);
        vintage.renew_after(1);
        assert_eq!(vintage.current(), 1, "within the pause");
        vintage.renew();
        assert_eq!(vintage.current(), 2);
    }
}
