//! Parameters and results of hooks.

use std::fmt;

use serde::Serialize;

pub use crate::raw::types::{AccessMode, Failure, Fault};
use crate::{
    FromRequest, HostError, IntoResponse, Problem, Request, Response,
    raw::{identity_setter, response},
};

/// The decision of an [`on_route`](macro@crate::on_route) hook.
///
/// Such a hook can also return nothing, which proceeds, or a `Result` with a [`Problem`], which is the response.
#[derive(Debug)]
pub enum Decision {
    /// Proceed with the request.
    Proceed,
    /// Send this response. No transaction starts, and no controller runs.
    Answer(Response),
    /// Proceed with this access mode, in place of that of the method and of the route.
    Access(AccessMode),
}

/// The response on its way to the client, which an [`after`](macro@crate::after) hook can change and an
/// [`on_error`](macro@crate::on_error) hook can read. Take it as a parameter `reply: Reply`.
#[derive(Debug, Clone, Copy)]
pub struct Reply(());

impl Reply {
    /// Returns the status, or 0 if there is no response yet.
    pub fn status(&self) -> u16 {
        response::status()
    }

    /// Sets the status that the client receives. The transaction is unaffected.
    ///
    /// # Errors
    ///
    /// Returns an error if the status is not from 200 to 599, or in another phase than `after`.
    pub fn set_status(&self, status: u16) -> Result<(), HostError> {
        response::set_status(status).map_err(HostError)
    }

    /// Returns the first value of a header field. The name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<String> {
        response::header(name)
    }

    /// Sets a header field and removes other fields with this name.
    ///
    /// # Errors
    ///
    /// Returns an error if the field is invalid or exceeds a limit, or in another phase than `after`.
    pub fn set_header(&self, name: &str, value: &str) -> Result<(), HostError> {
        response::set_header(name, value).map_err(HostError)
    }

    /// Adds a header field and keeps other fields with this name.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`set_header`](Self::set_header).
    pub fn append_header(&self, name: &str, value: &str) -> Result<(), HostError> {
        response::append_header(name, value).map_err(HostError)
    }

    /// Removes all header fields with this name.
    ///
    /// # Errors
    ///
    /// Returns an error in another phase than `after`.
    pub fn remove_header(&self, name: &str) -> Result<(), HostError> {
        response::remove_header(name).map_err(HostError)
    }

    /// Returns a copy of the body.
    pub fn body(&self) -> Vec<u8> {
        response::body()
    }

    /// Sets the body and keeps `content-type`.
    ///
    /// # Errors
    ///
    /// Returns an error if the body exceeds the limit of the host, or in another phase than `after`.
    pub fn set_body(&self, body: &[u8]) -> Result<(), HostError> {
        response::set_body(body).map_err(HostError)
    }
}

impl FromRequest for Reply {
    fn from_request(_: &Request) -> Result<Self, Problem> {
        Ok(Self(()))
    }
}

/// Sets the identity of the client, which handlers and later hooks read as [`Identity`](crate::Identity).
///
/// Only hooks outside the transaction (`on_route`, and `before` with a priority below 100) can set it, once in a request.
///
/// ```no_run
/// # fn f() -> Result<(), carya_guest::HostError> {
/// carya_guest::set_identity("user-7")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns an error if the identity is set already, in other phases, or beyond 64 KiB.
pub fn set_identity(subject: &str) -> Result<(), HostError> {
    identity_setter::set(subject, "{}").map_err(HostError)
}

/// Sets the identity of the client, with claims about the client: a struct or a map.
///
/// # Errors
///
/// Returns the errors of [`set_identity`], and an error if the claims are not a JSON object.
pub fn set_identity_with(subject: &str, claims: &impl Serialize) -> Result<(), HostError> {
    let claims = serde_json::to_string(claims).map_err(|error| HostError(format!("the claims: {error}")))?;
    identity_setter::set(subject, &claims).map_err(HostError)
}

/// Result of a `before` or `on_error` hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of this hook",
    note = "return nothing to proceed, `Option<T>` with a response, or a `Result` of one of these and `Problem`"
)]
pub trait IntoAnswer {
    #[doc(hidden)]
    fn into_answer(self) -> Option<Response>;
}

impl IntoAnswer for () {
    fn into_answer(self) -> Option<Response> {
        None
    }
}

impl<T: IntoResponse> IntoAnswer for Option<T> {
    fn into_answer(self) -> Option<Response> {
        self.map(T::into_response)
    }
}

impl<T: IntoAnswer, E: IntoResponse> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Option<Response> {
        match self {
            Ok(value) => value.into_answer(),
            Err(error) => Some(error.into_response()),
        }
    }
}

/// Result of an `on_route` hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of an `on_route` hook",
    note = "return nothing to proceed, `Decision`, or a `Result` of one of these and `Problem`"
)]
pub trait IntoDecision {
    #[doc(hidden)]
    fn into_decision(self) -> Decision;
}

impl IntoDecision for () {
    fn into_decision(self) -> Decision {
        Decision::Proceed
    }
}

impl IntoDecision for Decision {
    fn into_decision(self) -> Decision {
        self
    }
}

impl<T: IntoDecision, E: IntoResponse> IntoDecision for Result<T, E> {
    fn into_decision(self) -> Decision {
        match self {
            Ok(value) => value.into_decision(),
            Err(error) => Decision::Answer(error.into_response()),
        }
    }
}

/// Result of an `after` hook, of `init` and of an action.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of this function",
    note = "return nothing, or `Result<(), Problem>`"
)]
pub trait IntoOutcome {
    #[doc(hidden)]
    fn into_outcome(self) -> Result<(), String>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_return_nothing_or_a_response() {
        let status = |answer: Option<Response>| answer.map(|response| response.status());
        assert_eq!(status(().into_answer()), None);
        assert_eq!(status(Some("text").into_answer()), Some(200));
        assert_eq!(status(Err::<(), _>(Problem::forbidden("no")).into_answer()), Some(403));
        assert!(matches!(Ok::<_, Problem>(()).into_decision(), Decision::Proceed));
        assert!(matches!(Err::<(), _>(Problem::new(401)).into_decision(), Decision::Answer(_)));
        assert_eq!(Err::<(), _>(Problem::conflict("x")).into_outcome(), Err("409 Conflict: x".to_owned()));
    }
}
