//! Doing everything inside the transaction again: after a conflict with another one, or where only the connection was at fault.

use std::{collections::BTreeMap, time::Duration};

use super::Life;
use crate::{telemetry::metrics, transaction::Bound};

/// What the phases before the transaction said, once they ran.
pub(super) enum Entrance {
    /// They are still to run.
    Ahead,
    /// The request is answered already.
    Closed,
    /// Everything inside runs, with the context as the hooks outside left it.
    Open(BTreeMap<String, String>),
}

/// Why everything inside the transaction runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A conflict with another transaction, or with the recovery of a replica.
    Conflict,
    /// A statement that was prepared before the schema changed.
    Stale,
}

impl Life<'_> {
    /// The cause for another run of everything inside the transaction, if there is one. A conflict counts towards the route's
    /// `retries`. A stale statement does not, because only the connection was at fault; it causes one more run at most.
    pub(super) async fn must_run_again(&mut self) -> Option<Cause> {
        if !matches!(self.entrance, Entrance::Open(_)) {
            return None;
        }
        let may_retry = self.may_retry();
        let session = self.sandbox.guest().bound.session()?;
        if may_retry && session.had_conflict() {
            return Some(Cause::Conflict);
        }
        (!self.renewed && session.is_stale().await).then_some(Cause::Stale)
    }

    /// Whether everything inside may be done once more after a conflict.
    pub(super) fn may_retry(&self) -> bool {
        let most = self.handler.map_or(0, |handler| handler.retries);
        matches!(self.entrance, Entrance::Open(_)) && self.attempt < most
    }

    /// Goes back to before the first statement, and starts over.
    pub(super) async fn run_again(&mut self, cause: Cause) {
        let (guest, anew) = (self.sandbox.guest(), cause == Cause::Stale);
        guest.bound = match std::mem::take(&mut guest.bound) {
            Bound::Started(started) => Bound::Started(started.retry(anew, &mut guest.trace).await),
            Bound::ReadOnly(reading) => Bound::ReadOnly(reading.retry(anew, &mut guest.trace).await),
            Bound::Unbound(unbound) => Bound::Unbound(unbound),
        };
        self.start_over(cause).await;
    }

    /// Forgets what an attempt left, so that the next meets fresh instances; after a conflict it waits a while.
    pub(super) async fn start_over(&mut self, cause: Cause) {
        metrics::retry();
        let guest = self.sandbox.guest();
        guest.reply = None;
        if let Entrance::Open(context) = &self.entrance {
            guest.context.clone_from(context);
        }
        (self.failure, self.reached, self.answered) = (None, None, false);
        let controller = self.handler.map(|handler| &handler.controller);
        for component in self.chain.inside().iter().chain(controller) {
            self.sandbox.forget(component);
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

/// How long to wait before another attempt: longer each time, and not as long as the other one that was in the way.
fn back_off(attempt: u32) -> Duration {
    let most: u64 = 10_000 << attempt.min(6);
    Duration::from_micros(rand::random_range(most / 2..most))
}
