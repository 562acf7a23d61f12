//! Entity tags: conditional requests.

use super::{Body, IntoResponse, Response};
use crate::{FromRequest, Problem, Request};

/// An entity tag: the version of an object, such as a counter that each change increments, or the time of the last
/// change.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[get("/tickets/{id}")]
/// # );
/// fn show(db: &Reader, Path(id): Path<i64>) -> Result<Response, Problem> {
///     let found = db.fetch_optional("SELECT title, version FROM tickets WHERE id = ?", (id,))?;
///     let (title, version): (String, i64) = found.ok_or(Problem::not_found("there is no such ticket"))?;
///     // Responds with 304 if the client has this version already.
///     Ok(ETag::of(version).tag(Json(title)).into_response())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Returns the tag of a version. Characters that a tag cannot contain become `_`.
    pub fn of(version: impl std::fmt::Display) -> Self {
        let text = version.to_string();
        let allowed = |letter: char| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' };
        Self(format!("\"{}\"", text.chars().map(allowed).collect::<String>()))
    }

    /// Adds the tag to a response. If the client has this version already (`if-none-match`), the response is 304 and has
    /// no body.
    pub fn tag<T: IntoResponse>(self, response: T) -> Tagged<T> {
        Tagged { tag: self, response }
    }

    /// Returns whether the list of tags in a header field contains this tag. `*` stands for all tags.
    fn is_in(&self, list: &str, weak: bool) -> bool {
        list.split(',').map(str::trim).any(|tag| {
            let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
            tag == "*" || tag == self.0
        })
    }
}

/// Response with an [`ETag`].
#[derive(Debug, Clone)]
pub struct Tagged<T> {
    tag: ETag,
    response: T,
}

impl<T: IntoResponse> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let (request, mut response) = (Request::new(), self.response.into_response());
        let held = request.header("if-none-match");
        // `if-none-match` compares weakly (RFC 9110, 13.1.2), and 304 only answers a request that reads.
        if (200..300).contains(&response.status())
            && held.is_some_and(|list| self.tag.is_in(&list, true))
            && matches!(&*request.method(), "GET" | "HEAD")
        {
            response = response.with_status(304).with_body(Body::Bytes(Vec::new()));
        }
        response.with_header("etag", self.tag.0)
    }
}

/// Extractor of the header `if-match`, with which a client protects its change against a change by another client.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[put("/tickets/{id}")]
/// # );
/// fn update(db: &Writer, Path(id): Path<i64>, held: IfMatch, Json(title): Json<String>) -> Result<NoContent, Problem> {
///     let version: i64 = db.fetch_one("SELECT version FROM tickets WHERE id = ?", (id,))?;
///     held.check(&ETag::of(version))?;
///     db.execute("UPDATE tickets SET title = ?, version = version + 1 WHERE id = ?", (title, id))?;
///     Ok(NoContent)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Checks that the client has changed the present version. A request without `if-match` passes.
    ///
    /// # Errors
    ///
    /// Returns a problem with status 412 if the client has read another version.
    pub fn check(&self, present: &ETag) -> Result<(), Problem> {
        match &self.0 {
            // `if-match` compares strongly (RFC 9110, 13.1.1).
            Some(list) if !present.is_in(list, false) => {
                Err(Problem::precondition_failed("this has changed since you read it")
                    .with_header("etag", present.0.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Checks like [`check`](Self::check), and requires the header.
    ///
    /// # Errors
    ///
    /// Returns a problem with status 428 if the request has no `if-match`, or with status 412 if the client has read
    /// another version.
    pub fn require(&self, present: &ETag) -> Result<(), Problem> {
        match self.0 {
            Some(_) => self.check(present),
            None => Err(Problem::new(428).with_detail("send the header `if-match` with the version that you read")),
        }
    }
}

impl FromRequest for IfMatch {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(Self(request.header("if-match")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_quoted_and_compared() {
        let tag = ETag::of("2026-11-29 07:00\"");
        assert_eq!(tag.0, "\"2026-11-29_07:00_\"");
        for (list, weak, expected) in [
            ("\"2026-11-29_07:00_\"", false, true),
            ("\"a\", W/\"2026-11-29_07:00_\"", true, true),
            ("\"a\", W/\"2026-11-29_07:00_\"", false, false),
            ("*", false, true),
            ("\"a\"", true, false),
            ("", true, false),
        ] {
            assert_eq!(tag.is_in(list, weak), expected, "{list}");
        }
    }

    #[test]
    fn a_change_of_an_old_version_is_refused() {
        let status = |held: Option<&str>, required: bool| {
            let held = IfMatch(held.map(str::to_owned));
            let present = ETag::of(7);
            let checked = if required { held.require(&present) } else { held.check(&present) };
            checked.err().map(|problem| problem.status())
        };
        assert_eq!(status(Some("\"7\""), false), None);
        assert_eq!(status(Some("\"6\""), false), Some(412));
        assert_eq!(status(None, false), None);
        assert_eq!(status(None, true), Some(428));
        assert_eq!(status(Some("W/\"7\""), true), Some(412));
    }
}
