//! The certificate that proves to an authority that this host serves a name.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring::sign::any_ecdsa_type, pki_types::PrivateKeyDer, sign::CertifiedKey};

/// Reason why no proof can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Key(#[from] rustls::Error),
}

/// Returns a self-signed certificate for a name. Its extension has the digest that the authority expects (RFC 8737,
/// section 3).
pub(super) fn proof(name: String, digest: &[u8]) -> Result<Arc<CertifiedKey>, Error> {
    let mut params = CertificateParams::new([name])?;
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    // `CertifiedKey::from_der` would not accept the extension, which is critical.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.into()], any_ecdsa_type(&PrivateKeyDer::from(key))?)))
}
