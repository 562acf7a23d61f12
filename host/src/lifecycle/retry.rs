//! Reruns of everything inside the transaction, after a conflict with another transaction, or after a statement failed
//! because it was prepared before the schema changed.

use super::{Lifecycle, answer::Answer};
use crate::{
    component::RequestState,
    telemetry::metrics,
    transaction::{Bound, back_off},
};

/// Cause to run everything inside the transaction again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A conflict with another transaction, or with the recovery of a replica.
    Conflict,
    /// A statement that was prepared before the schema changed.
    Stale,
    /// Rows that the host read in one go, and must stream because they exceed a limit.
    Outgrown,
}

/// Reruns of a request so far.
#[derive(Debug, Default)]
pub(super) struct Reruns {
    /// Number of reruns after a conflict.
    conflicts: u32,
    /// Whether the request was rerun on a new connection after a stale statement.
    stale: bool,
    /// Whether the request was rerun to stream its rows.
    outgrown: bool,
}

impl Lifecycle<'_> {
    /// Begins the part of the request that may run again.
    pub(super) fn begin_inside(&mut self) {
        self.entry_context = Some(self.state.context.clone());
        self.state.calls.unrepeatable = false;
    }

    /// Returns the cause to run everything inside the transaction again, if there is one. A rerun after a conflict
    /// counts towards the route's `retries`. A rerun after a stale statement does not count, because only the connection
    /// was at fault, and happens at most once in a request; the same holds for a rerun to stream rows. Nothing runs again after an outbound request with a method
    /// other than GET and HEAD.
    pub(super) async fn cause_to_rerun(&mut self) -> Option<Cause> {
        if self.entry_context.is_none() || self.state.calls.unrepeatable {
            return None;
        }
        let may_retry = self.may_retry();
        let session = self.state.bound.session()?;
        if may_retry && session.had_conflict() {
            return Some(Cause::Conflict);
        }
        if !self.reruns.outgrown && session.is_outgrown() {
            return Some(Cause::Outgrown);
        }
        (!self.reruns.stale && session.is_stale().await).then_some(Cause::Stale)
    }

    /// Returns whether everything inside the transaction may run again after a conflict.
    pub(super) fn may_retry(&self) -> bool {
        let retries = self.handler.map_or(0, |handler| handler.retries);
        self.entry_context.is_some() && !self.state.calls.unrepeatable && self.reruns.conflicts < retries
    }

    /// Rolls back the transaction, and replaces the session by a new session for the next attempt.
    pub(super) async fn roll_back(&mut self, cause: Cause) {
        let RequestState { bound, trace, .. } = &mut self.state;
        let fresh_connection = matches!(cause, Cause::Stale | Cause::Outgrown);
        *bound = match std::mem::take(bound) {
            Bound::Started(started) => Bound::Started(started.retry(fresh_connection, trace).await),
            Bound::ReadOnly(reading) => Bound::ReadOnly(reading.retry(fresh_connection, trace).await),
            Bound::Unbound(unbound) => Bound::Unbound(unbound),
        };
    }

    /// Prepares the next attempt: restores the context of the request, removes the answer, and drops the instances of
    /// the components inside the transaction, so that the attempt gets new ones. After a conflict, also waits for the
    /// time that [`back_off`] returns.
    pub(super) async fn start_over(&mut self, cause: Cause) {
        metrics::retry();
        if let Some(context) = &self.entry_context {
            self.state.context.clone_from(context);
        }
        self.answer = Answer::Pending;
        let controller = self.handler.map(|handler| &handler.controller);
        for component in self.chain.inside().iter().chain(controller) {
            self.guests.forget(component);
        }
        match cause {
            Cause::Stale => self.reruns.stale = true,
            Cause::Outgrown => self.reruns.outgrown = true,
            Cause::Conflict => {
                tokio::time::sleep(back_off(self.reruns.conflicts)).await;
                self.reruns.conflicts += 1;
            }
        }
    }
}
