//! The numbers over HTTP, on an address of their own: whoever reads them need not reach the application, and the other
//! way round. What is counted is not known here.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::net::TcpListener;

use super::connections::{Listener, routed};
use crate::telemetry::metrics;

/// Answers `GET /metrics` for as long as it is polled.
pub(super) async fn serve(listener: Listener<TcpListener>) {
    let answer = routed(
        Router::new().route("/metrics", get(async || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text()))),
    );
    loop {
        let (stream, place) = listener.accept().await;
        tokio::spawn(place.serve(stream, answer.clone()));
    }
}
