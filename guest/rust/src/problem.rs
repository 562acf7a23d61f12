//! Errors as problem details (RFC 9457).

use std::{error::Error, fmt};

use serde::Serialize;

use crate::{IntoResponse, Response, response::Body};

/// Error of a handler, which the client receives as problem details (RFC 9457).
///
/// A problem is either for the client, with a status and a detail, or [internal](Problem::internal). The operator `?`
/// turns every [`std::error::Error`] into an internal problem: the host rolls back, writes the text of the error to its
/// log, and responds with 500. The client does not receive the text. After a conflict with another transaction the host
/// runs the request again, so handlers need no loops.
///
/// The client receives JSON such as
/// `{"detail":"some fields are not valid","errors":{"title":"must not be empty"},"status":422,"title":"Unprocessable Content"}`.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// fn rename(db: &Writer, id: i64, title: &str) -> Result<NoContent, Problem> {
///     if title.is_empty() {
///         return Err(Problem::unprocessable("the title is empty"));
///     }
///     let done = db.execute("UPDATE tickets SET title = ? WHERE id = ?", (title, id))?;
///     match done.rows_affected {
///         0 => Err(Problem::not_found("there is no such ticket")),
///         _ => Ok(NoContent),
///     }
/// }
/// ```
pub struct Problem(Box<Details>);

struct Details {
    status: u16,
    /// The title, if it is not the standard phrase of the status.
    title: Option<String>,
    detail: Option<String>,
    // Members as JSON text, so that a guest without invalid fields does not contain the code that writes them.
    /// Rules by field, with commas between them.
    errors: String,
    /// Further members, each after a comma.
    members: String,
    headers: Vec<(String, String)>,
    /// The text for the log of the host, if the problem is internal.
    log: Option<String>,
}

impl Problem {
    /// Returns a problem with a status from 400 to 599. The title is the standard phrase of the status.
    pub fn new(status: u16) -> Self {
        Self(Box::new(Details {
            status,
            title: None,
            detail: None,
            errors: String::new(),
            members: String::new(),
            headers: vec![("content-type".to_owned(), "application/problem+json".to_owned())],
            log: None,
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400).with_detail(detail)
    }

    /// 401: the client must authenticate. Add the header `www-authenticate` with [`with_header`](Self::with_header).
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(401).with_detail(detail)
    }

    /// 403: the client must not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403).with_detail(detail)
    }

    /// 404: the object does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404).with_detail(detail)
    }

    /// 409: the change contradicts the present data.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409).with_detail(detail)
    }

    /// 412: the object has changed since the client read it. See [`IfMatch`](crate::IfMatch).
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(412).with_detail(detail)
    }

    /// 422: the content is understood, but not acceptable. To list invalid fields, see [`Checks`].
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(422).with_detail(detail)
    }

    /// 500: an error of the guest or of the host. The host writes the text to its log, and the client does not receive it.
    pub fn internal(message: impl Into<String>) -> Self {
        let mut problem = Self::new(500);
        problem.0.log = Some(message.into());
        problem
    }

    /// Sets the explanation for the client.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Sets the URI that identifies the type of the problem, and the title of this type.
    pub fn with_type(mut self, uri: &str, title: impl Into<String>) -> Self {
        self.0.title = Some(title.into());
        self.with_member("type", &uri)
    }

    /// Adds a field that is not valid, and the rule that it violates. A field that has a rule already keeps it.
    pub fn with_field(mut self, field: &str, rule: &str) -> Self {
        let errors = &mut self.0.errors;
        let mut name = String::new();
        push_text(&mut name, field);
        name.push(':');
        // Quotes inside texts are escaped, so only a name can equal this.
        if !errors.contains(&name) {
            if !errors.is_empty() {
                errors.push(',');
            }
            errors.push_str(&name);
            push_text(errors, rule);
        }
        self
    }

    /// Adds a member of your own to the problem details. A value that cannot be serialized is `null`.
    pub fn with_member(mut self, name: &str, value: &impl Serialize) -> Self {
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        let members = &mut self.0.members;
        members.push(',');
        push_text(members, name);
        members.push(':');
        members.push_str(&value);
        self
    }

    /// Adds a header field to the response.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    fn to_json(&self) -> String {
        let Details { status, detail, errors, members, .. } = &*self.0;
        let mut json = String::from("{");
        if let Some(detail) = detail {
            json.push_str("\"detail\":");
            push_text(&mut json, detail);
            json.push(',');
        }
        if !errors.is_empty() {
            json.push_str("\"errors\":{");
            json.push_str(errors);
            json.push_str("},");
        }
        json.push_str("\"status\":");
        json.push_str(&status.to_string());
        json.push_str(",\"title\":");
        push_text(&mut json, self.title());
        json.push_str(members);
        json.push('}');
        json
    }

    fn title(&self) -> &str {
        self.0.title.as_deref().unwrap_or_else(|| phrase(self.0.status))
    }
}

/// Appends a text as a JSON string.
fn push_text(json: &mut String, text: &str) {
    // A text can always be serialized.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        if let Some(log) = self.0.log.take() {
            return Response::failed(log);
        }
        let json = self.to_json();
        Response::of(self.0.status, self.0.headers, Body::Json(json))
    }
}

impl<E: Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::internal(chain(&error))
    }
}

/// Returns the text of an error and of its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(log) = &self.0.log {
            return f.write_str(log);
        }
        write!(f, "{} {}", self.0.status, self.title())?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        if !self.0.errors.is_empty() {
            write!(f, "; {{{}}}", self.0.errors)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks of the fields of a request. Reports all invalid fields at once, as a problem with status 422.
///
/// ```
/// use carya_guest::prelude::*;
///
/// fn check(title: &str, priority: i64) -> Result<(), Problem> {
///     Checks::new()
///         .check("title", (1..=100).contains(&title.chars().count()), "must have 1 to 100 characters")
///         .check("priority", (1..=5).contains(&priority), "must be from 1 to 5")
///         .finish()
/// }
///
/// assert!(check("broken", 2).is_ok());
/// let problem = check("broken", 9).unwrap_err();
/// assert_eq!(
///     problem.to_string(),
///     r#"422 Unprocessable Content: some fields are not valid; {"priority":"must be from 1 to 5"}"#
/// );
/// ```
#[must_use = "call `finish`, which returns the problem"]
#[derive(Debug, Default)]
pub struct Checks(Option<Problem>);

impl Checks {
    /// Returns an empty list of checks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a field: `rule` completes the sentence "The field ...", and is reported unless `valid`. Of several rules
    /// that a field violates, the first one is reported.
    pub fn check(mut self, field: &str, valid: bool, rule: &str) -> Self {
        if !valid {
            let problem = self.0.unwrap_or_else(|| Problem::unprocessable("some fields are not valid"));
            self.0 = Some(problem.with_field(field, rule));
        }
        self
    }

    /// Returns the problem, if a field is not valid.
    ///
    /// # Errors
    ///
    /// Returns a problem with status 422 that lists the invalid fields.
    pub fn finish(self) -> Result<(), Problem> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Returns the standard phrase of a status.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: Problem) -> String {
        match problem.into_response().into_parts() {
            Ok((_, _, Body::Json(text))) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_are_in_a_fixed_order() {
        let problem = Problem::conflict("\"ä\"\n")
            .with_type("https://example.org/taken", "Name taken")
            .with_field("name", "is taken")
            .with_field("tag", "is empty")
            .with_field("name", "is long")
            .with_member("by", &7);
        let expected = r#"{"detail":"\"ä\"\n","errors":{"name":"is taken","tag":"is empty"},"status":409,"title":"Name taken","type":"https://example.org/taken","by":7}"#;
        assert_eq!(json(problem), expected);
        assert_eq!(json(Problem::new(418)), r#"{"status":418,"title":"Error"}"#);
    }

    #[test]
    fn a_problem_of_the_client_is_a_response_with_its_headers() {
        let response = Problem::unauthorized("log in").with_header("www-authenticate", "Basic").into_response();
        let (status, headers, _) = response.into_parts().unwrap_or_else(|text| panic!("{text}"));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [("content-type", "application/problem+json"), ("www-authenticate", "Basic")];
        assert_eq!((status, headers), (401, expected.to_vec()));
    }

    #[test]
    fn errors_become_internal_problems_with_their_causes() {
        let parsed: Result<i64, _> = "x".parse::<i64>();
        let failed = || -> Result<i64, Problem> { Ok(parsed?) };
        let problem = failed().unwrap_err();
        assert_eq!(problem.status(), 500);
        assert_eq!(problem.into_response().into_parts().unwrap_err(), "invalid digit found in string");
    }
}
