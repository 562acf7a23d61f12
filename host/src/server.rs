//! The listener: connections, static files, and the end. All that stands around an exchange is on this page.

mod metrics;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::services::ServeDir;

use crate::{
    config::{self, StaticFiles},
    delivery,
    exchange::{self, Exchange},
    generation::Generation,
};

/// How long requests have to roll back once they are cut off.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long their answers have to reach the clients.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A server that listens and does not yet accept.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    config: config::Server,
    router: Router,
    exchange: Arc<Exchange>,
}

impl Server {
    /// Binds the address. Fails if somebody else has it.
    pub async fn bind(
        config: config::Server,
        static_files: &[StaticFiles],
        generation: Arc<Generation>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let exchange = Arc::new(Exchange {
            generation,
            max_body: config.max_body,
            places: Semaphore::new(config.max_concurrent_requests),
            running: TaskTracker::new(),
            cut_off: CancellationToken::new(),
        });
        let mut router = Router::new();
        for files in static_files {
            router = router.nest_service(&files.path, ServeDir::new(&files.folder));
        }
        let router = router.fallback(exchange::serve).with_state(exchange.clone());
        Ok(Self { listener, metrics: None, config, router, exchange })
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
    pub async fn serve(self, mut asked: impl AsyncFnMut()) {
        let Self { listener, metrics, config, router, exchange } = self;
        // To the end: how a host drains is of interest.
        let metrics = metrics.map(|listener| tokio::spawn(metrics::serve(listener)));
        let generation = exchange.generation.clone();
        let stopping = CancellationToken::new();
        let outboxes = TaskTracker::new();
        for (_, database) in generation.all_databases().filter(|_| generation.runs_actions()) {
            outboxes.spawn(delivery::deliver_outbox(generation.clone(), database.clone(), stopping.clone()));
        }
        outboxes.close();
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
            let service = TowerToHyperService::new(router.clone());
            let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let connection = connections.watch(connection.into_owned());
            clients.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended badly");
                }
            });
        }
        drop(listener);
        exchange.running.close();
        clients.close();
        tracing::info!(in_flight = exchange.running.len(), "shutting down");
        let drained = async {
            connections.shutdown().await;
            exchange.running.wait().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(config.drain_timeout) => {
                tracing::warn!(left = exchange.running.len(), "drain_timeout is over: rolling back what still runs");
            }
            () = asked() => tracing::warn!(left = exchange.running.len(), "asked again: rolling back what still runs"),
        }
        exchange.cut_off.cancel();
        if tokio::time::timeout(LAST_WORDS, exchange.running.wait()).await.is_err() {
            tracing::error!(left = exchange.running.len(), "requests could not be ended; their connections are closed");
        }
        // Clients that still owe us the rest of a request do not hold up the end.
        let _ = tokio::time::timeout(LAST_ANSWERS, clients.wait()).await;
        stopping.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, outboxes.wait()).await;
        for (_, database) in generation.all_databases() {
            database.close();
        }
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        tracing::info!("stopped");
    }
}
