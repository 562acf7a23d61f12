//! Failures of a pull. Detects which ones are temporary, and which ones a setting can fix.

use std::error::Error;

use oci_client::errors::{DigestError, OciDistributionError as ClientError, OciErrorCode};

use crate::tls::is_certificate_error;

/// Error of a registry or of the cache.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether a later attempt may succeed without a change to the configuration.
    pub(super) may_pass: bool,
}

impl Failure {
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_pass: false }
    }

    /// Describes the client's error with its causes, and names the setting that may fix it.
    pub(super) fn of(host: &str, error: &ClientError) -> Self {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            cause = error.source();
        }
        let text: String = reason.chars().filter(|c| !c.is_control()).take(500).collect();
        let text = text.trim_end_matches([':', ' ']);
        Self::lasting(match (error, status(error)) {
            (ClientError::DigestError(DigestError::VerificationError { expected, .. }), _) => {
                format!("the registry sent content that does not have the digest {expected}")
            }
            // The client writes only to the buffer, which has the announced size, so the buffer is full.
            (ClientError::IoError(_), _) => {
                "the registry sent a component that is longer than its manifest announces".to_owned()
            }
            (ClientError::RequestError(_), _) if is_certificate_error(error) => format!(
                "{text}; if your own certificate authority has signed the certificate, set ca in [registry.\"{host}\"]"
            ),
            (_, Some(401 | 403)) => format!("{text}; set username and password in [registry.\"{host}\"]"),
            (ClientError::RequestError(error), _) => {
                return Self { reason: text.to_owned(), may_pass: !(error.is_builder() || error.is_redirect()) };
            }
            (_, status) => {
                return Self { reason: text.to_owned(), may_pass: matches!(status, Some(408 | 429 | 500..)) };
            }
        })
    }
}

/// Returns the HTTP status of a failed request. If the response has a list of errors, the client keeps only that list,
/// and this function maps the first code in the list to a status.
fn status(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::UnauthorizedError { .. } | ClientError::AuthenticationFailure(_) => Some(401),
        ClientError::ServerError { code, .. } => Some(*code),
        ClientError::RegistryError { envelope, .. } => match envelope.errors.first()?.code {
            OciErrorCode::Unauthorized => Some(401),
            OciErrorCode::Denied => Some(403),
            OciErrorCode::Toomanyrequests => Some(429),
            _ => None,
        },
        _ => None,
    }
}
