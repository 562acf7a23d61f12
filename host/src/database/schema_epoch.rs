//! Age of the connections of a pool. The pool lends a connection again only if it was opened after the last known
//! change of the schema.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// Minimum time between two renewals that failed statements cause. A guest can cause such failures, and must not make
/// the host reopen all connections of a pool for each request.
const PAUSE: Duration = Duration::from_secs(1);

/// Counter of the renewals of a pool. Each connection stores its value at the time when it was opened.
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

    /// Retires all connections that are open.
    pub(super) fn renew(&self) {
        self.current.fetch_add(1, SeqCst);
    }

    /// Retires the connections of this schema_epoch, after a statement on one of them failed because it was prepared before
    /// the schema changed. Does nothing within [`PAUSE`] of the last such renewal; then each stale connection is
    /// retired by its own failure.
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
    fn one_failure_retires_all_that_are_as_old() {
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
