//! Responses on their way to the socket: the memory that they hold is counted, and a stream of HTTP/2 that its client
//! does not read is reset. (HTTP/1 has no streams: there the socket is watched.)

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Error, body::Body};
use bytes::Bytes;
use hyper::{
    body::{Body as HttpBody, Frame, SizeHint},
    rt::Executor,
};
use tokio::time::{Instant, sleep_until};

use super::Connection;

/// The most of a body that is handed over at a time. HTTP/2 asks for the next piece when its client has room for more.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// When the response of this stream went on; `None` while the stream waits for the host.
    static PROGRESS: Cell<Option<Instant>>;
}

/// A request that a connection has begun, until it is dropped.
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

    /// Waits while the connection holds too much of unsent responses.
    pub(super) async fn admit(&mut self) {
        self.connection.activity.admit().await;
        self.is_admitted = true;
    }

    /// The request was answered with a response of this size.
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

/// Memory of a response. It is counted until the last of its pieces was written.
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

/// The body of a response, in pieces.
pub(super) struct ResponseBody {
    running: Running,
    body: Body,
    /// The rest of the last frame of `body`, if that was data.
    data: Bytes,
    /// The last frame if it was anything else, or the error in its place.
    other: Option<Result<Frame<Bytes>, Error>>,
}

impl ResponseBody {
    /// Takes the first frame if it is there, so that it is counted: the connection may not ask for it for long.
    pub(super) async fn new(running: Running, body: Body) -> Self {
        let mut response = Self { running, body, data: Bytes::new(), other: None };
        if !response.body.is_end_stream() {
            poll_fn(|cx| {
                let _ = response.poll_next(cx);
                Poll::Ready(())
            })
            .await;
        }
        response.running.answered(response.data.len());
        went_on();
        response
    }

    /// Reads a frame, when the last was handed over. False at the end of the body.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(false),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.data = Held::hold(data, &self.running.connection),
                Err(other) => self.other = Some(Ok(other)),
            },
            Poll::Ready(Some(Err(error))) => self.other = Some(Err(error)),
        }
        Poll::Ready(true)
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if !self.data.is_empty() {
                went_on();
                self.running.connection.activity.progressed();
                let length = self.data.len().min(PIECE);
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

fn went_on() {
    let _ = PROGRESS.try_with(|progress| progress.set(Some(Instant::now())));
}

fn waits_for_host() {
    let _ = PROGRESS.try_with(|progress| progress.set(None));
}

/// Runs the streams of HTTP/2 connections, and drops those whose response does not go on for a time. That resets them.
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
                // The limit is looked at when the stream waits.
                biased;
                () = stream => {}
                () = stalled(timeout) => tracing::debug!("a stream was reset: its client does not read the response"),
            }
        };
        tokio::spawn(PROGRESS.scope(Cell::new(None), stream));
    }
}

/// Returns when the response of this task has not gone on for as long as that.
async fn stalled(timeout: Duration) {
    loop {
        // The stream is polled by the same task, so that no change is missed.
        let since = poll_fn(|_| PROGRESS.with(Cell::get).map_or(Poll::Pending, Poll::Ready)).await;
        sleep_until(since + timeout).await;
        if PROGRESS.with(Cell::get) == Some(since) {
            return;
        }
    }
}
