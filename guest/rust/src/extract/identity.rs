//! The identity of the client.

use serde::de::DeserializeOwned;

use super::FromRequest;
use crate::{Problem, Request, raw::identity};

/// Extractor of the identity that a hook has set with [`set_identity`](crate::set_identity).
///
/// If no hook has set an identity, the response is 401. Take `Option<Identity>` to accept unknown clients.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[get("/me")]
/// # );
/// fn me(client: Identity) -> Result<String, Problem> {
///     let role: Option<String> = client.claim("role")?;
///     Ok(format!("{} ({})", client.subject(), role.unwrap_or_default()))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    subject: String,
}

impl Identity {
    /// Returns the name of the client, such as the number of a user.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns a claim about the client, or `None` if there is no claim with this name.
    ///
    /// # Errors
    ///
    /// Returns an error if the claim has another type.
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, serde_json::Error> {
        identity::claim(name).map(|json| serde_json::from_str(&json)).transpose()
    }
}

impl FromRequest for Identity {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        Option::from_request(request)?.ok_or(Problem::unauthorized("this needs an identity"))
    }
}

impl FromRequest for Option<Identity> {
    fn from_request(_: &Request) -> Result<Self, Problem> {
        Ok(identity::subject().map(|subject| Identity { subject }))
    }
}
