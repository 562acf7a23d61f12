//! WASI for guests: clocks, random numbers, and standard output and error, which the host writes to its log. Guests
//! have no access to files, network, environment variables or arguments.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::identity::Identity;
use crate::message::Request;

/// Length in bytes after which an unfinished line is logged, and maximum length of one write. A logged line therefore
/// has at most twice this length.
const MAX_LINE: usize = 8 * 1024;

/// Returns the WASI context of a component. Log lines carry the id of the request in `about`.
pub(super) fn context(component: &Identity, about: &Arc<ArcSwap<Request>>) -> WasiCtx {
    let output = |is_error| Output { component: component.name.clone(), about: about.clone(), is_error };
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(output(false)).stderr(output(true)).allow_tcp(false).allow_udp(false);
    builder.build()
}

/// Standard output or error of a guest.
#[derive(Clone)]
struct Output {
    component: Arc<str>,
    about: Arc<ArcSwap<Request>>,
    is_error: bool,
}

impl Output {
    fn line(&self, line: &[u8]) {
        let (component, request) = (&*self.component, self.about.load());
        let request = &*request.id;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        match self.is_error {
            _ if line.is_empty() => {}
            true => tracing::warn!(target: "guest", component, request, stream = "stderr", "{line}"),
            false => tracing::info!(target: "guest", component, request, stream = "stdout", "{line}"),
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { output: self.clone(), pending: Vec::new() })
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 uses this stream, and this host does not offer WASI 0.3.
        Box::new(tokio::io::sink())
    }
}

/// Splits output into lines. Output after the last line break is logged when the stream is dropped.
struct Lines {
    output: Output,
    pending: Vec<u8>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() > MAX_LINE {
                self.output.line(&self.pending);
                self.pending.clear();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.output.line(&self.pending);
    }
}
