//! Speaking to a registry, and believing nothing that it says: everything that it sends has a limit, which holds while
//! it is read. What is kept of it is not known here.

use std::{
    fmt, io,
    net::IpAddr,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, StatusCode, header};
use http_auth::{ChallengeRef, parse_challenges};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use rustls::Error as TlsError;
use serde::Deserialize;

use super::{
    digest,
    kept::{Layer, is_digest},
};
use crate::config::{Image, ImageVersion, Registry as Settings};

/// The type of the manifest of an image.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The longest manifest, as registries have it, and the longest of other answers: tokens and errors.
const LONGEST_MANIFEST: usize = 4 << 20;
const LONGEST_WORD: usize = 64 << 10;

/// How long a registry may take to be reached, to go on with an answer, to end a short one, and to end a long one.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(30 * 60);

/// How often the progress of something long is told.
const NEWS: Duration = Duration::from_secs(2);

/// Why something was not to be had.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether it may go away by itself.
    pub(super) may_pass: bool,
}

impl Failure {
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_pass: false }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let may_pass = !(error.is_builder() || error.is_redirect());
        let (mut reason, mut is_distrusted) = (error.to_string(), false);
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let words = error.to_string();
            if !reason.contains(&words) {
                reason = format!("{reason}: {words}");
            }
            is_distrusted |= is_distrust(error);
            cause = error.source();
        }
        if is_distrusted {
            reason += "; if an authority of your own has signed its certificate, name that one by ca in its [registry]";
        }
        Self { reason, may_pass: may_pass && !is_distrusted }
    }
}

/// Whether a certificate was not believed. What the system's errors hold is not among their causes.
fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    matches!(error.downcast_ref(), Some(TlsError::InvalidCertificate(_))) || held.is_some_and(|held| is_distrust(held))
}

/// A repository, and who asks.
pub(super) struct Registry<'a> {
    client: Client,
    /// `https://HOST/v2/REPOSITORY/`
    base: String,
    image: &'a Image,
    settings: Option<&'a Settings>,
    /// How the registry wanted to be asked.
    authorization: Option<Authorization>,
}

enum Authorization {
    Basic,
    Bearer(String),
}

/// What a service for logins answers: by the one name or the other, or by both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(image: &'a Image, settings: Option<&'a Settings>) -> Result<Self, Failure> {
        // The client takes the process's own. A second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = settings.and_then(|settings| settings.ca.as_deref());
        let is_here = is_loopback(&image.host);
        let is_plain = is_here && ca.is_none();
        let mut client = Client::builder()
            .https_only(!is_plain)
            .connect_timeout(CONNECT)
            .read_timeout(READ)
            .user_agent(concat!("carya/", env!("CARGO_PKG_VERSION")));
        if is_here {
            client = client.no_proxy();
        }
        if let Some(ca) = ca {
            let cannot = |error: &dyn fmt::Display| {
                Failure::lasting(format!("registry.{:?}.ca: {} cannot be read: {error}", image.host, ca.display()))
            };
            let pem = std::fs::read(ca).map_err(|error| cannot(&error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| cannot(&error))?;
            if certificates.is_empty() {
                return Err(cannot(&"there is no certificate in it; it must be PEM"));
            }
            client = client.tls_certs_merge(certificates);
        }
        let scheme = if is_plain { "http" } else { "https" };
        let base = format!("{scheme}://{}/v2/{}/", image.host, image.repository);
        Ok(Self { client: client.build()?, base, image, settings, authorization: None })
    }

    /// What the tag means now.
    pub(super) async fn digest(&mut self) -> Result<String, Failure> {
        let (ImageVersion::Tag(name) | ImageVersion::Digest(name)) = &self.image.version;
        let path = format!("manifests/{name}");
        let answer = self.ask(Method::HEAD, &path, SHORT).await?;
        let told = answer.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        match told {
            Some(digest) if is_digest(digest) => Ok(digest.to_owned()),
            Some(digest) => Err(Failure::lasting(format!("it is named by {digest:?}; only sha256 is known here"))),
            // Who does not tell is asked for all of it.
            None => {
                let answer = self.ask(Method::GET, &path, SHORT).await?;
                Ok(digest(&read(answer, LONGEST_MANIFEST, "its manifest", |_| ()).await?))
            }
        }
    }

    pub(super) async fn manifest(&mut self, digest: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.ask(Method::GET, &format!("manifests/{digest}"), SHORT).await?;
        read(answer, LONGEST_MANIFEST, "its manifest", |_| ()).await
    }

    pub(super) async fn layer(&mut self, layer: &Layer) -> Result<Vec<u8>, Failure> {
        let max = self.settings.map_or(Settings::default().max_size, |settings| settings.max_size);
        if layer.size > max {
            return Err(Failure::lasting(format!(
                "its component has {} bytes, of {max} that are allowed; set max_size in [registry.{:?}]",
                layer.size, self.image.host
            )));
        }
        let answer = self.ask(Method::GET, &format!("blobs/{}", layer.digest), LONG).await?;
        let mut told = Instant::now();
        let tell = |length: usize| {
            if told.elapsed() >= NEWS {
                told = Instant::now();
                tracing::info!(image = %self.image, kib = length / 1024, of_kib = layer.size / 1024, "pulling");
            }
        };
        read(answer, layer.size, "its component", tell).await
    }

    /// Asks, and once more as somebody if the registry wants to know who asks.
    async fn ask(&mut self, method: Method, path: &str, patience: Duration) -> Result<Response, Failure> {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(method, url).header(header::ACCEPT, MANIFEST).timeout(patience);
        let again = request.try_clone();
        let answer = self.authorize(request).send().await?;
        match again.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) {
            None => self.checked(answer).await,
            Some(again) => {
                self.authorization = Some(self.authorization(answer.headers()).await?);
                self.checked(self.authorize(again).send().await?).await
            }
        }
    }

    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            None => request,
            Some(Authorization::Basic) => self.log_in(request),
            Some(Authorization::Bearer(token)) => request.bearer_auth(token),
        }
    }

    fn log_in(&self, request: RequestBuilder) -> RequestBuilder {
        match self.settings.and_then(|settings| settings.login.as_ref()) {
            Some(login) => request.basic_auth(&login.username, Some(&login.password)),
            None => request,
        }
    }

    /// What a registry wants to be told that does not answer everybody.
    async fn authorization(&self, headers: &HeaderMap) -> Result<Authorization, Failure> {
        let challenge = headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let challenges = parse_challenges(challenge).unwrap_or_default();
        let of_scheme = |scheme: &str| challenges.iter().find(|other| other.scheme.eq_ignore_ascii_case(scheme));
        let Some(bearer) = of_scheme("Bearer") else { return Ok(Authorization::Basic) };
        let wrong = || Failure::lasting("the registry does not say where to log in");
        let mut realm = Url::parse(&param(bearer, "realm").ok_or_else(wrong)?).map_err(|_| wrong())?;
        let scope = format!("repository:{}:pull", self.image.repository);
        realm.query_pairs_mut().append_pair("scope", &param(bearer, "scope").unwrap_or(scope));
        if let Some(service) = param(bearer, "service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        let answer = self.log_in(self.client.get(realm).timeout(SHORT)).send().await?;
        let words = read(self.checked(answer).await?, LONGEST_WORD, "its token", |_| ()).await?;
        let no = |why: String| Failure::lasting(format!("the registry gives no token: {why}"));
        let answer: Token = serde_json::from_slice(&words).map_err(|error| no(error.to_string()))?;
        let token = answer.token.or(answer.access_token).ok_or_else(|| no("there is none in its answer".to_owned()))?;
        Ok(Authorization::Bearer(token))
    }

    /// An answer that is a success.
    async fn checked(&self, answer: Response) -> Result<Response, Failure> {
        let (status, path) = (answer.status(), answer.url().path().to_owned());
        if status.is_success() {
            return Ok(answer);
        }
        let host = &self.image.host;
        let may_pass =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let words = read(answer, LONGEST_WORD, "its answer", |_| ()).await.unwrap_or_default();
        let words: String =
            String::from_utf8_lossy(&words).trim().chars().filter(|c| !c.is_control()).take(300).collect();
        let reason = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("{host} answers {status}; set username and password in [registry.\"{host}\"]")
            }
            status if words.is_empty() => format!("{host} answers {status} for {path}"),
            status => format!("{host} answers {status} for {path}: {words}"),
        };
        Err(Failure { reason, may_pass })
    }
}

fn param(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let (_, value) = challenge.params.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(value.to_unescaped())
}

/// Reads an answer as far as a limit.
async fn read(mut answer: Response, limit: usize, what: &str, mut tell: impl FnMut(usize)) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len() + piece.len() > limit {
            return Err(Failure::lasting(format!("{what} has more than the {limit} bytes that it may have")));
        }
        bytes.extend_from_slice(&piece);
        tell(bytes.len());
    }
    Ok(bytes)
}

/// Whether what is said to a host stays on this machine: then it may be plain HTTP.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for (host, expected) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("10.0.0.1:5000", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org:80", false),
            ("registry.example", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
