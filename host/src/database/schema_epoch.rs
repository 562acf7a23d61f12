//! Tracks which connections of a pool were opened after the last known change of the schema. The pool lends no other
//! connections again.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// Minimum time between two renewals that failed statements cause. A guest can cause such failures, but must not be
/// able to make the host reopen all connections of a pool for each request.
const PAUSE: Duration = Duration::from_secs(1);

/// Counter of the renewals of a pool. Each connection stores the value that the counter had when the connection was
/// opened.
#[derive(Debug, Default)]
pub(super) struct SchemaEpoch {
    current: AtomicU64,
    last_failure: Mutex<Option<Instant>>,
}

impl SchemaEpoch {
    /// Returns the [`SchemaEpoch`] counter, to be stored in a connection that is about to be opened.
    pub(super) fn current(&self) -> u64 {
        self.current.load(SeqCst)
    }

    /// Retires all open connections: the pool does not lend them again.
    pub(super) fn renew(&self) {
        self.current.fetch_add(1, SeqCst);
    }

    /// Retires all open connections, after a statement failed on a connection that was opened at `schema_epoch`,
    /// because the statement was prepared before the schema changed. Does nothing if the connections of this epoch are
    /// retired already, or within [`PAUSE`] of the last such renewal. In the latter case each stale connection is
    /// retired when a statement fails on it.
    pub(super) fn renew_after(&self, schema_epoch: u64) {
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = last.is_some_and(|last| last.elapsed() < PAUSE);
        if !is_soon && self.current.compare_exchange(schema_epoch, schema_epoch + 1, SeqCst, SeqCst).is_ok() {
            *last = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_retires_all_connections_of_its_epoch() {
        let schema_epoch = SchemaEpoch::default();
        schema_epoch.renew_after(0);
        assert_eq!(schema_epoch.current(), 1);
        schema_epoch.renew_after(0);
        schema_epoch.renew_after(1);
        assert_eq!(schema_epoch.current(), 1, "within the pause");
        schema_epoch.renew();
        assert_eq!(schema_epoch.current(), 2);
    }
}
