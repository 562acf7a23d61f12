//! Error of a value that the host refuses or does not have.

use std::fmt;

/// Error of a value that the host refuses or does not have: a header field, an identity, a value of the context, a
/// setting. As a [`Problem`](crate::Problem) it is an internal error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError(pub(crate) String);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostError {}
