//! The admin API's listener: a TCP address, optionally with TLS, or a Unix socket. `admin/api.rs` has the routes.

mod api;
mod diff;
mod problem;

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, anyhow};
use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::{Deploy, Listen},
    deploy::Store,
    fleet::Fleet,
    reload::Reloader,
    server::{
        LocalSocket, MAX_SIDE_CONNECTIONS,
        connections::{Accept, Connections, Listener, permits, routed},
    },
    tls::Certificates,
};

/// Name of the listener in the log.
const NAME: &str = "deployment";

/// The bound listener of the admin API. It accepts connections once [`serve`](Self::serve) is polled.
pub(crate) struct Admin {
    socket: Socket,
    tls: Option<TlsAcceptor>,
    token: Option<String>,
}

enum Socket {
    Tcp(Listener<TcpListener>),
    Unix(Listener<LocalSocket>),
}

/// Error of [`Admin::bind`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address of `deploy.listen`.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The Unix socket or TLS cannot be used.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Admin {
    /// Binds `deploy.listen`, with TLS if there are `certificates`. Returns `None` if it is not set.
    ///
    /// # Errors
    ///
    /// Fails if another process uses the address or socket.
    pub(crate) fn bind(
        settings: &Deploy,
        certificates: Option<Arc<Certificates>>,
        connections: Arc<Connections>,
    ) -> Result<Option<Self>, BindError> {
        let Some(listen) = &settings.listen else { return Ok(None) };
        let socket = match listen {
            Listen::Tcp(address) => std::net::TcpListener::bind(address)
                .and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    TcpListener::from_std(listener)
                })
                .map(|socket| Socket::Tcp(Listener::new(socket, NAME, permits(MAX_SIDE_CONNECTIONS), connections)))
                .map_err(|source| BindError::Address { address: *address, source })?,
            Listen::Unix(path) => {
                Socket::Unix(Listener::new(unix_socket(path)?, NAME, permits(MAX_SIDE_CONNECTIONS), connections))
            }
        };
        let tls = certificates.map(|all| all.acceptor(false)).transpose().context("TLS cannot be used")?;
        Ok(Some(Self { socket, tls, token: settings.token.clone() }))
    }

    /// Returns the address of the listener. If the configured port is 0, this is the port that the system chose.
    pub(crate) fn address(&self) -> io::Result<String> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => listener.socket().local_addr()?.to_string(),
            Socket::Unix(listener) => listener.socket().address()?.to_string(),
        })
    }

    /// Accepts and serves connections for as long as this future is polled.
    pub(crate) async fn serve(self: Arc<Self>, store: Arc<Store>, reloader: Arc<Reloader>, fleet: Option<Arc<Fleet>>) {
        let router = api::router(self.token.as_deref(), store, reloader, fleet);
        match &self.socket {
            Socket::Tcp(listener) => serve(listener, self.tls.as_ref(), router).await,
            Socket::Unix(listener) => serve(listener, self.tls.as_ref(), router).await,
        }
    }
}

async fn serve<L: Accept>(listener: &Listener<L>, tls: Option<&TlsAcceptor>, router: Router)
where
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = routed(router);
    loop {
        let (stream, accepted) = listener.accept().await;
        tokio::spawn(accepted.serve(stream, tls.cloned(), answer.clone()));
    }
}

/// Binds a Unix socket that only this user may use. Replaces the file of a socket on which no process listens any more.
fn unix_socket(path: &Path) -> anyhow::Result<LocalSocket> {
    LocalSocket::bind(path, 0o600).map_err(|error| {
        let name = path.display();
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                anyhow!("another process listens on {name}; set deploy.listen to another path")
            }
            _ => anyhow!("cannot listen on {name}: {error}; its folder must exist and belong to this user"),
        }
    })
}
