//! The certificate authorities that clients of the host trust.

use std::{fs, path::Path};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Error of a file with authorities.
#[derive(Debug, thiserror::Error)]
#[error("{path} is no PEM file with a certificate: {reason}")]
pub(crate) struct CaError {
    path: String,
    reason: String,
}

impl CaError {
    pub(crate) fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.display().to_string(), reason: reason.to_string() }
    }
}

/// Reads the authorities in a PEM file.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or has no certificate that can be used.
pub(crate) fn read_authorities(path: &Path) -> Result<RootCertStore, CaError> {
    let pem = fs::read(path).map_err(|error| CaError::new(path, error))?;
    authorities(&pem, path)
}

/// Reads the authorities in `pem`, the content of the file `path`.
///
/// # Errors
///
/// Returns an error if the content has no certificate, or one that cannot be used.
pub(crate) fn authorities(pem: &[u8], path: &Path) -> Result<RootCertStore, CaError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| CaError::new(path, error))?;
        roots.add(certificate).map_err(|error| CaError::new(path, error))?;
    }
    if roots.is_empty() { Err(CaError::new(path, "it contains none")) } else { Ok(roots) }
}

/// Returns the TLS of a client that trusts the authorities of the system besides `roots`. `purpose` names the client in
/// the log.
pub(crate) fn client(mut roots: RootCertStore, purpose: &str) -> ClientConfig {
    super::install_provider();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of the system cannot be used for {purpose}");
    }
    roots.add_parsable_certificates(found.certs);
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
