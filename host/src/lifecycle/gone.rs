//! A client that goes away while its request runs. The request is rolled back; whether it is cut off is a matter of time.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::error::Failure;

/// How long a request may go on whose client has gone. A statement that ends in this time costs a rollback; one that is cut
/// off costs its connection, and all who wait for it the time to make another.
const LAST_STATEMENT: Duration = Duration::from_millis(50);

/// Whether the client has gone.
#[derive(Default)]
pub(super) struct Gone(AtomicBool);

impl Gone {
    /// Ready when the request is to be cut off, some time after it was `abandoned`.
    pub(super) async fn for_long(&self, abandoned: impl Future<Output = ()>) {
        abandoned.await;
        self.0.store(true, Relaxed);
        tokio::time::sleep(LAST_STATEMENT).await;
    }

    /// Why a request is rolled back that came to its verdict by itself.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.0.load(Relaxed).then(Failure::abandoned)
    }
}
