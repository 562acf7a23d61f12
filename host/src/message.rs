//! A request and its reply as plain values: what every room above the transaction speaks of.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// A whole request.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Its id, unique for as long as anybody keeps logs.
    pub id: String,
}

/// A whole reply.
#[derive(Debug, Default, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header, without `content-length` and what belongs to the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An id that no other request or action has: 128 random bits in hexadecimal.
pub fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A status that an answer may have: 200 to 599. The error says what was given.
pub fn status(status: u16) -> Result<StatusCode, String> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..600).contains(&status) => Ok(code),
        _ => Err(format!("{status} is not a status that an answer may have (200 to 599)")),
    }
}

/// A header field that an answer may have. Those of the connection are the host's; the error says which was given.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    const HOST: [&str; 8] = [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a header name"))?;
    if HOST.contains(&parsed.as_str()) {
        return Err(format!("the header {name:?} is set by the host"));
    }
    let value = HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
        .map_err(|_| format!("{value:?} is not a value for the header {name:?}"))?;
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_may_have() {
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
            assert_eq!(header(name, value).is_ok(), good, "{name}: {value:?}");
        }
    }
}
