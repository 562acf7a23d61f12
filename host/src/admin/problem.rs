//! Error responses of the admin API, as problem details (RFC 9457).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{app::format_error, deploy::Error, fleet::tables::Error as Tables};

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
            Error::Damaged { .. } | Error::Invalid(_) | Error::Digest(_) | Error::Mismatch { .. } => {
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

impl From<Tables> for Problem {
    fn from(error: Tables) -> Self {
        let status = match error {
            Tables::Folder(error) => return error.into(),
            Tables::Overtaken { .. } => StatusCode::CONFLICT,
            Tables::Gone(_) | Tables::Damaged { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Tables::Database(_) | Tables::Incomplete | Tables::Unsure(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// Maps any other error to 422: the stored files are complete, but the host cannot serve the application.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Error>().map_err(anyhow::Error::downcast::<Tables>) {
            Ok(error) => error.into(),
            Err(Ok(error)) => error.into(),
            Err(Err(error)) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, format_error(&error)),
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
