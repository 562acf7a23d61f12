//! The request, as functions of the host.

use crate::raw::request;

/// The request that this guest serves.
///
/// The host keeps the request and copies a part of it into the memory of the guest only when a function returns it. The
/// type is an extractor too: a handler can take a parameter `request: Request`.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # fn f(request: Request) {
/// let language = request.header("accept-language").unwrap_or_default();
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Request(());

impl Request {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Returns the method in capital letters.
    pub fn method(&self) -> String {
        request::method()
    }

    /// Returns the path without the query, percent-encoded.
    pub fn path(&self) -> String {
        request::path()
    }

    /// Returns the pattern of the route, such as `/items/{id}`. Returns `None` before routing, and if no route matches.
    pub fn route(&self) -> Option<String> {
        request::route()
    }

    /// Returns a parameter of the route's pattern, percent-decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        request::param(name)
    }

    /// Returns the names and percent-decoded values of all parameters of the route's pattern, in order.
    pub fn params(&self) -> Vec<(String, String)> {
        request::params()
    }

    /// Returns the first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        request::query(name)
    }

    /// Returns all values of a query parameter, decoded, in order.
    pub fn query_all(&self, name: &str) -> Vec<String> {
        request::query_all(name)
    }

    /// Returns the query as the client sent it, without the question mark.
    pub fn query_string(&self) -> String {
        request::query_string()
    }

    /// Returns the first value of a header field. The name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<String> {
        request::header(name)
    }

    /// Returns the value of the first cookie with this name, as the client sent it.
    pub fn cookie(&self, name: &str) -> Option<String> {
        request::cookie(name)
    }

    /// Returns the body.
    pub fn body(&self) -> Vec<u8> {
        request::body()
    }

    /// Returns the body as text.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not UTF-8.
    pub fn body_text(&self) -> Result<String, String> {
        request::body_text()
    }

    /// Returns the scheme of the connection: `http` or `https`.
    pub fn scheme(&self) -> String {
        request::scheme()
    }

    /// Returns the host name that the client used, with the port if there is one. The client chooses this value, so do
    /// not trust it.
    pub fn authority(&self) -> Option<String> {
        request::authority()
    }

    /// Returns the IP address of the client, or of the proxy in front of the host.
    pub fn client_address(&self) -> Option<String> {
        request::client_address()
    }

    /// Returns the identifier of the request, which is also in the host's log and in the response's `x-request-id`.
    pub fn id(&self) -> String {
        request::id()
    }
}
