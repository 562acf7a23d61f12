//! Socket of a connection that records in its [`Activity`](super::activity::Activity) when the client sends and receives bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::{connection::Connection, fragment::RequestLines, refused::SentFrames};
use crate::telemetry::metrics::{self, Limit};

/// Bytes that a client must receive within `server.send_timeout`.
const PROGRESS: usize = 16 << 10;
/// The first bytes that an HTTP/2 client sends.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A TCP or Unix socket, or the TLS session on it. Returns the stream to the owner of the connection when hyper drops
/// the socket.
pub(super) struct Socket<S> {
    /// `None` only while the socket is dropped.
    stream: Option<S>,
    owner: Option<oneshot::Sender<S>>,
    connection: Arc<Connection>,
    /// Number of bytes of [`PREFACE`] that have arrived. `None` for HTTP/1.
    preface: Option<usize>,
    request_lines: RequestLines,
    frames: SentFrames,
    /// Bytes written since `blocked_since` was cleared.
    taken: usize,
}

impl<S> Socket<S> {
    /// Returns the socket for hyper, and the receiver of `stream` after hyper has dropped the socket.
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> (Self, oneshot::Receiver<S>) {
        let (owner, returned) = oneshot::channel();
        let (stream, owner) = (Some(stream), Some(owner));
        let (request_lines, frames) = (RequestLines::default(), SentFrames::default());
        let socket = Self { stream, owner, connection, preface: Some(0), request_lines, frames, taken: 0 };
        (socket, returned)
    }

    fn received(&mut self, bytes: &[u8]) {
        let Some(arrived) = self.preface else { return self.received_http1(bytes) };
        let rest = &PREFACE[arrived..];
        if rest.is_empty() {
            // The preface was complete: these are HTTP/2 frames.
            return;
        }
        let length = rest.len().min(bytes.len());
        self.preface = (rest[..length] == bytes[..length]).then_some(arrived + length);
        if self.preface == Some(PREFACE.len()) {
            self.connection.activity.agreed_on_http2();
        } else {
            self.received_http1(bytes);
        }
    }

    fn received_http1(&mut self, bytes: &[u8]) {
        let Connection { activity, fragments, .. } = &*self.connection;
        if activity.received() {
            self.request_lines.begin();
        }
        self.request_lines.read(bytes, fragments);
    }

    /// Records a write of `slices`.
    fn wrote(&mut self, slices: &[IoSlice<'_>], written: &Poll<io::Result<usize>>) {
        let activity = &self.connection.activity;
        match written {
            Poll::Pending => activity.blocked(),
            Poll::Ready(Ok(bytes)) => {
                if self.preface == Some(PREFACE.len()) {
                    count_refused(&mut self.frames, slices, *bytes);
                }
                self.taken += bytes;
                if self.taken >= PROGRESS {
                    self.taken = 0;
                    activity.unblocked();
                }
            }
            Poll::Ready(Err(_)) => {}
        }
    }

    /// Records a flush. A flush that is ready has written everything.
    fn flushed(&mut self, flushed: &Poll<io::Result<()>>) {
        match flushed {
            Poll::Pending => self.connection.activity.blocked(),
            Poll::Ready(_) => {
                self.taken = 0;
                self.connection.activity.unblocked();
            }
        }
    }
}

/// Counts the HTTP/2 streams that the first `written` bytes of `slices` refuse.
fn count_refused(frames: &mut SentFrames, slices: &[IoSlice<'_>], mut written: usize) {
    for slice in slices {
        let length = slice.len().min(written);
        written -= length;
        (0..frames.read(&slice[..length])).for_each(|_| metrics::exceeded(Limit::Streams));
    }
}

impl<S: Unpin> Socket<S> {
    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect("only `drop` takes the stream"))
    }
}

impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(owner)) = (self.stream.take(), self.owner.take()) {
            let _ = owner.send(stream);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream().poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            self.received(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(cx, bytes);
        self.wrote(&[IoSlice::new(bytes)], &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(cx, slices);
        self.wrote(slices, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream().poll_flush(cx);
        self.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = self.stream().poll_shutdown(cx);
        self.flushed(&closed);
        closed
    }
}
