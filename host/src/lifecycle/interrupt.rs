//! Interruptions of a request before its verdict: the client disconnects, the host shuts down, the request takes too
//! long, or the host panics. The host rolls back an interrupted request.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::FutureExt;

use crate::error::Failure;

/// How long an abandoned request may continue. A statement that ends within this time costs only a rollback. A
/// cancelled statement costs its connection, and callers that wait for a connection must wait until the pool has opened
/// another.
const ABANDONED_TIMEOUT: Duration = Duration::from_millis(50);

/// Whether a request has been abandoned: its client has disconnected, or the host is shutting down.
#[derive(Default)]
pub(super) struct Abandonment(AtomicBool);

impl Abandonment {
    /// Resolves when the request must be cancelled: after `time_limit`, or [`ABANDONED_TIMEOUT`] after `abandoned` has
    /// resolved. Returns the failure of the request.
    pub(super) async fn interruption(&self, time_limit: Duration, abandoned: impl Future<Output = ()>) -> Failure {
        let abandoned = async {
            abandoned.await;
            self.0.store(true, Relaxed);
            tokio::time::sleep(ABANDONED_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep(time_limit) => Failure::too_slow(),
            () = abandoned => Failure::abandoned(),
        }
    }

    /// Runs `work` until `interruption` resolves; the caller then drops `work`, which cancels it. The caller also pins
    /// `work`, because otherwise the future of this function would contain it twice.
    ///
    /// # Errors
    ///
    /// Returns a failure if the request was interrupted. An abandoned request fails even if `work` ends within
    /// [`ABANDONED_TIMEOUT`].
    pub(super) async fn run_until<T>(
        &self,
        work: Pin<&mut impl Future<Output = T>>,
        interruption: Pin<&mut impl Future<Output = Failure>>,
    ) -> Result<T, Failure> {
        let result = tokio::select! {
            // Poll `work` first: a request that never waits does not start the timers.
            biased;
            result = AssertUnwindSafe(work).catch_unwind() => {
                result.map_err(|_| Failure::host("the host panicked; the panic is in the log"))?
            }
            failure = interruption => return Err(failure),
        };
        if self.0.load(Relaxed) { Err(Failure::abandoned()) } else { Ok(result) }
    }
}
