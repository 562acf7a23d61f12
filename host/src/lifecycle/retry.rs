//! Reruns of everything inside the transaction: after a conflict with another transaction, or after a failure that only
//! the connection caused.

use std::{collections::BTreeMap, time::Duration};

use super::{Life, answer::Answer};
use crate::{component::RequestState, telemetry::metrics, transaction::Bound};

/// Result of the phases before the transaction.
pub(super) enum Entrance {
    /// The phases have not run yet.
    Ahead,
    /// The request is answered already: nothing inside runs.
    Closed,
    /// Everything inside runs, with the request's context as the outside hooks left it.
    Open(BTreeMap<String, String>),
}

/// Reason to run everything inside the transaction again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A conflict with another transaction, or with the recovery of a replica.
    Conflict,
    /// A statement that was prepared before the schema changed.
    Stale,
}

impl Life<'_> {
    /// Returns the cause to run everything inside the transaction again, if there is one. A conflict counts towards the
    /// route's `retries`. A stale statement does not, because only the connection was at fault; it causes at most one
    /// rerun.
    pub(super) async fn must_run_again(&mut self) -> Option<Cause> {
        if !matches!(self.entrance, Entrance::Open(_)) {
            return None;
        }
        let may_retry = self.may_retry();
        let session = self.state.bound.session()?;
        if may_retry && session.had_conflict() {
            return Some(Cause::Conflict);
        }
        (!self.renewed && session.is_stale().await).then_some(Cause::Stale)
    }

    /// Returns whether everything inside may run again after a conflict.
    pub(super) fn may_retry(&self) -> bool {
        let most = self.handler.map_or(0, |handler| handler.retries);
        matches!(self.entrance, Entrance::Open(_)) && self.attempt < most
    }

    /// Rolls back to before the first statement, and starts over.
    pub(super) async fn run_again(&mut self, cause: Cause) {
        let RequestState { bound, trace, .. } = &mut self.state;
        let anew = cause == Cause::Stale;
        *bound = match std::mem::take(bound) {
            Bound::Started(started) => Bound::Started(started.retry(anew, trace).await),
            Bound::ReadOnly(reading) => Bound::ReadOnly(reading.retry(anew, trace).await),
            Bound::Unbound(unbound) => Bound::Unbound(unbound),
        };
        self.start_over(cause).await;
    }

    /// Resets the state that an attempt left, and drops its instances, so that the next attempt gets fresh ones. After
    /// a conflict, also waits for [`back_off`].
    pub(super) async fn start_over(&mut self, cause: Cause) {
        metrics::retry();
        if let Entrance::Open(context) = &self.entrance {
            self.state.context.clone_from(context);
        }
        self.answer = Answer::Pending;
        let controller = self.handler.map(|handler| &handler.controller);
        for component in self.chain.inside().iter().chain(controller) {
            self.guests.forget(component);
        }
        match cause {
            Cause::Stale => self.renewed = true,
            Cause::Conflict => {
                tokio::time::sleep(back_off(self.attempt)).await;
                self.attempt += 1;
            }
        }
    }
}

/// Returns how long to wait before another attempt: from 5-10 ms, doubled each time, up to 320-640 ms. The random part
/// keeps two conflicting requests from retrying at the same time.
fn back_off(attempt: u32) -> Duration {
    let most: u64 = 10_000 << attempt.min(6);
    Duration::from_micros(rand::random_range(most / 2..most))
}
