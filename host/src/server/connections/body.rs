//! Bodies of requests between hyper and the handler: records whether the handler reads a body to its end. If the
//! handler does not, lets an HTTP/2 client send the rest of the body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body_util::BodyExt;
use hyper::{
    Error,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{
    activity::LINGER,
    connection::{Connection, MAX_DISCARDED},
};

/// Interval between two checks for an order to the connection.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Body of a request.
pub(super) struct RequestBody {
    /// `None` only while the body is dropped.
    body: Option<Incoming>,
    connection: Arc<Connection>,
    is_http1: bool,
    /// Whether `body` has returned its last frame. A chunked [`Incoming`] does not report its end otherwise.
    is_read: bool,
}

impl RequestBody {
    /// Returns `body` as the body for a handler.
    pub(super) fn wrap(body: Incoming, version: Version, connection: &Arc<Connection>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        let is_http1 = version < Version::HTTP_2;
        Body::new(Self { body: Some(body), connection: connection.clone(), is_http1, is_read: false })
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.is_read |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !self.is_read && !body.is_end_stream());
        match unread {
            // hyper closes the connection. See `Accepted::close`.
            Some(_) if self.is_http1 => self.connection.activity.left_unread(),
            Some(body) => {
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(discard(body, self.connection.clone()));
                }
            }
            None => {}
        }
    }
}

/// Discards the rest of the body of an HTTP/2 request. Then hyper resets the stream with `NO_ERROR` if the client has not
/// ended it. Some clients, among them curl 7.88, lose a response that arrives together with the reset.
async fn discard(mut body: Incoming, connection: Arc<Connection>) {
    let (until, mut discarded) = (Instant::now() + LINGER, 0);
    while discarded < MAX_DISCARDED && Instant::now() < until && connection.activity.ordered().is_none() {
        match timeout(CHECK_INTERVAL, body.frame()).await {
            Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
            Ok(None | Some(Err(_))) => return,
            Err(_) => {}
        }
    }
}
