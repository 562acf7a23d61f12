//! The numbers over HTTP, on an address of their own: whoever reads them need not reach the application, and the other
//! way round. What is counted is not known here.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::net::TcpListener;

use crate::telemetry::metrics;

/// Answers `GET /metrics` for as long as it is polled.
pub(super) async fn serve(listener: TcpListener) {
    let router =
        Router::new().route("/metrics", get(async || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text())));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics are no longer served");
    }
}
