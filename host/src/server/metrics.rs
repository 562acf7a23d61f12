//! Serves the metrics over HTTP on an address of their own. A monitoring system needs no access to the application, and
//! clients of the application get no access to the metrics. `telemetry` defines the metrics.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::net::TcpListener;

use super::connections::{Listener, routed};
use crate::telemetry::metrics;

/// Answers `GET /metrics` for as long as this future is polled.
pub(super) async fn serve(listener: Listener<TcpListener>) {
    let answer = routed(
        Router::new().route("/metrics", get(async || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text()))),
    );
    loop {
        let (stream, accepted) = listener.accept().await;
        tokio::spawn(accepted.serve(stream, answer.clone()));
    }
}
