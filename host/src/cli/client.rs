//! HTTP client of a host's admin API, over TCP, TLS or a Unix socket. It does not know the routes.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// Timeout of a connection attempt, with the TLS handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A connection to a host. After a disconnect, the next request opens a new one.
pub(super) struct Client {
    place: Place,
    token: Option<String>,
    sender: Option<SendRequest<Body>>,
}

#[derive(Debug)]
enum Place {
    Tcp { authority: String, host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// A response whose status is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    /// Returns an error with the reason that the host gives.
    pub(super) fn told(&self) -> anyhow::Error {
        let Self { status, body } = self;
        let detail = body["detail"].as_str().unwrap_or("it does not say why; is this deploy.listen of a host?");
        match *status {
            StatusCode::UNAUTHORIZED => {
                anyhow!("the host refuses the token; give its deploy.token by --token-file or CARYA_DEPLOY_TOKEN")
            }
            status => anyhow!("the host answers {status}: {detail}"),
        }
    }
}

impl Client {
    /// Returns a client for `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. Does not connect yet.
    pub(super) fn new(to: &str, token: Option<String>) -> anyhow::Result<Self> {
        let place = place(to).with_context(|| {
            format!("--to {to:?} is no place of a host; accepted: http://HOST:PORT, https://HOST:PORT, unix:PATH")
        })?;
        Ok(Self { place, token, sender: None })
    }

    /// Sends a request and reads the response, which is JSON.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Body,
    ) -> anyhow::Result<Result<Value, Refusal>> {
        let authority = match &self.place {
            Place::Tcp { authority, .. } => authority.clone(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.sender().await?.send_request(request.body(body)?).await;
        let answer = answer.context("the host does not answer")?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.context("the answer did not arrive")?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(if status.is_success() { Ok(body) } else { Err(Refusal { status, body }) })
    }

    async fn sender(&mut self) -> anyhow::Result<&mut SendRequest<Body>> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = None;
        }
        match &mut self.sender {
            Some(sender) => Ok(sender),
            empty => {
                let connected = tokio::time::timeout(PATIENCE, connect(&self.place)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
                Ok(empty.insert(connected.with_context(|| match &self.place {
                    Place::Tcp { authority, .. } => format!("{authority} cannot be reached"),
                    Place::Unix(path) => format!("{} cannot be reached", path.display()),
                })?))
            }
        }
    }
}

fn place(to: &str) -> anyhow::Result<Place> {
    if let Some(path) = to.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Place::Unix(path.into()));
    }
    let uri: Uri = to.parse()?;
    let (tls, port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => bail!("it has another scheme"),
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        bail!("it has a path");
    }
    let authority = uri.authority().context("it names no host")?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    Ok(Place::Tcp { authority: authority.to_string(), host, port: authority.port_u16().unwrap_or(port), tls })
}

async fn connect(place: &Place) -> anyhow::Result<SendRequest<Body>> {
    match place {
        Place::Unix(path) => shake_hands(UnixStream::connect(path).await?).await,
        Place::Tcp { host, port, tls, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            match tls {
                false => shake_hands(stream).await,
                true => {
                    let name = ServerName::try_from(host.clone())?;
                    shake_hands(TlsConnector::from(tls_config()?).connect(name, stream).await?).await
                }
            }
        }
    }
}

async fn shake_hands(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<SendRequest<Body>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // An error of the connection reaches the pending or the next request.
    tokio::spawn(connection);
    Ok(sender)
}

/// Returns a configuration that trusts the authorities of the system, or those in the file `SSL_CERT_FILE`.
fn tls_config() -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places() {
        for (to, expected) in [
            ("http://127.0.0.1:9091", Some("127.0.0.1 9091 false")),
            ("https://carya.example/", Some("carya.example 443 true")),
            ("https://[::1]:9091", Some("::1 9091 true")),
            ("127.0.0.1:9091", None),
            ("ftp://x", None),
            ("http://x/path", None),
            ("unix:", None),
        ] {
            let found = place(to).ok().map(|place| match place {
                super::Place::Tcp { host, port, tls, .. } => format!("{host} {port} {tls}"),
                super::Place::Unix(path) => path.display().to_string(),
            });
            assert_eq!(found.as_deref(), expected, "{to}");
        }
    }
}
