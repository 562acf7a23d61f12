//! Which failures may pass without a file being changed, and the reload that is still owed after one of them.

use super::{Change, Reloader, told};
use crate::{
    app::WrongAnswers,
    database::{error::DbError, migrate},
    oci::PullError,
};

impl Reloader {
    /// Why the last reload failed, if that may pass; it changes with every attempt.
    pub fn owed(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        self.owed.subscribe()
    }

    /// Reloads if the last attempt failed and that may have passed. None if there is nothing to do.
    pub async fn try_again(&self) -> Option<anyhow::Result<Change>> {
        let mut tried = self.tried.lock().await;
        if self.owed.borrow().is_none() {
            return None;
        }
        Some(self.reload_now(&mut tried).await)
    }

    /// Keeps in mind how an attempt has ended.
    pub(super) fn note(&self, result: anyhow::Result<Change>) -> anyhow::Result<Change> {
        let failure = result.as_ref().err().filter(|error| may_pass(error));
        self.owed.send_replace(failure.map(told));
        result
    }
}

/// Whether something may go better the next time: a server that is away, or busy with something else.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let pulling = cause.downcast_ref().is_some_and(|error: &PullError| error.may_pass);
        let asking = cause.downcast_ref().is_some_and(|error: &DbError| error.retryable);
        let migrating = cause.downcast_ref().is_some_and(migrate::Error::may_pass);
        pulling || asking || migrating || cause.downcast_ref().is_some_and(|error: &WrongAnswers| error.may_pass)
    })
}
