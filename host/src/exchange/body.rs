//! Receives the bodies of requests.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use super::steady::{BoxError, Stalled, SteadyBody};
use crate::{
    config,
    error::Failure,
    telemetry::metrics::{self, Limit},
};

/// Bodies that are being received.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Their size so far, in bytes.
    now: AtomicUsize,
    max: usize,
}

/// Bytes of one body in a [`Receiving`], until it is dropped.
struct Counted<'a> {
    all: &'a Receiving,
    bytes: usize,
}

impl Receiving {
    /// Bodies of at most `max` bytes together.
    pub(super) fn at_most(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }
}

impl Counted<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        match self.all.now.fetch_add(bytes, Relaxed) + bytes <= self.all.max {
            true => Ok(()),
            false => Err(Failure::bodies_too_large()),
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.all.now.fetch_sub(self.bytes, Relaxed);
    }
}

/// Reads a body within the limits of length and time. A body with a `content-length` over the limit is not read at all,
/// so that a client that expects `100 Continue` does not send it.
pub(super) async fn receive(
    body: impl Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    receiving: &Receiving,
    limits: &config::Server,
) -> Result<Bytes, Failure> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limits.max_body as u64 {
        return Err(too_large(limits.max_body));
    }
    let body = SteadyBody::new(body, limits.body_timeout);
    let read = read(body, Counted { all: receiving, bytes: 0 }, limits.max_body);
    tokio::time::timeout(limits.request_timeout, read).await.unwrap_or_else(|_| Err(too_slow("request_timeout")))
}

async fn read(
    mut body: impl Body<Data = Bytes, Error = BoxError> + Unpin,
    mut counted: Counted<'_>,
    max: usize,
) -> Result<Bytes, Failure> {
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<Stalled>() {
            true => too_slow("body_timeout"),
            false => Failure::body_unreadable(error),
        });
        let Ok(data) = frame?.into_data() else { continue };
        counted.add(data.len())?;
        if counted.bytes > max {
            return Err(too_large(max));
        }
        // Most bodies arrive in one piece, which needs no copy.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                let rest = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                all.reserve(first.len() + data.len() + rest);
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(max: usize) -> Failure {
    metrics::exceeded(Limit::Body);
    Failure::body_too_large(max)
}

fn too_slow(key: &'static str) -> Failure {
    metrics::exceeded(Limit::BodyTime);
    Failure::body_too_slow(key)
}
