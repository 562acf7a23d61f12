//! Requests that are abandoned while they run, because the client disconnects or the host shuts down. They are rolled
//! back, and cancelled if they do not end within [`LAST_STATEMENT`].

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::error::Failure;

/// How long an abandoned request may continue. A statement that ends within this time costs only a rollback. A
/// cancelled statement costs its connection, and waiters must wait until the pool has opened another one.
const LAST_STATEMENT: Duration = Duration::from_millis(50);

/// Whether a request has been abandoned.
#[derive(Default)]
pub(super) struct Gone(AtomicBool);

impl Gone {
    /// Resolves when the request is to be cancelled: [`LAST_STATEMENT`] after `abandoned` has resolved.
    pub(super) async fn for_long(&self, abandoned: impl Future<Output = ()>) {
        abandoned.await;
        self.0.store(true, Relaxed);
        tokio::time::sleep(LAST_STATEMENT).await;
    }

    /// Returns the failure of a request that reached its verdict after it was abandoned.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.0.load(Relaxed).then(Failure::abandoned)
    }
}
