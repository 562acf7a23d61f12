//! Handlers of the workloads without a database, and types that all handlers share.

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;

pub(crate) async fn hello() -> &'static str {
    "hello"
}

/// A hook that lets every request pass.
pub(crate) async fn gate(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Parses a JSON body and serializes it again.
pub(crate) async fn echo(body: Bytes) -> Result<Response, Failed> {
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    json(StatusCode::OK, &body)
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Failed> {
    Ok((status, [(CONTENT_TYPE, "application/json")], serde_json::to_string(value)?).into_response())
}

/// Error of any handler. The error is logged, and the client gets a 500.
pub(crate) struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!("{}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
