//! The admin API's listener: a TCP address, optionally with TLS, or a Unix socket. `admin/api.rs` has the routes.

mod api;
mod diff;
mod problem;

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use anyhow::{Context, bail};
use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixSocket},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::{Deploy, Listen},
    deploy::Store,
    fleet::Fleet,
    reload::Reloader,
    server::{
        MAX_SIDE_CONNECTIONS,
        connections::{Accept, Connections, Listener, routed},
    },
    tls::Certificates,
};

/// Name of the listener in the log.
const NAME: &str = "deployment";
/// Maximum number of connections of the Unix socket that wait to be accepted.
const BACKLOG: u32 = 64;

/// The bound listener of the admin API. It accepts connections once [`serve`](Self::serve) is polled.
pub(crate) struct Admin {
    socket: Socket,
    tls: Option<TlsAcceptor>,
    token: Option<String>,
}

enum Socket {
    Tcp(Listener<TcpListener>),
    Unix(Listener<UnixListener>),
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
                .map(|socket| Socket::Tcp(Listener::new(socket, NAME, MAX_SIDE_CONNECTIONS, connections)))
                .map_err(|source| BindError::Address { address: *address, source })?,
            Listen::Unix(path) => {
                Socket::Unix(Listener::new(unix_socket(path)?, NAME, MAX_SIDE_CONNECTIONS, connections))
            }
        };
        let tls = certificates.map(|all| all.acceptor(false)).transpose().context("TLS cannot be used")?;
        Ok(Some(Self { socket, tls, token: settings.token.clone() }))
    }

    /// Returns the address of the listener. If the configured port is 0, this is the port that the system chose.
    pub(crate) fn address(&self) -> io::Result<String> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => listener.socket().local_addr()?.to_string(),
            Socket::Unix(listener) => {
                let address = listener.socket().local_addr()?;
                format!("unix:{}", address.as_pathname().unwrap_or(Path::new("")).display())
            }
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

/// Binds a Unix socket with mode 0600. Replaces the file of a socket on which no process listens any more.
fn unix_socket(path: &Path) -> anyhow::Result<UnixListener> {
    let name = path.display();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("another process listens on {name}; set deploy.listen to another path");
    }
    let listen = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // The socket accepts no connections before `listen`, so the mode applies to the first one.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("cannot listen on {name}; its folder must exist and belong to this user"))
}
