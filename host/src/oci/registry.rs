//! The client of a registry, on top of `oci_client`. The cache is in `cache.rs`.
//!
//! The operator chooses the registries. The client reads their manifests, tokens and errors into memory without a
//! limit on their length, so only the time for them is limited. The size of a component is limited while it is read.

use std::{
    error::Error,
    io::Cursor,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use oci_client::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError as ClientError,
    manifest::OCI_IMAGE_MEDIA_TYPE,
    secrets::RegistryAuth,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_util::io::InspectWriter;

use super::{
    failure::Failure,
    manifest::{Layer, digest_of_name, name_of_digest},
};
use crate::{
    config::{Image, ImageVersion, Registry as Settings},
    content::Digest,
    tls,
};

/// Maximum length of a manifest that is accepted, in bytes; registries have the same limit.
const MAX_MANIFEST: usize = 4 << 20;

/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time between two parts of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of a request for a manifest, a digest or a token.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout of the download of a component.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Interval of log lines about the progress of a pull.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// A repository in a registry, with the credentials for it.
pub(super) struct Registry<'a> {
    client: Client,
    image: &'a Image,
    reference: Reference,
    auth: RegistryAuth,
    max_size: usize,
}

impl<'a> Registry<'a> {
    pub(super) async fn connect(image: &'a Image, settings: Option<&Settings>) -> Result<Self, Failure> {
        tls::install_provider();
        let settings = settings.cloned().unwrap_or_default();
        let is_here = is_loopback(&image.host);
        let is_plain = is_here && settings.ca.is_none();
        let authority = settings.ca.as_deref().map(|ca| authority(&image.host, ca)).transpose()?;
        let config = ClientConfig {
            protocol: if is_plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: authority.into_iter().collect(),
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("carya/", env!("CARGO_PKG_VERSION")),
            // For a registry on this machine, override the proxy settings of the environment: `no_proxy` excludes every
            // host from the proxy that is set here.
            http_proxy: is_here.then(|| "http://localhost".to_owned()),
            no_proxy: is_here.then(|| "*, 0.0.0.0/0, ::/0".to_owned()),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| Failure::of(&image.host, &error))?;
        let (host, repository) = (image.host.clone(), image.repository.clone());
        let reference = match &image.version {
            ImageVersion::Tag(tag) => Reference::with_tag(host, repository, tag.clone()),
            ImageVersion::Digest(digest) => Reference::with_digest(host, repository, digest.clone()),
        };
        let auth = match settings.login {
            Some(login) => RegistryAuth::Basic(login.username, login.password),
            None => RegistryAuth::Anonymous,
        };
        let registry = Self { client, image, reference, auth, max_size: settings.max_size };
        // Authenticate here. Each request would authenticate too, but would not report the reason of a failure.
        let auth = registry.client.auth(&registry.reference, &registry.auth, RegistryOperation::Pull);
        match registry.within(REQUEST_TIMEOUT, auth).await? {
            // The client panics if a token contains a control character.
            Some(token) if token.contains(char::is_control) => {
                Err(Failure::lasting("its token is not valid in a header"))
            }
            _ => Ok(registry),
        }
    }

    /// Resolves the tag to the digest that it has now.
    pub(super) async fn digest(&self) -> Result<Digest, Failure> {
        let name = self.within(REQUEST_TIMEOUT, self.client.fetch_manifest_digest(&self.reference, &self.auth)).await?;
        digest_of_name(&name)
            .ok_or_else(|| Failure::lasting(format!("it is named by {name:?}; only sha256 is supported")))
    }

    pub(super) async fn manifest(&self, digest: Digest) -> Result<Vec<u8>, Failure> {
        let reference = self.reference.clone_with_digest(name_of_digest(digest));
        let pulled = self.client.pull_manifest_raw(&reference, &self.auth, &[OCI_IMAGE_MEDIA_TYPE]);
        let (manifest, _) = self.within(REQUEST_TIMEOUT, pulled).await?;
        if manifest.len() > MAX_MANIFEST {
            return Err(Failure::lasting(format!("its manifest has more than {MAX_MANIFEST} bytes")));
        }
        Ok(manifest.into())
    }

    pub(super) async fn layer(&self, layer: &Layer) -> Result<Vec<u8>, Failure> {
        if layer.size > self.max_size {
            return Err(Failure::lasting(format!(
                "its component has {} bytes, and the maximum is {}; set max_size in [registry.{:?}]",
                layer.size, self.max_size, self.image.host
            )));
        }
        let (mut bytes, mut length, mut logged) = (vec![0; layer.size], 0, Instant::now());
        let log_progress = |piece: &[u8]| {
            length += piece.len();
            if logged.elapsed() >= PROGRESS_INTERVAL {
                logged = Instant::now();
                tracing::info!(image = %self.image, kib = length / 1024, of_kib = layer.size / 1024, "pulling");
            }
        };
        // A `Cursor` over a slice does not grow, so writing a component fails if it is longer than announced.
        let out = InspectWriter::new(Cursor::new(bytes.as_mut_slice()), log_progress);
        self.within(
            DOWNLOAD_TIMEOUT,
            self.client.pull_blob(&self.reference, name_of_digest(layer.digest).as_str(), out),
        )
        .await?;
        bytes.truncate(length);
        Ok(bytes)
    }

    async fn within<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Failure> {
        let host = &self.image.host;
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| Failure::of(host, &error)),
            Err(_) => {
                Err(Failure { reason: format!("the request to {host} timed out after {limit:?}"), may_pass: true })
            }
        }
    }
}

/// Reads the certificates that the client trusts in addition to those of the system.
fn authority(host: &str, ca: &Path) -> Result<Certificate, Failure> {
    let path = ca.display();
    let wrong = |error: &dyn Error| {
        Failure::lasting(format!("registry.{host:?}.ca: {path} is no PEM file with a certificate: {error}"))
    };
    let data = std::fs::read(ca).map_err(|error| wrong(&error))?;
    CertificateDer::from_pem_slice(&data).map_err(|error| wrong(&error))?;
    Ok(Certificate { encoding: CertificateEncoding::Pem, data })
}

/// Returns whether `host` is this machine. The client uses plain HTTP for its registry, unless `ca` is set.
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
    fn only_loopback_needs_no_tls() {
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
