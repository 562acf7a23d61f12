//! What carya is measured against: the same work on the same libraries without a sandbox, as one would write it by hand.
//!
//! Like the host it gives each request an id, answers it in `x-request-id`, writes one line about it to a log on standard
//! error in the same form, bounds bodies at 1 MiB and requests at 30 seconds, and runs statements in an explicit
//! transaction that is read-only for a GET. It knows nothing of retries but for the one counter, of hooks beyond two that
//! do nothing, and of everything else that the host does for its guests.

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
