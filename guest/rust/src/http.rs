//! HTTP requests to other servers (feature `http`).
//!
//! The host sends a request only to a destination that the configuration permits: the key `http` of the component, and
//! `allow` in `[outbound]` of the host. Inside a transaction the host refuses requests after the first statement. So send
//! requests from actions, from hooks outside the transaction, or before the first statement.
//!
//! ```no_run
//! use carya_guest::{http, prelude::*};
//!
//! # fn f() -> Result<(), Problem> {
//! let rates: serde_json::Value = http::get("https://api.example.org/rates").send()?.ok()?.json()?;
//!
//! http::post("https://hooks.example.org/orders").header("idempotency-key", "7").json(&rates).send()?.ok()?;
//! # Ok(())
//! # }
//! ```
//!
//! A component imports `wasi:http` only if it calls these functions.

use std::{fmt, str, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use wasip2::{
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    io::streams::StreamError,
};

/// Bytes that one write to the host can contain.
const CHUNK: usize = 4096;

/// Returns a GET request.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Returns a POST request.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Returns a PUT request.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// Returns a PATCH request.
pub fn patch(url: impl Into<String>) -> Request {
    request("PATCH", url)
}

/// Returns a DELETE request.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// Returns a request with any method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request { method: method.into(), url: url.into(), headers: Vec::new(), body: Ok(Vec::new()), timeout: None }
}

/// A request to another server.
#[must_use = "call `send`"]
#[derive(Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, serde_json::Error>,
    timeout: Option<Duration>,
}

impl Request {
    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Ok(body.into());
        self
    }

    /// Sets the body to a value as JSON, and adds the header `content-type: application/json`.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value);
        self.header("content-type", "application/json")
    }

    /// Sets the time until the first byte of the response. The limit of the host, `http_timeout` of the component, also
    /// applies.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and waits for the complete response.
    ///
    /// The host does not follow redirects. A response with an error status is not an error here; see [`Response::ok`].
    ///
    /// # Errors
    ///
    /// Returns an error if the host refuses the request, or if the response does not arrive.
    pub fn send(self) -> Result<Response, Error> {
        let place = format!("{} {}", self.method, self.url);
        self.exchange().map_err(|reason| Error(format!("{place}: {reason}")))
    }

    fn exchange(self) -> Result<Response, String> {
        let content = self.body.map_err(|error| format!("the body cannot be serialized: {error}"))?;
        let request = OutgoingRequest::new(fields(self.headers)?);
        let url = Url::parse(&self.url)?;
        request.set_method(&method(self.method)).map_err(|()| "the method is malformed")?;
        request.set_scheme(Some(&url.scheme)).map_err(|()| "the scheme is malformed")?;
        request.set_authority(Some(url.authority)).map_err(|()| "the host is malformed")?;
        request.set_path_with_query(Some(&url.path)).map_err(|()| "the path is malformed")?;
        let options = RequestOptions::new();
        if let Some(timeout) = self.timeout {
            let nanoseconds = timeout.as_nanos().try_into().unwrap_or(u64::MAX);
            options.set_first_byte_timeout(Some(nanoseconds)).map_err(|()| "the host sets no time limits")?;
        }
        let body = request.body().map_err(|()| "the body was taken already")?;
        // Sending starts before the body is written, because the buffer of the host may be smaller than the body.
        let pending = outgoing_handler::handle(request, Some(options)).map_err(explain)?;
        write(body, &content)?;
        pending.subscribe().block();
        let response =
            pending.get().ok_or("the response is not ready")?.map_err(|()| "the response was taken already")?;
        let response = response.map_err(explain)?;
        let headers = response.headers().entries();
        let body = response.consume().map_err(|()| "the body was taken already")?;
        Ok(Response { url: self.url, status: response.status(), headers, body: read(&body)? })
    }
}

fn fields(headers: Vec<(String, Vec<u8>)>) -> Result<Fields, String> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(&name, &value).map_err(|error| format!("the header `{name}`: {error}"))?;
    }
    Ok(fields)
}

fn method(name: String) -> Method {
    match &*name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        _ => Method::Other(name),
    }
}

fn write(body: OutgoingBody, content: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(|()| "the body was taken already")?;
    for chunk in content.chunks(CHUNK) {
        match stream.blocking_write_and_flush(chunk) {
            Ok(()) => {}
            // The server has responded before it read the body, or the request failed. The response shows which of the
            // two happened.
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(explain)
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "the body was taken already")?;
    let mut content = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => content.extend(chunk),
            Err(StreamError::Closed) => return Ok(content),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

/// Describes an error of the host.
fn explain(error: ErrorCode) -> String {
    match error {
        ErrorCode::HttpRequestDenied => {
            "the configuration does not permit this destination: add it to `http` of this component and to `allow` in \
             `[outbound]`"
                .to_owned()
        }
        ErrorCode::DestinationIpProhibited => "the address of this destination is not public".to_owned(),
        ErrorCode::InternalError(Some(text)) => text,
        other => format!("{other:?}"),
    }
}

/// A URL in the parts that the host takes.
#[derive(Debug)]
struct Url<'a> {
    scheme: Scheme,
    authority: &'a str,
    path: String,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("a URL begins with `https://` or `http://`")?;
        let scheme = match &*scheme.to_ascii_lowercase() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(format!("the scheme `{scheme}` is neither `https` nor `http`")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err("the URL has no host".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, authority, path })
    }
}

/// The response of another server.
#[derive(Debug, Clone)]
pub struct Response {
    url: String,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Response {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns this response if its status is from 200 to 299.
    ///
    /// # Errors
    ///
    /// Returns an error with the status and the beginning of the body.
    pub fn ok(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let start: String = text.chars().take(200).collect();
        Err(Error(format!("{} responded with status {}: {start}", self.url, self.status)))
    }

    /// Returns the first value of a header field, if it is UTF-8. The name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        str::from_utf8(&field.1).ok()
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        str::from_utf8(&self.body).map_err(|error| Error(format!("the body of {} is not UTF-8: {error}", self.url)))
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not JSON, or does not have the type `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error(format!("the JSON of {}: {error}", self.url)))
    }
}

/// Error of a request to another server. As a [`Problem`](crate::Problem) it is an internal error.
#[derive(Debug, Clone)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let parts = |url| Url::parse(url).map(|url| (matches!(url.scheme, Scheme::Https), url.authority, url.path));
        assert_eq!(parts("https://a.example:8443/x?y=1#z"), Ok((true, "a.example:8443", "/x?y=1".to_owned())));
        assert_eq!(parts("HTTP://[::1]?q"), Ok((false, "[::1]", "/?q".to_owned())));
        assert_eq!(parts("http://a"), Ok((false, "a", "/".to_owned())));
        for wrong in ["a.example/x", "ftp://a/", "https:///x"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
