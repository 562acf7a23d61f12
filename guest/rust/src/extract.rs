//! Extractors: the parameters of handlers and hooks.

mod body;
mod form;
mod identity;
mod path;
mod text;

pub use body::Json;
pub use form::{Cookies, File, Form, Multipart};
pub use identity::Identity;
pub use path::{Path, Query};

use crate::{Problem, Request};

/// A type that a handler or a hook can take as a parameter.
///
/// The attributes call [`from_request`](Self::from_request) for each parameter, in order, before the handler. A problem
/// becomes the response, and the handler does not run.
///
/// | type | value | problem |
/// |---|---|---|
/// | [`Path<T>`](Path) | parameters of the route's pattern | 404 |
/// | [`Query<T>`](Query) | query parameters | 422 with the field |
/// | [`Json<T>`](Json) | body | 415, 400 (no JSON), 422 (another type) |
/// | [`Form<T>`](Form) | fields of a form | 415, 400, 422 with the field |
/// | [`Multipart`] | fields and files of a form | 415, 400 |
/// | `String`, `Vec<u8>` | body | 400 if it is not UTF-8 |
/// | [`Cookies`], [`Request`], [`IfMatch`](crate::IfMatch), [`Flash`](crate::Flash) | | |
/// | [`Identity`] | the client | 401; `Option<Identity>` accepts unknown clients |
/// | `Result<T, Problem>` | an extractor, or its problem | |
///
/// Implement it for types of your own:
///
/// ```
/// use carya_guest::prelude::*;
/// use carya_guest::FromRequest;
///
/// struct Tenant(String);
///
/// impl FromRequest for Tenant {
///     fn from_request(request: &Request) -> Result<Self, Problem> {
///         let name = request.header("x-tenant").ok_or(Problem::bad_request("this needs the header x-tenant"))?;
///         Ok(Self(name))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    label = "this is neither a handle of the database nor an extractor",
    note = "a handle is a reference: `db: &Reader` or `db: &Writer`",
    note = "extractors are `Path<T>`, `Query<T>`, `Json<T>`, `Form<T>`, `Multipart`, `Cookies`, `Identity`, `Request`, \
            `String`, `Vec<u8>` and your own types that implement `FromRequest`"
)]
pub trait FromRequest: Sized {
    /// Reads the value from the request.
    ///
    /// # Errors
    ///
    /// Returns the problem that the client receives.
    fn from_request(request: &Request) -> Result<Self, Problem>;
}

impl FromRequest for Request {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(*request)
    }
}

impl<T: FromRequest> FromRequest for Result<T, Problem> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Ok(T::from_request(request))
    }
}
