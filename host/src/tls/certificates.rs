//! Certificates of a listener: reads them from PEM files, chooses one by the server name that a client requests, and
//! replaces them without an effect on open connections.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
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
}

/// The certificates of a listener.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Files in the order of `current`.
    files: Vec<Files>,
    /// The first certificate is the default.
    current: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Reads certificates from files with a certificate and a key each. Clients that request no name, or a name without
    /// a certificate, get the first one.
    ///
    /// # Errors
    ///
    /// Returns the error of the first pair that cannot be used.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Result<Arc<Self>, Error> {
        let owned = |(cert, key): (&Path, &Path)| Files { cert: cert.to_owned(), key: key.to_owned() };
        let files: Vec<_> = files.into_iter().map(owned).collect();
        let current = ArcSwap::from_pointee(read_all(&files)?);
        Ok(Arc::new(Self { files, current }))
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
        let is_changed = self.current.load().iter().zip(&next).any(|(old, new)| old.cert != new.cert);
        if is_changed {
            self.current.store(Arc::new(next));
        }
        Ok(is_changed)
    }

    /// Returns an acceptor of connections with HTTP/1.1, and with HTTP/2 if `has_http2`.
    pub(crate) fn acceptor(self: Arc<Self>, has_http2: bool) -> Result<TlsAcceptor, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        let protocols = [HTTP_2, HTTP_1].into_iter().skip(usize::from(!has_http2));
        config.alpn_protocols = protocols.map(<[u8]>::to_vec).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.current.load();
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| all.iter().filter(is_usable).find(|key| is_for(key, &name)));
        named.or_else(|| all.iter().find(is_usable)).cloned()
    }
}

/// Returns whether a certificate is valid for a name, which may match a wildcard.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.cert.first().and_then(|cert| ParsedCertificate::try_from(cert).ok());
    parsed.is_some_and(|cert| verify_server_name(&cert, name).is_ok())
}

fn read_all(files: &[Files]) -> Result<Vec<Arc<CertifiedKey>>, Error> {
    files.iter().map(|files| read(files).map(Arc::new)).collect()
}

fn read(Files { cert, key }: &Files) -> Result<CertifiedKey, Error> {
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
