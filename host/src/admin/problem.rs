//! Error responses of the admin API, as problem details (RFC 9457).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::task::JoinError;

use crate::{
    app::format_error,
    content::InvalidDigest,
    deploy::{Error, InvalidId},
    fleet::tables::Error as Tables,
    task::Panicked,
};

#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// Digests of the files that the client must upload first.
    missing: Vec<String>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), missing: Vec::new() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Io { .. } | Error::Taken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            Error::Damaged { .. } | Error::Invalid(_) | Error::Digest(_) | Error::Id(_) | Error::Mismatch { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Unknown(_) => StatusCode::NOT_FOUND,
            Error::Missing { .. } | Error::NothingBefore => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, error.to_string());
        match error {
            Error::Missing { blobs, .. } => {
                Self { missing: blobs.iter().map(ToString::to_string).collect(), ..problem }
            }
            _ => problem,
        }
    }
}

impl From<InvalidDigest> for Problem {
    fn from(error: InvalidDigest) -> Self {
        Error::from(error).into()
    }
}

impl From<InvalidId> for Problem {
    fn from(error: InvalidId) -> Self {
        Error::from(error).into()
    }
}

impl From<Tables> for Problem {
    fn from(error: Tables) -> Self {
        let status = match error {
            Tables::Folder(error) => return error.into(),
            Tables::Overtaken { .. } => StatusCode::CONFLICT,
            Tables::FileMissing(_) | Tables::Damaged { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Tables::Database(_) | Tables::Incomplete | Tables::InDoubt(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// Uses the status of an error of the store or of the fleet. Maps a panic to 500, and any other error to 422, because
/// the stored files are complete but the host cannot serve the application.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Error>().map_err(anyhow::Error::downcast::<Tables>) {
            Ok(error) => error.into(),
            Err(Ok(error)) => error.into(),
            Err(Err(error)) => {
                let status = match error.chain().any(|cause| cause.is::<Panicked>() || cause.is::<JoinError>()) {
                    true => StatusCode::INTERNAL_SERVER_ERROR,
                    false => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, format_error(&error))
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.missing.is_empty() {
            body["missing"] = Value::from(self.missing);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn faults_of_the_host_are_not_faults_of_the_client() {
        let io = |kind: io::ErrorKind| Error::Io { path: "blobs/1".into(), source: kind.into() };
        let full = Error::Full { path: "blobs/1".into(), source: io::ErrorKind::StorageFull.into() };
        for (problem, status) in [
            (Problem::from(io(io::ErrorKind::PermissionDenied)), 500),
            (Problem::from(io(io::ErrorKind::Other)), 500),
            (Problem::from(full), 507),
            (Problem::from(anyhow::Error::from(io(io::ErrorKind::Other)).context("it was not unpacked")), 500),
            (Problem::from(Error::Invalid("it has no carya.toml".to_owned())), 422),
            (Problem::from(anyhow::anyhow!("component `a` exports nothing")), 422),
        ] {
            assert_eq!(problem.status.as_u16(), status, "{}", problem.detail);
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_of_the_host() {
        let panicked = tokio::spawn(async { panic!("a bug") }).await.expect_err("it panics");
        let error = anyhow::Error::from(panicked).context("the files were not read");
        assert_eq!(Problem::from(error).status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
