//! Bodies of requests that must arrive steadily: a client that sends a body a few bytes at a time holds its memory.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::quota::{Quota, Share};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes that must arrive within each time limit, or the end of the body.
const PROGRESS: usize = 16 << 10;

/// Error of a body that does not arrive steadily.
#[derive(Debug, thiserror::Error)]
#[error("the client did not send 16 KiB of the body in time")]
pub(super) struct Stalled;

/// Error of a body that does not fit beside the other bodies that are being received.
#[derive(Debug, thiserror::Error)]
#[error("the bodies that are being received are too large")]
pub(super) struct Full;

/// A body that fails with [`Stalled`] if less than [`PROGRESS`] bytes arrive within a time limit, and with [`Full`] if the
/// bytes that have arrived exceed the quota of all bodies.
pub(super) struct SteadyBody<'a, B> {
    body: B,
    limit: Duration,
    share: Share<&'a Quota>,
    /// Runs from the moment when the host first waits for the next [`PROGRESS`] bytes. A body that has arrived already
    /// needs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that have arrived since the timer was started.
    arrived: usize,
}

impl<'a, B> SteadyBody<'a, B> {
    pub(super) fn new(body: B, limit: Duration, share: Share<&'a Quota>) -> Self {
        Self { body, limit, share, timer: None, arrived: 0 }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for SteadyBody<'_, B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let limit = self.limit;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
            return timer.as_mut().poll(cx).map(|()| Some(Err(Stalled.into())));
        };
        let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if self.share.add(length).is_err() {
            return Poll::Ready(Some(Err(Full.into())));
        }
        self.arrived += length;
        if self.arrived >= PROGRESS {
            (self.timer, self.arrived) = (None, 0);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
