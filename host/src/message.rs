//! Requests and replies as plain values, and the limits of replies. The modules that handle requests pass them to each
//! other.

mod form;
mod identity;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

pub(crate) use self::{
    form::{FormError, FormField},
    identity::ClientIdentity,
};
use crate::{config, telemetry::Allowance};

/// A complete request.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Address of the client. `None` for requests that the host makes itself.
    pub client: Option<IpAddr>,
    /// Whether the client's scheme is `https`.
    pub is_encrypted: bool,
    /// Id of the request in logs: the client's `x-request-id`, or a random one.
    pub id: Arc<str>,
    /// Counts the bytes that the guests of the request have written to the log.
    pub log: Allowance,
}

impl Request {
    /// Returns the fields of the form in the body.
    pub(crate) fn form(&self) -> Result<Vec<FormField>, FormError> {
        form::parse(&self.headers, &self.body)
    }
}

/// The other end of a connection, or the client that a trusted proxy forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address. `None` for a Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// Whether its scheme is `https`.
    pub(crate) is_encrypted: bool,
}

/// A reply.
#[derive(Debug, Default, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields, without `content-length` and fields that belong to the connection.
    pub headers: HeaderMap,
    /// The body. Empty if it is streamed.
    pub body: Bytes,
    /// Length of the body in the response to a HEAD request.
    pub length: BodyLength,
}

/// Length of the body that a response to HEAD leaves out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The length of [`Reply::body`].
    #[default]
    OfBody,
    /// The body consists of rows that are streamed, so its length is unknown.
    Streamed,
    /// A guest has left out the body. Its `content-length`, if it has set one.
    Omitted(Option<u64>),
}

/// Limits of a response that guests produce. The host adds at most 16 header fields of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of header fields.
    pub(crate) fields: usize,
    /// Maximum length of the header in bytes, counted by [`head_size`].
    pub(crate) head: usize,
    /// Maximum length of the body in bytes.
    pub(crate) body: usize,
}

impl From<&config::Server> for Limits {
    fn from(server: &config::Server) -> Self {
        Self { fields: server.max_response_headers, head: server.max_response_head, body: server.max_response }
    }
}

impl Limits {
    /// Returns an error if a header with this many fields and bytes exceeds the limits.
    pub(crate) fn check_head(&self, fields: usize, bytes: usize) -> Result<(), String> {
        let Self { fields: max_fields, head: max_bytes, .. } = self;
        if fields > *max_fields {
            return Err(format!(
                "the response has {fields} header fields; server.max_response_headers allows {max_fields}"
            ));
        }
        if bytes > *max_bytes {
            return Err(format!(
                "the response has a header of {bytes} bytes; server.max_response_head allows {max_bytes}"
            ));
        }
        Ok(())
    }

    /// Returns an error if a body with this many bytes exceeds the limit.
    pub(crate) fn check_body(&self, bytes: usize) -> Result<(), String> {
        let max_bytes = self.body;
        if bytes > max_bytes {
            return Err(format!("the response has a body of {bytes} bytes; server.max_response allows {max_bytes}"));
        }
        Ok(())
    }
}

/// Returns the length of `fields` in bytes as HTTP/1 writes them, `name: value\r\n` each.
pub(crate) fn head_size<'a>(fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> usize {
    fields.into_iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Returns a unique id for a request or an action: 128 random bits in hexadecimal.
pub(crate) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Converts the status of a guest's response.
///
/// # Errors
///
/// Returns a message with the status if it is not between 200 and 599.
pub(crate) fn status(status: u16) -> Result<StatusCode, String> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..600).contains(&status) => Ok(code),
        _ => Err(format!("{status} is not a status from 200 to 599")),
    }
}

/// Converts a header field of a guest's response.
///
/// # Errors
///
/// Returns a message with the field if its name or value is malformed, or if guests must not set the field, because the
/// host sets it.
pub(crate) fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a header name"))?;
    if config::HOST_FIELDS.contains(&parsed.as_str()) {
        return Err(format!("the header {name:?} is set by the host"));
    }
    let value = HeaderValue::from_bytes(value)
        .map_err(|_| format!("{:?} is not a value for the header {name:?}", String::from_utf8_lossy(value)))?;
    Ok((parsed, value))
}

/// Returns the trace id of a valid W3C `traceparent` header (`00-TRACEID-PARENTID-FLAGS`).
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let mut fields = parent.split('-');
    let (version, trace, span) = (fields.next()?, fields.next()?, fields.next()?);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let good = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(span, 16)
        && !is_zero(span)
        && fields.next().is_some_and(|flags| is_hex(flags, 2));
    good.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_responses_up_to_and_including_the_limits() {
        let limits = Limits { fields: 2, head: 20, body: 5 };
        for (fields, bytes, good) in [(0, 0, true), (2, 20, true), (3, 1, false), (1, 21, false)] {
            assert_eq!(limits.check_head(fields, bytes).is_ok(), good, "{fields} fields, {bytes} bytes");
        }
        assert!(limits.check_body(5).is_ok() && limits.check_body(6).is_err());
        let headers = HeaderMap::from_iter([(http::header::VARY, HeaderValue::from_static("accept"))]);
        assert_eq!(head_size(&headers), "vary: accept\r\n".len());
    }

    #[test]
    fn accepts_only_valid_statuses_and_header_fields() {
        for (number, good) in [(200, true), (599, true), (199, false), (100, false), (600, false), (0, false)] {
            assert_eq!(status(number).is_ok(), good, "{number}");
        }
        let table = [
            ("X-A", "b", true),
            ("set-cookie", "a=é", true),
            ("x a", "b", false),
            ("", "b", false),
            ("x", "a\r\nb: c", false),
            ("x", "a\0", false),
            ("Content-Length", "1", false),
            ("transfer-encoding", "chunked", false),
        ];
        for (name, value, good) in table {
            assert_eq!(header(name, value.as_bytes()).is_ok(), good, "{name}: {value:?}");
        }
    }

    #[test]
    fn only_valid_trace_parents_have_a_trace_id() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let table = [
            (format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace)),
            (format!("01-{trace}-00f067aa0ba902b7-01-more"), Some(trace)),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{trace}-{}-01", "0".repeat(16)), None),
            (format!("00-{trace}-00f067aa0ba902b7"), None),
            ("nonsense".to_owned(), None),
        ];
        for (parent, expected) in table {
            let value = HeaderValue::from_str(&parent).unwrap_or_else(|_| HeaderValue::from_static(""));
            let headers = HeaderMap::from_iter([(HeaderName::from_static("traceparent"), value)]);
            assert_eq!(trace_id(&headers), expected, "{parent}");
        }
    }
}
