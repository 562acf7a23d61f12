//! The HTTP server of the application: binds the listeners, accepts connections, and drains them at shutdown.
//!
//! [`connections`] applies the limits of a connection, and [`Live`] passes each request to the current generation.

mod activated;
mod answer;
mod compression;
pub(crate) mod connections;
mod descriptors;
mod fields;
mod files;
mod forwarded;
mod health;
mod limits;
mod live;
mod metrics;
mod range;
mod redirect;
mod regular;
mod socket;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use futures_util::future::{BoxFuture, join_all};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use self::{
    connections::{Accept, Connections, Listener, permits},
    health::Health,
    limits::Entry,
    socket::Socket,
};
pub(crate) use self::{descriptors::MAX_SIDE_CONNECTIONS, live::Live, socket::LocalSocket};
use crate::{
    config::{self, Config, Listen},
    exchange::Answered,
    message::Peer,
};

/// Name of the application's listener.
const APPLICATION: &str = "application";
/// Maximum time to send the last responses to clients after all requests have ended.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A server that is bound to its addresses and does not accept connections yet.
pub(crate) struct Server {
    listeners: Vec<Bound>,
    tls: Option<TlsAcceptor>,
    /// The listener that redirects, and the port that it redirects to.
    redirect: Option<(Listener<TcpListener>, u16)>,
    has_proxy_protocol: bool,
    entry: Entry,
    /// Permits for connections, shared by all listeners of the application.
    permits: Arc<Semaphore>,
    health: Arc<Health>,
    has_public_health: bool,
    /// Task that serves the metrics.
    metrics: Option<JoinHandle<()>>,
    drain_delay: Duration,
    drain_timeout: Duration,
    connections: Arc<Connections>,
}

/// A listener of the application.
enum Bound {
    Tcp(Listener<TcpListener>),
    Unix(Listener<LocalSocket>),
}

impl Bound {
    fn address(&self) -> std::io::Result<Listen> {
        match self {
            Bound::Tcp(listener) => listener.socket().local_addr().map(Listen::Tcp),
            Bound::Unix(listener) => listener.socket().address(),
        }
    }
}

impl Server {
    /// Binds the sockets `server.listen`, with TLS if `tls` is given. The kernel queues connections until
    /// [`serve`](Self::serve) accepts them.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if a socket cannot be bound, for example because another process uses its
    /// address.
    pub(crate) async fn bind(
        config: &Config,
        tls: Option<TlsAcceptor>,
        connections: Arc<Connections>,
    ) -> std::io::Result<Self> {
        let config::Server {
            drain_delay,
            drain_timeout,
            public_health: has_public_health,
            proxy_protocol: has_proxy_protocol,
            listen_mode,
            ..
        } = config.server;
        let sockets = socket::bind(&config.server.listen, listen_mode).await?;
        let permits = permits(descriptors::for_application(config));
        let bound = |socket| match socket {
            Socket::Tcp(socket) => Bound::Tcp(Listener::new(socket, APPLICATION, permits.clone(), connections.clone())),
            Socket::Unix(socket) => {
                Bound::Unix(Listener::new(socket, APPLICATION, permits.clone(), connections.clone()))
            }
        };
        let listeners = sockets.into_iter().map(bound).collect();
        Ok(Self {
            listeners,
            tls,
            redirect: None,
            has_proxy_protocol,
            entry: Entry::new(config.server.connections_per_address),
            permits,
            health: Arc::default(),
            has_public_health,
            metrics: None,
            drain_delay,
            drain_timeout,
            connections,
        })
    }

    /// Binds the address of plain HTTP that redirects. Returns the address with the port that the system chose if the
    /// port is 0.
    pub(crate) async fn bind_redirect(&mut self, redirect: &config::Redirect) -> std::io::Result<SocketAddr> {
        let socket = TcpListener::bind(redirect.listen).await?;
        let address = socket.local_addr()?;
        let tcp = self.addresses()?.into_iter().find_map(|address| match address {
            Listen::Tcp(address) => Some(address.port()),
            Listen::Unix(_) => None,
        });
        let port = redirect.port.or(tcp).unwrap_or(redirect::HTTPS);
        let listener = Listener::new(socket, APPLICATION, self.permits.clone(), self.connections.clone());
        self.redirect = Some((listener, port));
        Ok(address)
    }

    /// Binds the address for metrics and serves them from now on, so that `/readyz` answers during the start. Returns
    /// the address with the port that the system chose if the port is 0.
    pub(crate) async fn bind_metrics(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let listener = Listener::new(socket, "metrics", permits(MAX_SIDE_CONNECTIONS), self.connections.clone());
        self.metrics = Some(tokio::spawn(metrics::serve(listener, self.health.clone())));
        Ok(address)
    }

    /// Returns the application's addresses, with the port that the system chose if a configured port is 0.
    pub(crate) fn addresses(&self) -> std::io::Result<Vec<Listen>> {
        self.listeners.iter().map(Bound::address).collect()
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
        let Self { listeners, tls, redirect, has_proxy_protocol, entry, health, has_public_health, .. } = &self;
        let clients = TaskTracker::new();
        let public = has_public_health.then(|| health.clone());
        let door = Door { live: &live, has_proxy_protocol: *has_proxy_protocol, entry, clients: &clients };
        let mut all: Vec<_> = listeners.iter().map(|listener| door.open(listener, tls, public.as_ref())).collect();
        all.extend(redirect.as_ref().map(|(listener, port)| door.open_redirect(listener, *port)));
        let mut accepting = join_all(all);
        tokio::select! {
            _ = &mut accepting => {}
            () = shutdown() => {}
        }
        health.drain();
        let mut is_urgent = false;
        if !self.drain_delay.is_zero() {
            tracing::info!("shutting down: the listener closes after drain_delay");
            tokio::select! {
                _ = &mut accepting => {}
                () = tokio::time::sleep(self.drain_delay) => {}
                () = shutdown() => is_urgent = true,
            }
        }
        drop(accepting);
        let Self { listeners, redirect, metrics, drain_timeout, connections, .. } = self;
        drop((listeners, redirect));
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

/// State that all listeners of the application share.
#[derive(Clone, Copy)]
struct Door<'a> {
    live: &'a Arc<Live>,
    has_proxy_protocol: bool,
    entry: &'a Entry,
    clients: &'a TaskTracker,
}

impl<'a> Door<'a> {
    /// Accepts connections of a listener for as long as the returned future is polled, and answers their requests by the
    /// application. `health` answers the requests for its paths, if it is given.
    fn open(
        self,
        listener: &'a Bound,
        tls: &'a Option<TlsAcceptor>,
        health: Option<&Arc<Health>>,
    ) -> BoxFuture<'a, ()> {
        let (live, health) = (self.live.clone(), health.cloned());
        let answer = move |request: Request, peer| {
            let (live, health) = (live.clone(), health.clone());
            async move {
                match health.and_then(|health| health.answer(request.method(), request.uri().path())) {
                    Some(response) => response.await.into(),
                    None => live.answer(request, peer).await,
                }
            }
        };
        match listener {
            Bound::Tcp(listener) => Box::pin(self.accept(listener, tls, answer)),
            Bound::Unix(listener) => Box::pin(self.accept(listener, tls, answer)),
        }
    }

    /// Accepts connections of a listener without TLS, and redirects their requests.
    fn open_redirect(self, listener: &'a Listener<TcpListener>, port: u16) -> BoxFuture<'a, ()> {
        let live = self.live.clone();
        let answer = move |request, peer| {
            let live = live.clone();
            async move { redirect::answer(&live, port, request, peer).await }
        };
        Box::pin(self.accept(listener, &None, answer))
    }

    async fn accept<L, F>(
        self,
        listener: &Listener<L>,
        tls: &Option<TlsAcceptor>,
        answer: impl Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
    ) where
        L: Accept<Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static>,
        F: Future<Output = Answered> + Send + 'static,
    {
        loop {
            let (mut stream, mut accepted) = listener.accept().await;
            let (tls, answer) = (tls.clone(), answer.clone());
            let is_proxy = self.live.is_proxy(accepted.address());
            if self.has_proxy_protocol && is_proxy {
                let (entry, live) = (self.entry.clone(), self.live.clone());
                self.clients.spawn(async move {
                    if !accepted.receive_proxy_header(&mut stream).await {
                        return;
                    }
                    let is_proxy = live.is_proxy(accepted.address());
                    if entry.admit(&mut accepted, is_proxy) {
                        accepted.serve(stream, tls, answer).await;
                    }
                });
            } else if self.entry.admit(&mut accepted, is_proxy) {
                self.clients.spawn(accepted.serve(stream, tls, answer));
            }
        }
    }
}
