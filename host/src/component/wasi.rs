//! WASI for guests: clocks, random numbers, and standard output and error, which the host writes to its log. Guests
//! have no access to files, network, environment variables or arguments.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{log, tail::Tail};
use crate::message::Request;

/// Length in bytes after which an unfinished line is logged, and maximum length of one write. A logged line therefore
/// has at most twice this length.
const MAX_LINE: usize = 8 * 1024;

/// Returns the WASI context of a component, which writes to `output`.
pub(super) fn context(output: &Output) -> WasiCtx {
    let stream = |kind| Stream { output: output.clone(), kind };
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(stream(Kind::Stdout)).stderr(stream(Kind::Stderr)).allow_tcp(false).allow_udp(false);
    builder.build()
}

/// Standard output and error of an instance. The streams of WASI share this value with the store.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<Pending>>);

/// The unfinished lines of an instance.
struct Pending {
    component: Arc<str>,
    /// Request with the id that the lines carry in the log.
    request: Arc<Request>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Standard error of the running or most recent call.
    errors: Tail,
}

/// Logs the output of a start function, after which no request may follow.
impl Drop for Pending {
    fn drop(&mut self) {
        self.end_line(Kind::Stdout);
        self.end_line(Kind::Stderr);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Stdout,
    Stderr,
}

impl Output {
    pub(super) fn new(component: Arc<str>, request: Arc<Request>) -> Self {
        let (stdout, stderr, errors) = Default::default();
        Self(Arc::new(Mutex::new(Pending { component, request, stdout, stderr, errors })))
    }

    /// Logs the unfinished lines of the last request. Later lines carry the id of `request`.
    pub(super) fn serve(&self, request: Arc<Request>) {
        let mut pending = self.pending();
        pending.end_line(Kind::Stdout);
        pending.end_line(Kind::Stderr);
        pending.request = request;
    }

    pub(super) fn clear_errors(&self) {
        self.pending().errors.clear();
    }

    /// Returns the end of standard error as one line.
    pub(super) fn last_errors(&self) -> Option<String> {
        self.pending().errors.line()
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn write(&mut self, kind: Kind, bytes: &[u8]) {
        if let Kind::Stderr = kind {
            self.errors.push(bytes);
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = self.line(kind);
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() > MAX_LINE {
                self.end_line(kind);
            }
        }
    }

    fn end_line(&mut self, kind: Kind) {
        let (level, name) = match kind {
            Kind::Stdout => (Level::INFO, "stdout"),
            Kind::Stderr => (Level::WARN, "stderr"),
        };
        let mut line = mem::take(self.line(kind));
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            log::write(&self.component, &self.request, level, Some(name), text);
        }
        // Keeps the memory of the line for the next one.
        line.clear();
        *self.line(kind) = line;
    }

    fn line(&mut self, kind: Kind) -> &mut Vec<u8> {
        match kind {
            Kind::Stdout => &mut self.stdout,
            Kind::Stderr => &mut self.stderr,
        }
    }
}

/// One of the two streams.
#[derive(Clone)]
struct Stream {
    output: Output,
    kind: Kind,
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 uses this stream, and this host does not offer WASI 0.3.
        Box::new(tokio::io::sink())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.pending().write(self.kind, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}
