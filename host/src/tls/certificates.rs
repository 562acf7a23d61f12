//! Certificates of a listener: reads them from PEM files, chooses one by the server name that a client requests, and
//! replaces them without an effect on open connections. To a certificate authority that checks a name (TLS-ALPN-01,
//! RFC 8737), it presents the proof.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, ServerConnection,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

/// Protocols of a listener, as names of ALPN.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// Protocol of the connections by which an authority checks a name.
const ACME: &[u8] = b"acme-tls/1";

/// Error of the files of a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read, or is not PEM.
    #[error("{} cannot be read as PEM: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the reader.
        source: pem::Error,
    },
    /// The file has no certificate.
    #[error("{} has no certificate", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key do not belong together, or have an algorithm that is not supported.
    #[error("the certificate in {} cannot be used with the key in {}: {source}", cert.display(), key.display())]
    Unusable {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// Error of rustls.
        source: rustls::Error,
    },
}

/// Files of a certificate chain, the listener's own certificate first, and of its private key.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// Whether they may be missing, because the host has not obtained the certificate yet.
    are_optional: bool,
}

/// The certificates of a listener.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Vec<Files>,
    /// Those in the files, in the order of `files`. The first certificate is the default.
    current: ArcSwap<Vec<Arc<CertifiedKey>>>,
    /// Proofs for an authority, by name. `None` if no certificate is obtained.
    proofs: Option<ArcSwap<Proofs>>,
}

/// Self-signed certificates that prove to an authority that this host serves a name.
pub(crate) type Proofs = BTreeMap<String, Arc<CertifiedKey>>;

impl Certificates {
    /// Reads certificates from files with a certificate and a key each, and from the file `obtained` if it exists, which
    /// has both. Clients that request no name, or a name without a certificate, get the first one.
    ///
    /// # Errors
    ///
    /// Returns the error of the first pair that cannot be used.
    pub(crate) fn read<'a>(
        files: impl IntoIterator<Item = (&'a Path, &'a Path)>,
        obtained: Option<&Path>,
    ) -> Result<Arc<Self>, Error> {
        let files = files.into_iter().map(|(cert, key)| (cert, key, false));
        let files = files.chain(obtained.map(|path| (path, path, true)));
        let owned = |(cert, key, are_optional): (&Path, &Path, bool)| Files {
            cert: cert.to_owned(),
            key: key.to_owned(),
            are_optional,
        };
        let files: Vec<_> = files.map(owned).collect();
        let current = ArcSwap::from_pointee(read_all(&files)?);
        Ok(Arc::new(Self { files, current, proofs: obtained.map(|_| ArcSwap::default()) }))
    }

    /// Returns the paths of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flat_map(|files| [&*files.cert, &*files.key])
    }

    /// Reads the files again. Returns whether a certificate has changed; new connections then get the new one.
    ///
    /// # Errors
    ///
    /// Returns the error of the first pair that cannot be used. The old certificates stay.
    pub(crate) fn reload(&self) -> Result<bool, Error> {
        let next = read_all(&self.files)?;
        let is_changed = !self.current.load().iter().map(|key| &key.cert).eq(next.iter().map(|key| &key.cert));
        if is_changed {
            self.current.store(Arc::new(next));
        }
        Ok(is_changed)
    }

    /// Presents these proofs from now on, instead of earlier ones.
    pub(crate) fn prove(&self, proofs: Proofs) {
        if let Some(current) = &self.proofs {
            current.store(Arc::new(proofs));
        }
    }

    /// Returns an acceptor of connections with HTTP/1.1, and with HTTP/2 if `has_http2`.
    pub(crate) fn acceptor(self: Arc<Self>, has_http2: bool) -> Result<TlsAcceptor, rustls::Error> {
        let protocols = [(HTTP_2, has_http2), (HTTP_1, true), (ACME, self.proofs.is_some())];
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols =
            protocols.into_iter().filter(|(_, is_offered)| *is_offered).map(|(name, _)| name.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(proofs) = &self.proofs
            && hello.alpn().is_some_and(|names| names.eq([ACME]))
        {
            return proofs.load().get(hello.server_name()?).cloned();
        }
        let all = self.current.load();
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| all.iter().filter(is_usable).find(|key| is_for(key, &name)));
        named.or_else(|| all.iter().find(is_usable)).cloned()
    }
}

/// Returns whether a connection is one by which an authority checks a name. It transfers no data.
pub(crate) fn is_check(connection: &ServerConnection) -> bool {
    connection.alpn_protocol() == Some(ACME)
}

/// Returns whether a certificate is valid for a name, which may match a wildcard.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.cert.first().and_then(|cert| ParsedCertificate::try_from(cert).ok());
    parsed.is_some_and(|cert| verify_server_name(&cert, name).is_ok())
}

fn read_all(files: &[Files]) -> Result<Vec<Arc<CertifiedKey>>, Error> {
    let existing = files.iter().filter(|files| !files.are_optional || files.cert.exists());
    existing.map(|files| read(files).map(Arc::new)).collect()
}

fn read(Files { cert, key, .. }: &Files) -> Result<CertifiedKey, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { path, source }
    };
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(unreadable(cert))?;
    if chain.is_empty() {
        return Err(Error::Empty(cert.clone()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| Error::Unusable {
        cert: cert.clone(),
        key: key.clone(),
        source,
    })
}
