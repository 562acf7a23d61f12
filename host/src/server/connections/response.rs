//! Responses between the handler and the socket: counts the memory that they hold, and records their progress for
//! HTTP/2. For HTTP/1, writes to the socket show whether the client reads.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Error, body::Body};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::{
    connection::Connection,
    streams::{made_progress, waits_for_host},
};
use crate::exchange::Access;

/// Maximum size of a data frame in bytes. hyper takes the next frame of an HTTP/2 stream only when the client has
/// opened its window. Each frame that hyper takes thus shows progress.
const PIECE: usize = 16 << 10;

/// Guard of a request that has started on a connection.
#[derive(Debug)]
pub(super) struct Running {
    connection: Arc<Connection>,
    is_admitted: bool,
}

impl Running {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        connection.activity.begin_request();
        Self { connection, is_admitted: false }
    }

    /// Waits until the connection may run the request. See [`Activity::admit`](super::activity::Activity::admit).
    pub(super) async fn admit(&mut self) {
        self.connection.activity.admit().await;
        self.is_admitted = true;
    }

    /// Records that the request has a response with a first frame of `size` bytes.
    fn answered(&mut self, size: usize) {
        self.connection.activity.answered(size);
        self.is_admitted = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_admitted {
            self.connection.activity.given_up();
        }
        self.connection.activity.end_request();
    }
}

/// Owner of a frame's memory. The memory counts as unsent until hyper has dropped the last slice of the frame.
struct Held {
    bytes: Bytes,
    connection: Arc<Connection>,
}

impl Held {
    fn hold(bytes: Bytes, connection: &Arc<Connection>) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        connection.held(bytes.len());
        Bytes::from_owner(Self { bytes, connection: connection.clone() })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connection.released(self.bytes.len());
    }
}

/// Body of a response, split into data frames of at most [`PIECE`] bytes.
pub(super) struct ResponseBody {
    running: Running,
    body: Body,
    /// The rest of the last data frame of `body`.
    data: Bytes,
    /// The last frame of `body` if it holds trailers or an error.
    other: Option<Result<Frame<Bytes>, Error>>,
    /// Whether `body` has returned its end.
    has_ended: bool,
    /// Record of the request. It is written when this value is dropped, after `body`.
    access: Option<Access>,
}

impl ResponseBody {
    /// Wraps `body`, and takes its first frame if that is ready, so that the frame's memory is counted. hyper does not
    /// poll the body of a stream while the stream's window is closed.
    pub(super) async fn new(running: Running, body: Body, access: Option<Access>) -> Self {
        let mut response = Self { running, body, data: Bytes::new(), other: None, has_ended: false, access };
        if !response.body.is_end_stream() {
            poll_fn(|cx| {
                let _ = response.poll_next(cx);
                Poll::Ready(())
            })
            .await;
        }
        response.running.answered(response.data.len());
        made_progress();
        response
    }

    /// Takes the next frame of `body`. Returns `false` at its end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                self.has_ended = true;
                return Poll::Ready(false);
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.data = Held::hold(data, &self.running.connection),
                Err(other) => self.other = Some(Ok(other)),
            },
            Poll::Ready(Some(Err(error))) => self.other = Some(Err(error)),
        }
        Poll::Ready(true)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper does not poll a body for its end if it knows the length.
        let is_complete = (self.has_ended && self.data.is_empty()) || self.size_hint().exact() == Some(0);
        if let Some(access) = &mut self.access
            && is_complete
        {
            access.complete();
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if !self.data.is_empty() {
                made_progress();
                self.running.connection.activity.progressed();
                let length = self.data.len().min(PIECE);
                if let Some(access) = &mut self.access {
                    access.sent(length);
                }
                return Poll::Ready(Some(Ok(Frame::data(self.data.split_to(length)))));
            }
            if let Some(other) = self.other.take() {
                return Poll::Ready(Some(other));
            }
            match self.poll_next(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => {
                    waits_for_host();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.other.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, data) = (self.body.size_hint(), self.data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + data);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + data);
        }
        hint
    }
}
