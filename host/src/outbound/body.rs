//! Bodies of outbound requests and of their responses.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

use super::{End, Failure};

type BoxError = Box<dyn Error + Send + Sync>;

/// Body of a request. If it is dropped before its end, the rest is read and discarded: a guest that still writes would
/// otherwise see its write fail, and some guest libraries report this error instead of the reason of the failure.
pub(crate) struct RequestBody(Option<UnsyncBoxBody<Bytes, BoxError>>);

impl RequestBody {
    /// Returns the body of a guest's request.
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Some(body.map_err(Into::into).boxed_unsync()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(mut body), Ok(runtime)) = (rest, Handle::try_current()) {
            // Ends at the latest when the guest's store is dropped.
            runtime.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}

/// Time limits that a guest sets for a request, in addition to those of the host.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timeouts {
    /// Maximum time until the head of the response.
    pub(crate) first_byte: Option<Duration>,
    /// Maximum time between two parts of the body of the response.
    pub(crate) between_bytes: Option<Duration>,
}

/// Body of a response, within the limits of the component.
pub(crate) struct ResponseBody {
    body: Incoming,
    left: usize,
    limits: Limits,
    deadline: Pin<Box<Sleep>>,
    silence: Option<Pin<Box<Sleep>>>,
    _held: Held,
}

/// Held until the end of the response: a place among the component's requests in flight, and the record's end, which
/// shows that the request still runs.
type Held = (OwnedSemaphorePermit, Arc<End>);

/// Limits of a response.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) max_response: usize,
    pub(super) timeouts: Timeouts,
}

impl ResponseBody {
    pub(super) fn new(body: Incoming, limits: Limits, held: Held) -> Self {
        let deadline = Box::pin(tokio::time::sleep_until(limits.deadline));
        let silence = limits.timeouts.between_bytes.map(|limit| Box::pin(tokio::time::sleep(limit)));
        Self { body, left: limits.max_response, limits, deadline, silence, _held: held }
    }

    /// Returns the failure of a response that does not go on, once it is due.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Failure::Timeout(self.limits.timeout));
        }
        match (&mut self.silence, self.limits.timeouts.between_bytes) {
            (Some(silence), Some(limit)) => silence.as_mut().poll(context).map(|()| Failure::Silence(limit)),
            _ => Poll::Pending,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            return this.poll_timeout(context).map(|failure| Some(Err(failure)));
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        Poll::Ready(Some(match frame {
            Ok(frame) => {
                if let (Some(silence), Some(limit)) = (&mut this.silence, this.limits.timeouts.between_bytes) {
                    silence.as_mut().reset(Instant::now() + limit);
                }
                match this.left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(left) => {
                        this.left = left;
                        Ok(frame)
                    }
                    None => Err(Failure::TooLong(this.limits.max_response)),
                }
            }
            Err(error) => Err(Failure::of(&error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
