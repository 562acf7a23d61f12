//! The HTTP server of the application: binds the listeners, accepts connections, and drains them at shutdown.
//!
//! [`connections`] applies the limits of a connection, and [`Live`] passes each request to the current generation.

pub(crate) mod connections;
mod descriptors;
mod files;
mod live;
mod metrics;
mod range;
mod regular;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use self::connections::{Connections, Listener};
pub(crate) use self::{descriptors::MAX_SIDE_CONNECTIONS, live::Live};
use crate::config::Config;

/// Name of the application's listener.
const APPLICATION: &str = "application";
/// Maximum time to send the last responses to clients after all requests have ended.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A server that is bound to its address and does not accept connections yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Listener<TcpListener>,
    metrics: Option<Listener<TcpListener>>,
    drain_timeout: Duration,
    connections: Arc<Connections>,
}

impl Server {
    /// Binds the address `server.listen`. The kernel queues connections until [`serve`](Self::serve) accepts them.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the address cannot be bound, for example because another process uses it.
    pub(crate) async fn bind(config: &Config, connections: Arc<Connections>) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.server.listen).await?;
        let limit = descriptors::for_application(config);
        let listener = Listener::new(socket, APPLICATION, limit, connections.clone());
        Ok(Self { listener, metrics: None, drain_timeout: config.server.drain_timeout, connections })
    }

    /// Binds the address for metrics, and returns it with the port that the system chose if the port is 0.
    pub(crate) async fn bind_metrics(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = TcpListener::bind(address).await?;
        let listener = Listener::new(socket, "metrics", MAX_SIDE_CONNECTIONS, self.connections.clone());
        self.metrics.insert(listener).socket().local_addr()
    }

    /// Returns the application's address, with the port that the system chose if the configured port is 0.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.socket().local_addr()
    }

    /// Serves requests until `shutdown` resolves, then shuts down.
    ///
    /// During shutdown the server accepts no connections, and requests in flight have `server.drain_timeout` to end.
    /// After that time, or when `shutdown` resolves a second time, the server cancels and rolls back the remaining ones.
    pub(crate) async fn serve(self, live: Arc<Live>, mut shutdown: impl AsyncFnMut()) {
        let Self { listener, metrics, drain_timeout, connections } = self;
        // Metrics are served until the end of the shutdown, so that operators can watch the server drain.
        let metrics = metrics.map(|listener| tokio::spawn(metrics::serve(listener)));
        let clients = TaskTracker::new();
        loop {
            tokio::select! {
                (stream, accepted) = listener.accept() => {
                    let (live, client) = (live.clone(), accepted.client());
                    let answer = move |request: Request| {
                        let live = live.clone();
                        async move { live.answer(request, client).await }
                    };
                    clients.spawn(accepted.serve(stream, answer));
                }
                () = shutdown() => break,
            };
        }
        drop(listener);
        clients.close();
        tracing::info!(in_flight = live.in_flight(), "shutting down");
        // Idle connections close now, busy ones after their current responses.
        connections.finish(APPLICATION);
        let drained = async {
            clients.wait().await;
            live.drained().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(drain_timeout) => {
                tracing::warn!(left = live.in_flight(), "drain_timeout is over: rolling back the remaining requests");
            }
            () = shutdown() => tracing::warn!(left = live.in_flight(), "second shutdown request: rolling back the remaining requests"),
        }
        let left = live.cut_off().await;
        if left > 0 {
            tracing::error!(left, "requests could not be ended; their connections are closed");
        }
        // A client that has not sent the rest of its request must not delay the shutdown any longer.
        let _ = tokio::time::timeout(RESPONSE_TIMEOUT, clients.wait()).await;
        live.close().await;
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        tracing::info!("stopped");
    }
}
