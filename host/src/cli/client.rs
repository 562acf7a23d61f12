//! HTTP client of a host's admin API, over TCP, TLS or a Unix socket. This module contains no routes of the API.

use std::{error::Error, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail, ensure};
use reqwest::{Body, Method, RequestBuilder, StatusCode, Url, redirect::Policy};
use serde_json::Value;

use crate::tls;

/// Timeout of a connection attempt, with the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Client of one host. It uses its connection again for the next request.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// The host's address as the user has given it.
    address: String,
    token: Option<String>,
}

/// Address of a host.
#[derive(Debug, PartialEq)]
enum Address {
    Url(Url),
    Unix(PathBuf),
}

/// A response whose status is not a success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl From<Refusal> for anyhow::Error {
    /// Returns an error with the reason from the response.
    fn from(Refusal { status, body }: Refusal) -> Self {
        if status == StatusCode::UNAUTHORIZED {
            return anyhow!("the host refuses the token; give its deploy.token by --token-file or CARYA_DEPLOY_TOKEN");
        }
        let detail = body["detail"].as_str().unwrap_or("the response has no reason; is this deploy.listen of a host?");
        anyhow!("the host answers {status}: {detail}")
    }
}

impl Client {
    /// Returns a client for `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. Does not connect yet.
    pub(super) fn new(to: &str, token: Option<String>) -> anyhow::Result<Self> {
        let address = parse(to).with_context(|| {
            format!(
                "--to {to:?} is not the address of a host; accepted: http://HOST:PORT, https://HOST:PORT, unix:PATH"
            )
        })?;
        tls::install_provider();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("carya/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy();
        // Without TLS, do not load the certificate authorities of the system, because a container may have none.
        let (builder, base) = match address {
            Address::Url(url) if url.scheme() == "https" => (builder, url),
            Address::Url(url) => (builder.tls_certs_only([]), url),
            Address::Unix(path) => (builder.tls_certs_only([]).unix_socket(path), Url::parse("http://localhost")?),
        };
        let http = builder.build().map_err(|error| {
            anyhow!(
                "TLS cannot be set up: {}; install the certificates of your system, or set SSL_CERT_FILE",
                root(&error)
            )
        })?;
        Ok(Self { http, base, address: to.to_owned(), token })
    }

    /// Sends a request and reads the response, which is JSON.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> anyhow::Result<Result<Value, Refusal>> {
        let request = self.http.request(method, self.base.join(path)?).body(body);
        let request = self.token.iter().fold(request, RequestBuilder::bearer_auth);
        let response = request.send().await.map_err(|error| self.explain(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.explain(&error))?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(if status.is_success() { Ok(body) } else { Err(Refusal { status, body }) })
    }

    /// Describes a failed request by its cause, and adds the remedy.
    fn explain(&self, error: &reqwest::Error) -> anyhow::Error {
        let (address, cause) = (&self.address, root(error));
        if tls::is_certificate_error(error) {
            return anyhow!(
                "{address} is not trusted: {cause}; if an authority of your own has signed its certificate, set \
                 SSL_CERT_FILE to a PEM file with the certificate of that authority"
            );
        }
        match error.is_connect() {
            true if error.is_timeout() => anyhow!(
                "cannot connect to {address} (--to): timed out after {CONNECT_TIMEOUT:?}; check the address, and that no \
                 firewall is in between"
            ),
            true => anyhow!(
                "cannot connect to {address} (--to): {cause}; start the host with this address in deploy.listen, or \
                 correct --to"
            ),
            false => anyhow!("the request to {address} failed: {cause}"),
        }
    }
}

/// Returns the text of the innermost cause. The errors around it repeat the address.
fn root(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn parse(to: &str) -> anyhow::Result<Address> {
    if let Some(path) = to.strip_prefix("unix:") {
        ensure!(!path.is_empty(), "the path is missing");
        return Ok(Address::Unix(path.into()));
    }
    let url: Url = to.parse()?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("the scheme is {:?}", url.scheme());
    }
    ensure!(url.username().is_empty() && url.password().is_none(), "a login is not supported");
    ensure!(url.path() == "/" && url.query().is_none() && url.fragment().is_none(), "it has a path");
    Ok(Address::Url(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_without_a_path_or_a_socket() {
        for (to, expected) in [
            ("http://127.0.0.1:9091", Some("http://127.0.0.1:9091/")),
            ("https://carya.example/", Some("https://carya.example/")),
            ("https://[::1]:9091", Some("https://[::1]:9091/")),
            ("unix:/run/carya.sock", Some("unix:/run/carya.sock")),
            ("unix:carya.sock", Some("unix:carya.sock")),
            ("127.0.0.1:9091", None),
            ("carya.example", None),
            ("ftp://x", None),
            ("http://x/path", None),
            ("http://x?query", None),
            ("http://user:password@x", None),
            ("unix:", None),
        ] {
            let found = parse(to).ok().map(|address| match address {
                Address::Url(url) => url.to_string(),
                Address::Unix(path) => format!("unix:{}", path.display()),
            });
            assert_eq!(found.as_deref(), expected, "{to}");
        }
    }
}
