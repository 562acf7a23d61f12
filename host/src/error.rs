//! Failures of requests: the party at fault, the message for the client, and the message for the log. Only this module
//! maps failures to statuses.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    component::{
        CallError, Cause,
        answer::{FailureReport, Fault},
    },
    message::{BodyLength, Reply, Request},
    rates::Exceeded,
    sql::error::{DbError, Kind},
};

/// Failure of a request.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Status of the reply.
    pub(crate) status: StatusCode,
    /// Party at fault.
    pub(crate) fault: Fault,
    /// Message for the client: short, and without internals.
    pub(crate) client_message: Cow<'static, str>,
    /// Message for the log and for `on-error` hooks.
    pub(crate) detail: String,
    /// Value of the `Allow` header, for a 405.
    pub(crate) allow: Option<String>,
    /// Further header fields of the reply.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Error of the database that caused the failure, if one did.
    error: Option<Box<DbError>>,
    /// Whether the client may repeat the request soon: the cause is expected to pass, and nothing was committed.
    may_repeat: bool,
}

/// Value of the `Retry-After` header, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

impl Failure {
    fn new(status: StatusCode, fault: Fault, client_message: &'static str, detail: impl Into<String>) -> Self {
        let (client_message, detail) = (client_message.into(), detail.into());
        Self { status, fault, client_message, detail, allow: None, fields: Vec::new(), error: None, may_repeat: false }
    }

    /// Failure that is expected to pass, for a request that committed nothing. The reply has the header `Retry-After`.
    fn passing(fault: Fault, client_message: &'static str, detail: impl Into<String>) -> Self {
        Self { may_repeat: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, fault, client_message, detail) }
    }

    /// Failure for a path that no route matches.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Fault::Client, "There is nothing at this path.", "no route")
    }

    /// Failure for a method that no route of the path serves.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let failure = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Fault::Client,
            "This path does not serve this method.",
            "no method",
        );
        Self { allow: Some(allow), ..failure }
    }

    /// Failure for a request whose head breaks a rule of HTTP.
    pub(crate) fn malformed(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Fault::Client, reason, reason)
    }

    /// Failure for an `Expect` header with an expectation other than `100-continue`.
    pub(crate) fn expectation_failed() -> Self {
        let reason = "The server supports no expectation other than `100-continue`.";
        Self::new(StatusCode::EXPECTATION_FAILED, Fault::Client, reason, reason)
    }

    /// Failure for a request that needs a feature of HTTP that the host does not have.
    pub(crate) fn not_implemented(reason: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, Fault::Client, reason, reason)
    }

    /// Failure for a request that exceeds a rate limit.
    pub(crate) fn too_many_requests(exceeded: &Exceeded) -> Self {
        let (name, wait) = (&exceeded.name, exceeded.retry_after());
        let detail = format!("the client exceeds the rate limit `{name}`");
        let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, Fault::Client, "", detail);
        failure.client_message = format!("There were too many requests. Send the next one in {wait} s.").into();
        failure.fields = [(header::RETRY_AFTER, wait.into())].into_iter().chain(exceeded.allowances.fields()).collect();
        failure
    }

    /// Failure for a request of a client that has `server.requests_per_address` requests in flight.
    pub(crate) fn too_many_in_flight() -> Self {
        let detail = "the client has more requests in flight than server.requests_per_address";
        let message = "There are too many requests of this client at a time.";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { may_repeat: true, ..Self::new(status, Fault::Client, message, detail) }
    }

    /// Failure for a target longer than `server.max_target`.
    pub(crate) fn target_too_long(limit: usize) -> Self {
        let detail = "the target is longer than server.max_target";
        let mut failure = Self::new(StatusCode::URI_TOO_LONG, Fault::Client, "", detail);
        failure.client_message = format!("The target may have at most {limit} bytes.").into();
        failure
    }

    /// Failure for a body longer than `server.max_body`.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let mut failure =
            Self::new(StatusCode::PAYLOAD_TOO_LARGE, Fault::Client, "", "the body is longer than server.max_body");
        failure.client_message = format!("The body may have at most {limit} bytes.").into();
        failure
    }

    /// Failure for a body that did not arrive within a time limit of `[server]`.
    pub(crate) fn body_too_slow(key: &'static str) -> Self {
        let detail = format!("the body did not arrive within server.{key}");
        Self::new(StatusCode::REQUEST_TIMEOUT, Fault::Client, "The body took too long to arrive.", detail)
    }

    /// Failure for a body that could not be read to its end.
    pub(crate) fn body_unreadable(error: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Fault::Client,
            "The body could not be read.",
            format!("reading the body: {error}"),
        )
    }

    /// Failure for a request that could not run, because too many requests run or wait. `limit` names the limit.
    pub(crate) fn overloaded(limit: &str) -> Self {
        Self::passing(Fault::Host, "The server is busy.", format!("timed out waiting for a place out of {limit}"))
    }

    /// Failure for a request that may not wait for its places, because too many requests wait. `limit` names the limit.
    pub(crate) fn queue_full(limit: &str) -> Self {
        Self::passing(Fault::Host, "The server is busy.", format!("too many requests wait for a place: {limit}"))
    }

    /// Failure for a request with a body that would exceed `server.max_receiving` together with the bodies of other requests.
    pub(crate) fn bodies_too_large() -> Self {
        let detail = "the bodies that are being received have server.max_receiving bytes";
        Self::passing(Fault::Host, "The server is busy.", detail)
    }

    /// Failure for a request that ran longer than `server.request_timeout`.
    pub(crate) fn too_slow() -> Self {
        let detail = "the request did not end within server.request_timeout";
        Self::new(StatusCode::GATEWAY_TIMEOUT, Fault::Guest, "The answer took too long.", detail)
    }

    /// Failure for a request that was abandoned: the client disconnected, or the host is shutting down.
    pub(crate) fn abandoned() -> Self {
        let detail = "the client disconnected, or the host is shutting down";
        Self::passing(Fault::Client, "The request was abandoned.", detail)
    }

    /// Failure for a client that disconnected while the host sent the reply. Only the log contains it.
    pub(crate) fn disconnected(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Fault::Client, "The request was abandoned.", detail)
    }

    /// Adds to the message for the log the component that caused the failure.
    pub(crate) fn of(mut self, component: &str) -> Self {
        self.detail = format!("component `{component}`: {}", self.detail);
        self
    }

    /// Adds a description of the interrupted work to the message for the log.
    pub(crate) fn during(mut self, work: Option<String>) -> Self {
        if let Some(work) = work {
            self.detail.extend(["; ", &*work]);
        }
        self
    }

    /// Failure of the host itself.
    pub(crate) fn host(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Host, "Something went wrong.", detail)
    }

    /// Failure for a guest's response that cannot be sent.
    pub(crate) fn invalid_response(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Guest, "Something went wrong.", detail)
    }

    /// Failure for a statement that failed and thereby makes the request fail. Either the host sent the statement, or a
    /// guest sent the statement and did not roll back to an earlier savepoint. The message for the log begins with
    /// `what`.
    pub(crate) fn statement(error: &DbError, what: &str) -> Self {
        Self::database(error.kind, format!("{what}: {}", error.report())).because_of(error)
    }

    fn because_of(self, error: &DbError) -> Self {
        Self { error: Some(Box::new(error.clone())), ..self }
    }

    fn database(kind: Kind, detail: String) -> Self {
        match kind {
            Kind::Lost => Self::passing(Fault::Database, "The database cannot be reached.", detail),
            Kind::Conflict | Kind::Busy => Self::passing(Fault::Database, "The database is busy. Try again.", detail),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Database, "Something went wrong.", detail),
        }
    }

    /// Failure for a commit that the database did not confirm, so that the outcome is unknown. The reply has no
    /// `Retry-After`: a client that repeats the request may make the change twice.
    pub(crate) fn in_doubt(error: &DbError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Fault::Database,
            "The connection to the database was lost while the change was committed. It may or may not have been made: check before you try again.",
            format!("commit in doubt: {}", error.report()),
        )
        .because_of(error)
    }

    /// Failure for a call of a guest that returned no response. If a missing connection or a conflict has doomed the
    /// transaction, returns the failure for that error instead of the guest's own error.
    pub(crate) fn call(error: &CallError, doom: Option<&DbError>) -> Self {
        let failure = match doom {
            Some(DbError { kind: kind @ (Kind::Lost | Kind::Busy | Kind::Conflict), .. }) => {
                Self::database(*kind, error.to_string())
            }
            _ => Self::own(error),
        };
        match doom {
            Some(doom) => failure.because_of(doom),
            None => failure,
        }
    }

    fn own(error: &CallError) -> Self {
        let detail = error.to_string();
        match &error.cause {
            Cause::TimedOut { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, Fault::Guest, "The answer took too long.", detail)
            }
            Cause::Busy { .. } => Self::passing(Fault::Host, "The server is busy.", detail),
            Cause::NotExported { .. } => Self::host(detail),
            Cause::Refused { .. } | Cause::Trapped { .. } | Cause::OutOfMemory { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Fault::Guest, "Something went wrong.", detail)
            }
        }
    }

    /// Returns whether a guest is at fault.
    pub(crate) fn is_of_guest(&self) -> bool {
        self.fault == Fault::Guest
    }

    /// Returns the part of the failure that `on-error` hooks receive.
    pub(crate) fn report(&self) -> FailureReport<'_> {
        FailureReport {
            status: self.status.as_u16(),
            fault: self.fault,
            message: &self.detail,
            error: self.error.as_deref(),
        }
    }

    /// Returns the reply for the client: problem details (RFC 9457), or text if the client prefers text.
    pub(crate) fn reply(&self, request: &Request) -> Reply {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut headers = HeaderMap::with_capacity(3);
        let body = if prefers_text(&request.headers) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            format!("{} {title}\n{}\nrequest {}\n", self.status.as_u16(), self.client_message, request.id)
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            serde_json::json!({
                "type": "about:blank",
                "title": title,
                "status": self.status.as_u16(),
                "detail": self.client_message,
                "request_id": &*request.id,
            })
            .to_string()
        };
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        headers.extend(self.fields.iter().cloned());
        if self.may_repeat {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        Reply { status: self.status, headers, body: Bytes::from(body), length: BodyLength::OfBody }
    }
}

/// Returns whether a client accepts text and not JSON, as browsers do.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/") && !accept.contains("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_without_effect_are_worth_a_repetition() {
        let error = |kind| DbError::new(kind, "why");
        let busy = CallError::from(Cause::Busy { component: "it".into(), message: "why".into() });
        let slow = CallError::from(Cause::TimedOut { component: "it".into(), limit: std::time::Duration::ZERO });
        let table = [
            (Failure::overloaded("few"), 503, Some("1")),
            (Failure::abandoned(), 503, Some("1")),
            (Failure::call(&busy, None), 503, Some("1")),
            (Failure::call(&slow, Some(&error(Kind::Conflict))), 503, Some("1")),
            (Failure::call(&slow, Some(&error(Kind::Constraint))), 504, None),
            (Failure::statement(&error(Kind::Lost), "what"), 503, Some("1")),
            (Failure::statement(&error(Kind::Conflict), "what"), 503, Some("1")),
            (Failure::statement(&error(Kind::Constraint), "what"), 500, None),
            (Failure::in_doubt(&error(Kind::Lost)), 503, None),
            (Failure::too_slow(), 504, None),
            (Failure::host("why"), 500, None),
            (Failure::not_found(), 404, None),
        ];
        for (failure, status, expected) in table {
            let reply = failure.reply(&Request::default());
            let after = reply.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            assert_eq!((reply.status.as_u16(), after), (status, expected), "{failure:?}");
        }
    }

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
