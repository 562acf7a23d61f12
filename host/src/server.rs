//! The listener: connections, and the end. All that stands around a request is on this page.

mod files;
mod live;
mod metrics;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use self::live::Live;
use crate::config;

/// How long the last answers have to reach the clients.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A server that listens and does not yet accept.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    config: config::Server,
}

impl Server {
    /// Binds the address, and fails if another process has it. Connections are accepted by [`serve`](Self::serve); until
    /// then they wait.
    pub async fn bind(config: config::Server) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(config.listen).await?, metrics: None, config })
    }

    /// Binds the address for metrics, and gives it back with the port that the system chose.
    pub async fn bind_metrics(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        self.metrics.insert(TcpListener::bind(address).await?).local_addr()
    }

    /// The address, with the port that the system chose where port 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `asked` to end. Then no connection is accepted any more, requests in flight have
    /// `server.drain_timeout` to end, or until asked again, and what is left is cut off and rolled back.
    pub async fn serve(self, live: Arc<Live>, mut asked: impl AsyncFnMut()) {
        let Self { listener, metrics, config } = self;
        // To the end: how a host drains is of interest.
        let metrics = metrics.map(|listener| tokio::spawn(metrics::serve(listener)));
        let (connections, clients) = (GracefulShutdown::new(), TaskTracker::new());
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
        http.http2().timer(TokioTimer::new());
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors, mostly: wait for some to come back.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = asked() => break,
            };
            // Answers are small and whole; waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            let live = live.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let live = live.clone();
                async move { Ok::<_, Infallible>(live.answer(request.map(Body::new)).await) }
            });
            let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let connection = connections.watch(connection.into_owned());
            clients.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended badly");
                }
            });
        }
        drop(listener);
        clients.close();
        tracing::info!(in_flight = live.in_flight(), "shutting down");
        let drained = async {
            connections.shutdown().await;
            live.drained().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(config.drain_timeout) => {
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
