//! Receives the bodies of requests.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use super::steady::{BoxError, Full, Stalled, SteadyBody};
use crate::{
    config,
    error::Failure,
    quota::{Quota, Share},
    telemetry::metrics::{self, Limit},
};

/// Reads a body within the limits of length and time. `receiving` counts the bytes of all bodies until they are complete.
/// A body with a `content-length` over the limit is not read at all, so that a client that expects `100 Continue` does not
/// send it.
pub(super) async fn receive(
    body: impl Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    receiving: &Quota,
    limits: &config::Server,
) -> Result<Bytes, Failure> {
    let too_large = || {
        metrics::exceeded(Limit::Body);
        Err(Failure::body_too_large(limits.max_body))
    };
    let too_slow = |key| {
        metrics::exceeded(Limit::BodyTime);
        Err(Failure::body_too_slow(key))
    };
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limits.max_body as u64 {
        return too_large();
    }
    let body = SteadyBody::new(body, limits.body_timeout, Share::of(receiving));
    let read = Limited::new(body, limits.max_body).collect();
    match tokio::time::timeout(limits.request_timeout, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(error)) if error.is::<Stalled>() => too_slow("body_timeout"),
        Ok(Err(error)) if error.is::<Full>() => {
            metrics::exceeded(Limit::Receiving);
            Err(Failure::bodies_too_large())
        }
        Ok(Err(error)) => Err(Failure::body_unreadable(error)),
        Err(_) => too_slow("request_timeout"),
    }
}
