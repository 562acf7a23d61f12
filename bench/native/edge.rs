//! Middleware around every request: request id, timeout, and a line in the access log.

use std::time::{Duration, Instant};

use axum::{extract::Request, middleware::Next, response::Response};
use hyper::{HeaderMap, StatusCode, header::HeaderName, header::HeaderValue};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn around(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            response
        }
    };
    let (method, path, status) = (method.as_str(), uri.path(), response.status().as_u16());
    let us = begun.elapsed().as_micros();
    tracing::info!(target: "native::access", request = id, method, path, status, us, "request");
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Returns the client's request id if it has 1 to 128 visible ASCII characters, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(id) => id.to_owned(),
        None => format!("{:032x}", rand::random::<u128>()),
    }
}
