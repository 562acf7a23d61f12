//! Detects failures after which a later attempt may succeed without a change to a file.

use crate::{app::UnexpectedResponses, migrate, oci::PullError, sql::error::DbError};

/// Returns whether a later attempt may succeed: a registry or database was unreachable or busy, or a smoke request was
/// answered with 503 or 504.
pub(super) fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let pulling = cause.downcast_ref().is_some_and(|error: &PullError| error.may_pass);
        let asking = cause.downcast_ref().is_some_and(|error: &DbError| error.retryable);
        let migrating = cause.downcast_ref().is_some_and(migrate::Error::may_pass);
        pulling || asking || migrating || cause.downcast_ref().is_some_and(|error: &UnexpectedResponses| error.may_pass)
    })
}
