//! HTTP/2 streams whose clients do not read: records the progress of each stream's response, and resets a stream
//! without progress.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// When the response of this task's HTTP/2 stream last made progress. `None` while the stream waits for the host.
    static PROGRESS: Cell<Option<Instant>>;
}

/// Records that the response of this task's stream has made progress.
pub(super) fn made_progress() {
    let _ = PROGRESS.try_with(|progress| progress.set(Some(Instant::now())));
}

/// Records that this task's stream waits for the host.
pub(super) fn waits_for_host() {
    let _ = PROGRESS.try_with(|progress| progress.set(None));
}

/// Executor of HTTP/2 streams. It drops a stream if the response makes no progress within `send_timeout`, which resets
/// the stream.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    send_timeout: Duration,
}

impl Streams {
    pub(super) fn new(send_timeout: Duration) -> Self {
        Self { send_timeout }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let timeout = self.send_timeout;
        let stream = async move {
            tokio::select! {
                // A stream that ends at once needs no timer.
                biased;
                () = stream => {}
                () = stalled(timeout) => tracing::debug!("a stream was reset: its client does not read the response"),
            }
        };
        tokio::spawn(PROGRESS.scope(Cell::new(None), stream));
    }
}

/// Resolves once the response of this task has made no progress for `timeout`.
async fn stalled(timeout: Duration) {
    loop {
        // This future needs no waker: the same task polls the stream first and then this future, which thus sees every
        // change of `PROGRESS`.
        let since = poll_fn(|_| PROGRESS.with(Cell::get).map_or(Poll::Pending, Poll::Ready)).await;
        sleep_until(since + timeout).await;
        if PROGRESS.with(Cell::get) == Some(since) {
            return;
        }
    }
}
