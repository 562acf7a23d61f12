//! TLS: installs the cryptography provider of the process, detects errors of certificates, and reads the certificates of
//! listeners and the authorities that clients trust.

mod authorities;
mod certificates;

use std::{error::Error, io};

use rustls::{Error as TlsError, crypto::ring};

pub(crate) use self::{
    authorities::{CaError, authorities, client, read_authorities},
    certificates::{Certificates, Error as CertificateError, Proofs, is_check},
};

/// Installs the default cryptography provider of the process, for clients that are not given another one. Further calls
/// have no effect.
pub(crate) fn install_provider() {
    let _ = ring::default_provider().install_default();
}

/// Returns whether an error or one of its causes is a certificate that TLS has rejected.
pub(crate) fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| matches!(error.downcast_ref(), Some(TlsError::InvalidCertificate(_))))
}

/// Returns an error and its causes.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// Returns the cause of an error. An `io::Error` does not list the error that it wraps among its sources.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn the_cause_of_an_error_is_found_inside_io_errors() {
        let rejected = || TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(is_certificate_error(&rejected()));
        assert!(is_certificate_error(&io::Error::other(io::Error::other(rejected()))));
        assert!(!is_certificate_error(&TlsError::DecryptError));
        assert!(!is_certificate_error(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
