//! Failures that may pass without a change to a file, and the reload that is due after one of them.

use super::{Change, Reloader, told};
use crate::{app::WrongAnswers, migrate, oci::PullError, sql::error::DbError};

impl Reloader {
    /// Returns a receiver of the reason of the last failed reload. It is `None` unless a later attempt may succeed, and
    /// changes with every attempt.
    pub fn owed(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        self.owed.subscribe()
    }

    /// Reloads if the last attempt failed for a reason that may have passed; returns `None` otherwise.
    pub async fn try_again(&self) -> Option<anyhow::Result<Change>> {
        let mut tried = self.tried.lock().await;
        if self.owed.borrow().is_none() {
            return None;
        }
        Some(self.reload_now(&mut tried).await)
    }

    /// Stores whether a later attempt may succeed, and returns the result unchanged.
    pub(super) fn note(&self, result: anyhow::Result<Change>) -> anyhow::Result<Change> {
        let failure = result.as_ref().err().filter(|error| may_pass(error));
        self.owed.send_replace(failure.map(told));
        result
    }
}

/// Returns whether a later attempt may succeed: a registry or database was unreachable or busy, or a smoke request was
/// answered with 503 or 504.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let pulling = cause.downcast_ref().is_some_and(|error: &PullError| error.may_pass);
        let asking = cause.downcast_ref().is_some_and(|error: &DbError| error.retryable);
        let migrating = cause.downcast_ref().is_some_and(migrate::Error::may_pass);
        pulling || asking || migrating || cause.downcast_ref().is_some_and(|error: &WrongAnswers| error.may_pass)
    })
}
