//! The native program that carya is measured against: handwritten code with the same libraries and without a sandbox.
//!
//! Like the host, it gives each request an id and returns it in `x-request-id`, logs one line per request to standard
//! error in the same format, limits bodies to 1 MiB and requests to 30 seconds, and runs statements in an explicit
//! transaction, which is read-only for a GET. It only retries requests that increment the counter. It has two hooks,
//! which do nothing, and provides no other service of the host.

mod edge;
mod store;
mod work;

use anyhow::Context;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
    serve::ListenerExt,
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().context("usage: native ADDRESS [DATABASE-URL]")?;
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(EnvFilter::new("info")).with(log).init();

    let hooks = Router::new()
        .route("/hooks", get(work::hello))
        .layer(middleware::from_fn(work::gate))
        .layer(middleware::from_fn(work::gate));
    let mut router = Router::new().route("/hello", get(work::hello)).route("/echo", post(work::echo)).merge(hooks);
    if let Some(url) = arguments.next() {
        router = router.merge(store::routes(&url).await?);
    }
    let router = router.layer(DefaultBodyLimit::max(1 << 20)).layer(middleware::from_fn(edge::around));
    let listener =
        tokio::net::TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(%address, "serving");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
