//! Failures: who is at fault, what the client is told, what the log is told. The one place where a failure becomes a
//! status.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    component::{CallError, wit::carya::host::types as wit},
    database::error::{DbError, Kind},
    message::{Reply, Request},
};

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is not acceptable, or the client went away.
    Client,
    /// A guest trapped, used up a limit, or answered nonsense or an error.
    Guest,
    /// The database refused, failed or was not reachable.
    Database,
    /// The host.
    Host,
}

impl Fault {
    /// Its name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Client => "client",
            Fault::Guest => "guest",
            Fault::Database => "database",
            Fault::Host => "host",
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What the client gets.
    pub status: StatusCode,
    /// Who is at fault.
    pub fault: Fault,
    /// What the client is told: short, and nothing of the inside.
    pub public: Cow<'static, str>,
    /// What the log is told.
    pub detail: String,
    /// The `Allow` header of a 405.
    pub allow: Option<String>,
}

/// How long clients are asked to wait after a 503, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

impl Failure {
    fn new(status: StatusCode, fault: Fault, public: &'static str, detail: impl Into<String>) -> Self {
        Self { status, fault, public: public.into(), detail: detail.into(), allow: None }
    }

    /// No route has this path.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Fault::Client, "There is nothing at this path.", "no route")
    }

    /// The path has routes, but none for this method.
    pub fn method_not_allowed(allow: String) -> Self {
        let failure = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Fault::Client,
            "This path does not serve this method.",
            "no method",
        );
        Self { allow: Some(allow), ..failure }
    }

    /// The body is longer than `server.max_body`.
    pub fn body_too_large(limit: usize) -> Self {
        let mut failure =
            Self::new(StatusCode::PAYLOAD_TOO_LARGE, Fault::Client, "", "the body is longer than server.max_body");
        failure.public = format!("The body may have at most {limit} bytes.").into();
        failure
    }

    /// The body did not arrive within `server.request_timeout`.
    pub fn body_too_slow() -> Self {
        let detail = "the body did not arrive within server.request_timeout";
        Self::new(StatusCode::REQUEST_TIMEOUT, Fault::Client, "The body took too long to arrive.", detail)
    }

    /// The body could not be read to its end.
    pub fn body_unreadable(error: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Fault::Client,
            "The body could not be read.",
            format!("reading the body: {error}"),
        )
    }

    /// Too many requests are running already.
    pub fn overloaded() -> Self {
        let detail = "server.max_concurrent_requests are running and none ended in time";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Host, "The server is busy.", detail)
    }

    /// The request took longer than `server.request_timeout`.
    pub fn too_slow() -> Self {
        let detail = "the request took longer than server.request_timeout";
        Self::new(StatusCode::GATEWAY_TIMEOUT, Fault::Guest, "The answer took too long.", detail)
    }

    /// The client went away, or the host is shutting down.
    pub fn abandoned() -> Self {
        let detail = "the client went away, or the host is shutting down";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Client, "The request was abandoned.", detail)
    }

    /// The host itself failed.
    pub fn host(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Host, "Something went wrong.", detail)
    }

    /// A guest answered something that cannot be sent.
    pub fn nonsense(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Guest, "Something went wrong.", detail)
    }

    /// A failed statement that decides the request: one of the host's, or one that a guest left standing.
    pub fn statement(error: &DbError, what: &str) -> Self {
        let detail = match &error.code {
            Some(code) => format!("{what}: {} (code {code})", error.message),
            None => format!("{what}: {}", error.message),
        };
        match error.kind {
            Kind::Lost => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Database, "The database cannot be reached.", detail)
            }
            Kind::Conflict => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Fault::Database, "The database is busy. Try again.", detail)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Database, "Something went wrong.", detail),
        }
    }

    /// The connection was lost while the commit ran.
    pub fn in_doubt(error: &DbError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Fault::Database,
            "The connection to the database was lost while the change was committed. It may or may not have been made: look before you try again.",
            format!("commit in doubt: {}", error.message),
        )
    }

    /// A call that brought no answer. Where the database could not be had, that is what failed, whatever the guest
    /// made of it.
    pub fn call(error: &CallError, doom: Option<&DbError>) -> Self {
        if let Some(doom @ DbError { kind: Kind::Lost | Kind::Conflict, .. }) = doom {
            return Self::statement(doom, &error.to_string());
        }
        let (status, fault, public) = match error {
            CallError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, Fault::Guest, "The answer took too long."),
            CallError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, Fault::Host, "The server is busy."),
            CallError::NotExported { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Fault::Host, "Something went wrong."),
            CallError::Refused { .. } | CallError::Trapped { .. } | CallError::OutOfMemory { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, Fault::Guest, "Something went wrong.")
            }
        };
        Self::new(status, fault, public, error.to_string())
    }

    /// As on-error hooks see it.
    pub fn to_wit(&self) -> wit::Failure {
        let fault = match self.fault {
            Fault::Client => wit::Fault::Client,
            Fault::Guest => wit::Fault::Guest,
            Fault::Database => wit::Fault::Database,
            Fault::Host => wit::Fault::Host,
        };
        wit::Failure { status: self.status.as_u16(), fault, message: self.detail.clone() }
    }

    /// As the client sees it: problem details (RFC 9457), or text for those that prefer it.
    pub fn reply(&self, request: &Request) -> Reply {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut headers = HeaderMap::with_capacity(3);
        let body = if prefers_text(&request.headers) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            format!("{} {title}\n{}\nrequest {}\n", self.status.as_u16(), self.public, request.id)
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            serde_json::json!({
                "type": "about:blank",
                "title": title,
                "status": self.status.as_u16(),
                "detail": self.public,
                "request_id": request.id,
            })
            .to_string()
        };
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        Reply { status: self.status, headers, body: Bytes::from(body) }
    }
}

/// Whether a client asks for text and not for JSON, as browsers do.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/") && !accept.contains("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_problem_details_or_text() {
        let table = [
            ("", "application/problem+json"),
            ("*/*", "application/problem+json"),
            ("application/json", "application/problem+json"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain; charset=utf-8"),
            ("text/plain", "text/plain; charset=utf-8"),
            ("text/plain, application/json", "application/problem+json"),
        ];
        for (accept, expected) in table {
            let mut request = Request { id: "r1".into(), ..Request::default() };
            if let Ok(value) = HeaderValue::from_str(accept) {
                request.headers.insert(header::ACCEPT, value);
            }
            let reply = Failure::host("a secret").reply(&request);
            assert_eq!(reply.headers[header::CONTENT_TYPE], expected, "{accept}");
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(body.contains("r1") && body.contains("500") && !body.contains("secret"), "{body}");
        }
    }
}
