//! The HTTP client that the components of a generation share. It resolves names and checks their addresses itself, and
//! connects to an address that it has checked. It follows no redirects and uses no proxy of the environment.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;
use tower_service::Service;

use super::{Failure, RequestBody, address::is_global};
use crate::{
    config,
    tls::{self, CaError},
};

/// Time after which an idle connection is closed. Many servers close them after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of idle connections to one destination.
const MAX_IDLE: usize = 16;

/// Maximum length of the head of a response, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The settings of a host for outbound requests, and the client with these settings.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(super) settings: config::Outbound,
    /// Content of `ca`.
    authorities: Vec<u8>,
    /// `None` if no component may send requests.
    client: Option<HttpClient>,
}

type HttpClient = Client<HttpsConnector<HttpConnector<Resolver>>, RequestBody>;

impl Network {
    /// Returns a network with these settings. If `is_used`, some component may send requests. Returns `before` if it is
    /// the same, so that its open connections stay in use.
    ///
    /// # Errors
    ///
    /// Returns an error if the file `ca` cannot be used.
    pub(crate) fn of(
        settings: config::Outbound,
        is_used: bool,
        before: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, CaError> {
        let authorities = match &settings.ca {
            Some(path) => std::fs::read(path).map_err(|error| CaError::new(path, error))?,
            None => Vec::new(),
        };
        let is_same = |before: &Arc<Self>| {
            before.settings == settings && before.authorities == authorities && before.client.is_some() == is_used
        };
        if let Some(before) = before.filter(is_same) {
            return Ok(before);
        }
        let roots = match &settings.ca {
            Some(path) => tls::authorities(&authorities, path)?,
            None => RootCertStore::empty(),
        };
        let client = is_used.then(|| client(&settings, roots));
        Ok(Arc::new(Self { settings, authorities, client }))
    }

    /// Sends a request. `is_redirected`: the host has chosen the destination.
    pub(super) async fn send(
        &self,
        request: http::Request<RequestBody>,
        is_redirected: bool,
    ) -> Result<http::Response<Incoming>, Failure> {
        // The connector does not resolve addresses, so check them here.
        let host = request.uri().host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = host.parse() {
            check(address, self.settings.allow_private || is_redirected)?;
        }
        let client = self.client.as_ref().ok_or_else(|| Failure::Denied("no request is permitted".to_owned()))?;
        client.request(request).await.map_err(|error| Failure::of(&error))
    }
}

fn client(settings: &config::Outbound, roots: RootCertStore) -> HttpClient {
    let mut connector = HttpConnector::new_with_resolver(Resolver { allow_private: settings.allow_private });
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(roots, "outbound HTTP"))
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .http2_max_header_list_size(MAX_HEAD as u32)
        .build(connector)
}

fn check(address: IpAddr, allow_private: bool) -> Result<(), Failure> {
    if allow_private || is_global(address) { Ok(()) } else { Err(Failure::Prohibited(address)) }
}

/// Resolves names to addresses that guests may reach. The connector connects to these addresses without resolving the
/// name again, so a name cannot change its addresses between check and connection.
#[derive(Debug, Clone)]
struct Resolver {
    allow_private: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let unresolved = |error: io::Error| Failure::Name(error.to_string());
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(unresolved)?.collect();
            let checked = |address: &SocketAddr| check(address.ip(), allow_private);
            let refused = found.iter().find_map(|address| checked(address).err());
            let permitted: Vec<_> = found.into_iter().filter(|address| checked(address).is_ok()).collect();
            match refused {
                Some(failure) if permitted.is_empty() => Err(failure),
                _ => Ok(permitted.into_iter()),
            }
        })
    }
}
