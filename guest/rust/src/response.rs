//! Responses of handlers.

mod cookie;
mod etag;
mod json;
mod rows;

use std::borrow::Cow;

pub(crate) use cookie::decode as decode_cookie;
pub use cookie::{Flash, Redirect, SetCookie};
pub use etag::{ETag, IfMatch, Tagged};
pub use json::{Created, JsonText};
pub use rows::{Rows, Template};

use crate::raw::types;
pub use crate::raw::types::Body;

/// A response: a status, header fields and a body.
///
/// Most handlers return a type that becomes a response, such as [`Json`](crate::Json), [`Created`] or [`Redirect`]. Use
/// [`IntoResponse::into_response`] to change such a response:
///
/// ```
/// use carya_guest::prelude::*;
///
/// fn list() -> Response {
///     Json(["a", "b"]).into_response().with_header("cache-control", "max-age=60")
/// }
/// # list();
/// ```
#[derive(Debug)]
pub struct Response(
    // The error is that of an internal problem, which the host receives in place of a response.
    Result<types::Response, String>,
);

impl Response {
    /// Returns a response without a body. The status must be from 200 to 599.
    //
    // This and other functions are inlined, so that the compiler removes the code for kinds of bodies that a guest does
    // not return.
    #[inline]
    pub fn new(status: u16) -> Self {
        Self::of(status, Vec::new(), Body::Bytes(Vec::new()))
    }

    #[inline]
    pub(crate) fn of(status: u16, headers: Vec<(String, String)>, body: Body) -> Self {
        Self(Ok(types::Response { status, headers, body }))
    }

    pub(crate) fn failed(message: String) -> Self {
        Self(Err(message))
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.0.as_ref().map_or(500, |response| response.status)
    }

    /// Sets the status. An internal problem keeps its status 500.
    pub fn with_status(mut self, status: u16) -> Self {
        if let Ok(response) = &mut self.0 {
            response.status = status;
        }
        self
    }

    /// Adds a header field. The host sets `content-length` and `date` itself.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok(response) = &mut self.0 {
            response.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets the body.
    #[inline]
    pub fn with_body(mut self, body: Body) -> Self {
        if let Ok(response) = &mut self.0 {
            response.body = body;
        }
        self
    }

    /// Returns the parts of the response, or the text for the log of the host if the response is an internal error.
    #[cfg(test)]
    #[allow(clippy::type_complexity, reason = "only tests use it")]
    pub(crate) fn into_parts(self) -> Result<(u16, Vec<(String, String)>, Body), String> {
        self.0.map(|response| (response.status, response.headers, response.body))
    }

    /// Returns the response of the contract, or the error that the host logs.
    pub(crate) fn into_raw(self) -> Result<types::Response, String> {
        self.0
    }
}

/// A value that becomes a response.
///
/// Implement it for types of your own, such as an error:
///
/// ```
/// use carya_guest::prelude::*;
///
/// enum OrderError { SoldOut, Unknown }
///
/// impl IntoResponse for OrderError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::SoldOut => Problem::conflict("there is not that much of this item").into_response(),
///             Self::Unknown => Problem::not_found("there is no such item").into_response(),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a response",
    note = "return `Json<T>`, `Created<T>`, `NoContent`, `Redirect`, `Rows`, `Template`, `Response`, a text, or a `Result` \
            of one of these and `Problem`"
)]
pub trait IntoResponse {
    /// Returns the response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Response without a body: 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        Response::new(204)
    }
}

/// Text: `text/plain; charset=utf-8`.
impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::new(200).with_body(Body::Text(self))
    }
}

impl IntoResponse for &str {
    fn into_response(self) -> Response {
        self.to_owned().into_response()
    }
}

impl IntoResponse for Cow<'_, str> {
    fn into_response(self) -> Response {
        self.into_owned().into_response()
    }
}

/// Bytes: `application/octet-stream`.
impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::new(200).with_body(Body::Bytes(self))
    }
}

/// A response with this status.
impl<T: IntoResponse> IntoResponse for (u16, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}
