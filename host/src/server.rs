//! The listener: connections, and the end. All that stands around a request is on this page.

pub mod connections;
mod descriptors;
mod files;
mod live;
mod metrics;
mod regular;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use self::connections::{Connections, Listener};
pub use self::{descriptors::BESIDE, live::Live};
use crate::config::Config;

/// The name of the application's listener.
const APPLICATION: &str = "application";
/// How long the last answers have to reach the clients.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A server that listens and does not yet accept.
#[derive(Debug)]
pub struct Server {
    listener: Listener<TcpListener>,
    metrics: Option<Listener<TcpListener>>,
    drain_timeout: Duration,
    connections: Arc<Connections>,
}

impl Server {
    /// Binds the address, and fails if another process has it. Connections are accepted by [`serve`](Self::serve); until
    /// then they wait.
    pub async fn bind(config: &Config, connections: Arc<Connections>) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.server.listen).await?;
        let limit = descriptors::for_application(config);
        let listener = Listener::new(socket, APPLICATION, limit, connections.clone());
        Ok(Self { listener, metrics: None, drain_timeout: config.server.drain_timeout, connections })
    }

    /// Binds the address for metrics, and gives it back with the port that the system chose.
    pub async fn bind_metrics(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = TcpListener::bind(address).await?;
        let listener = Listener::new(socket, "metrics", BESIDE, self.connections.clone());
        self.metrics.insert(listener).socket().local_addr()
    }

    /// The address, with the port that the system chose where port 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.socket().local_addr()
    }

    /// Serves until `asked` to end. Then no connection is accepted any more, requests in flight have
    /// `server.drain_timeout` to end, or until asked again, and what is left is cut off and rolled back.
    pub async fn serve(self, live: Arc<Live>, mut asked: impl AsyncFnMut()) {
        let Self { listener, metrics, drain_timeout, connections } = self;
        // To the end: how a host drains is of interest.
        let metrics = metrics.map(|listener| tokio::spawn(metrics::serve(listener)));
        let clients = TaskTracker::new();
        let answer = {
            let live = live.clone();
            move |request: Request<Incoming>| {
                let live = live.clone();
                async move { live.answer(request.map(Body::new)).await }
            }
        };
        loop {
            tokio::select! {
                (stream, place) = listener.accept() => clients.spawn(place.serve(stream, answer.clone())),
                () = asked() => break,
            };
        }
        drop(listener);
        clients.close();
        tracing::info!(in_flight = live.in_flight(), "shutting down");
        connections.finish(APPLICATION);
        let drained = async {
            clients.wait().await;
            live.drained().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(drain_timeout) => {
                tracing::warn!(left = live.in_flight(), "drain_timeout is over: rolling back what still runs");
            }
            () = asked() => tracing::warn!(left = live.in_flight(), "asked again: rolling back what still runs"),
        }
        let left = live.cut_off().await;
        if left > 0 {
            tracing::error!(left, "requests could not be ended; their connections are closed");
        }
        // Clients that still owe us the rest of a request do not hold up the end.
        let _ = tokio::time::timeout(LAST_ANSWERS, clients.wait()).await;
        live.close().await;
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        tracing::info!("stopped");
    }
}
