//! The HTTP server of the application: binds the listeners, accepts connections, and drains them at shutdown.
//!
//! [`connections`] applies the limits of a connection, and [`Live`] passes each request to the current generation.

mod compression;
pub(crate) mod connections;
mod descriptors;
mod files;
mod forwarded;
mod health;
mod live;
mod metrics;
mod range;
mod regular;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use self::{
    connections::{Connections, Listener},
    health::Health,
};
pub(crate) use self::{descriptors::MAX_SIDE_CONNECTIONS, live::Live};
use crate::config::{self, Config};

/// Name of the application's listener.
const APPLICATION: &str = "application";
/// Maximum time to send the last responses to clients after all requests have ended.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A server that is bound to its address and does not accept connections yet.
pub(crate) struct Server {
    listener: Listener<TcpListener>,
    tls: Option<TlsAcceptor>,
    health: Arc<Health>,
    has_public_health: bool,
    /// Task that serves the metrics.
    metrics: Option<JoinHandle<()>>,
    drain_delay: Duration,
    drain_timeout: Duration,
    connections: Arc<Connections>,
}

impl Server {
    /// Binds the address `server.listen`, with TLS if `tls` is given. The kernel queues connections until
    /// [`serve`](Self::serve) accepts them.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the address cannot be bound, for example because another process uses it.
    pub(crate) async fn bind(
        config: &Config,
        tls: Option<TlsAcceptor>,
        connections: Arc<Connections>,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.server.listen).await?;
        let limit = descriptors::for_application(config);
        let config::Server { drain_delay, drain_timeout, public_health: has_public_health, .. } = config.server;
        Ok(Self {
            listener: Listener::new(socket, APPLICATION, limit, connections.clone()),
            tls,
            health: Arc::default(),
            has_public_health,
            metrics: None,
            drain_delay,
            drain_timeout,
            connections,
        })
    }

    /// Binds the address for metrics and serves them from now on, so that `/readyz` answers during the start. Returns
    /// the address with the port that the system chose if the port is 0.
    pub(crate) async fn bind_metrics(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let listener = Listener::new(socket, "metrics", MAX_SIDE_CONNECTIONS, self.connections.clone());
        self.metrics = Some(tokio::spawn(metrics::serve(listener, self.health.clone())));
        Ok(address)
    }

    /// Returns the application's address, with the port that the system chose if the configured port is 0.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.socket().local_addr()
    }

    /// Lets `/readyz` answer for the generation that `live` serves. The kernel queues connections until
    /// [`serve`](Self::serve) accepts them, so requests are answered from now on.
    pub(crate) fn announce(&self, live: &Arc<Live>) {
        self.health.serve(live.clone());
    }

    /// Serves requests until `shutdown` resolves, then shuts down.
    ///
    /// The server accepts connections for `server.drain_delay` more, while `/readyz` answers 503. Then it closes the
    /// listener, and requests in flight have `server.drain_timeout` to end. After that time, or when `shutdown` resolves
    /// a second time, the server cancels and rolls back the remaining ones.
    pub(crate) async fn serve(self, live: Arc<Live>, mut shutdown: impl AsyncFnMut()) {
        let Self { listener, tls, health, has_public_health, metrics, drain_delay, drain_timeout, connections } = self;
        let clients = TaskTracker::new();
        let public = has_public_health.then(|| health.clone());
        let mut accepting = Box::pin(accept(&listener, tls, &live, public, &clients));
        tokio::select! {
            () = &mut accepting => {}
            () = shutdown() => {}
        }
        health.drain();
        let mut is_urgent = false;
        if !drain_delay.is_zero() {
            tracing::info!("shutting down: the listener closes after drain_delay");
            tokio::select! {
                () = &mut accepting => {}
                () = tokio::time::sleep(drain_delay) => {}
                () = shutdown() => is_urgent = true,
            }
        }
        drop(accepting);
        drop(listener);
        clients.close();
        tracing::info!(in_flight = live.in_flight(), "shutting down");
        // Idle connections close now, busy ones after their current responses.
        connections.finish(APPLICATION);
        let drained = async {
            clients.wait().await;
            live.drained().await;
        };
        let again = async {
            if !is_urgent {
                shutdown().await;
            }
        };
        tokio::select! {
            biased;
            () = drained => {}
            () = tokio::time::sleep(drain_timeout) => {
                tracing::warn!(left = live.in_flight(), "drain_timeout is over: rolling back the remaining requests");
            }
            () = again => {
                tracing::warn!(left = live.in_flight(), "second shutdown request: rolling back the remaining requests");
            }
        }
        let left = live.cut_off().await;
        if left > 0 {
            tracing::error!(left, "requests could not be ended; their connections are closed");
        }
        // A client that has not sent the rest of its request must not delay the shutdown any longer.
        let _ = tokio::time::timeout(RESPONSE_TIMEOUT, clients.wait()).await;
        live.close().await;
        // Metrics are served until the end of the shutdown, so that operators can watch the server drain.
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        tracing::info!("stopped");
    }
}

/// Accepts connections and answers their requests for as long as this future is polled. `health` answers the requests
/// for its paths, if it is given.
async fn accept(
    listener: &Listener<TcpListener>,
    tls: Option<TlsAcceptor>,
    live: &Arc<Live>,
    health: Option<Arc<Health>>,
    clients: &TaskTracker,
) {
    loop {
        let (stream, accepted) = listener.accept().await;
        let (live, health) = (live.clone(), health.clone());
        let answer = move |request: Request, peer| {
            let (live, health) = (live.clone(), health.clone());
            async move {
                match health.and_then(|health| health.answer(request.method(), request.uri().path())) {
                    Some(response) => response.await.into(),
                    None => live.answer(request, peer).await,
                }
            }
        };
        clients.spawn(accepted.serve(stream, tls.clone(), answer));
    }
}
