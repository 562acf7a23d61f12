//! Body of a response with streamed rows. It holds the places of the request until its end, and ends the request:
//! after the last row, after an error, or when the client disconnects.

use std::{
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::{
    task::AbortHandle,
    time::{Sleep, sleep},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Exchange, access::End, admission::Admitted, log_end};
use crate::{
    lifecycle::{Cut, Streaming},
    message::Request,
};

/// Time before a response is cut off. hyper discards the head and the pieces that it has not written yet when the body
/// returns an error.
const FLUSH_TIME: Duration = Duration::from_millis(100);

/// Rows as the body of a response.
pub(super) struct RowsBody {
    rows: Arc<Mutex<State>>,
    watch: AbortHandle,
    /// Time until an error is returned.
    delay: Option<Pin<Box<Sleep>>>,
}

enum State {
    Streaming(Active),
    /// The host has ended the stream before its last row.
    Cut,
    Ended,
}

/// A request that streams rows, with its places.
struct Active {
    streaming: Box<Streaming>,
    request: Arc<Request>,
    exchange: Arc<Exchange>,
    admitted: Option<Admitted>,
    /// Place for the end of the request, for the access log.
    end: Option<Arc<OnceLock<End>>>,
    /// Task that waits for the next piece.
    waker: Option<Waker>,
    _running: [TaskTrackerToken; 2],
}

impl RowsBody {
    /// Returns the body for the rows of `streaming`. Starts a task that cuts the stream off in time, because hyper does
    /// not poll the body while the client does not read.
    pub(super) fn new(
        streaming: Box<Streaming>,
        request: Arc<Request>,
        (exchange, admitted): (Arc<Exchange>, Option<Admitted>),
        running: [TaskTrackerToken; 2],
        end: Option<Arc<OnceLock<End>>>,
    ) -> Self {
        let (timeout, cut_off) = (streaming.rows().timeout(), exchange.cut_off.clone());
        let active = Active { streaming, request, exchange, admitted, end, waker: None, _running: running };
        let rows = Arc::new(Mutex::new(State::Streaming(active)));
        let watched = rows.clone();
        let watch = tokio::spawn(async move {
            let cut = tokio::select! {
                () = cut_off.cancelled() => Cut::Drained,
                () = sleep(timeout) => Cut::TimedOut,
            };
            let mut state = lock(&watched);
            if let State::Streaming(active) = mem::replace(&mut *state, State::Cut) {
                let waker = active.end(Some(cut));
                drop(state);
                waker.into_iter().for_each(Waker::wake);
            }
        });
        Self { rows, watch: watch.abort_handle(), delay: None }
    }

    /// Ends the request without its rows, for a response without a body.
    pub(super) fn omit(self) {
        self.end(None, State::Ended);
    }

    fn end(&self, cut: Option<Cut>, next: State) {
        self.watch.abort();
        if let State::Streaming(active) = mem::replace(&mut *lock(&self.rows), next) {
            active.end(cut);
        }
    }
}

impl Active {
    /// Returns the next piece. If the host panics, the stream ends.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        match catch_unwind(AssertUnwindSafe(|| self.streaming.poll_next(cx))) {
            Ok(Poll::Pending) => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(Poll::Ready(piece)) => Poll::Ready(piece.map(|piece| piece.map_err(Cut::Failed))),
            Err(_) => Poll::Ready(Some(Err(Cut::Panicked))),
        }
    }

    /// Ends the request, and returns the task that waits for the next piece.
    fn end(self, cut: Option<Cut>) -> Option<Waker> {
        let Self { streaming, request, exchange, admitted, end, waker, _running } = self;
        let ended = streaming.end(cut);
        drop(admitted);
        log_end(&exchange.generation, &request, &ended);
        if let Some(end) = end {
            let _ = end.set(End::ran(&ended));
        }
        waker
    }
}

impl Body for RowsBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let polled = match &mut *lock(&self.rows) {
            State::Streaming(active) => Some(ready!(active.poll_next(cx))),
            State::Cut => None,
            State::Ended => return Poll::Ready(None),
        };
        match polled {
            Some(Some(Ok(piece))) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
            Some(None) => {
                self.end(None, State::Ended);
                return Poll::Ready(None);
            }
            Some(Some(Err(cut))) => self.end(Some(cut), State::Cut),
            None => {}
        }
        let delay = self.delay.get_or_insert_with(|| Box::pin(sleep(FLUSH_TIME)));
        ready!(delay.as_mut().poll(cx));
        Poll::Ready(Some(Err(CutOff)))
    }
}

impl Drop for RowsBody {
    fn drop(&mut self) {
        self.end(Some(Cut::Disconnected), State::Ended);
    }
}

/// Error that ends a response abnormally.
#[derive(Debug, thiserror::Error)]
#[error("the rows of the response were cut off")]
pub(super) struct CutOff;

impl fmt::Debug for RowsBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsBody").finish_non_exhaustive()
    }
}

fn lock(rows: &Mutex<State>) -> MutexGuard<'_, State> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
