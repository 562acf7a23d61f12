//! Serves the metrics and the health of the process over HTTP on an address of their own. A monitoring system needs no access to the application, and
//! clients of the application get no access to the metrics. `telemetry` defines the metrics.

use std::sync::Arc;

use axum::{http::header::CONTENT_TYPE, routing::get};
use tokio::net::TcpListener;

use super::{
    connections::{Listener, routed},
    health::Health,
};
use crate::telemetry::metrics;

/// Answers `GET /metrics` and the paths of [`Health`] for as long as this future is polled.
pub(super) async fn serve(listener: Listener<TcpListener>, health: Arc<Health>) {
    let load = health.clone();
    let text = async move || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(load.load()));
    let answer = routed(health.router().route("/metrics", get(text)));
    loop {
        let (stream, accepted) = listener.accept().await;
        tokio::spawn(accepted.serve(stream, None, answer.clone()));
    }
}
