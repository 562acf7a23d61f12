//! Doing everything inside the transaction again, after a conflict with another one.

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

impl Life<'_> {
    /// Whether another transaction was in the way of this one.
    pub(super) fn had_conflict(&mut self) -> bool {
        match &self.sandbox.guest().bound {
            Bound::Started(started) => started.session().had_conflict(),
            _ => false,
        }
    }

    /// Whether everything inside may be done once more.
    pub(super) fn may_retry(&self) -> bool {
        let most = self.handler.map_or(0, |handler| handler.retries);
        matches!(self.entrance, Entrance::Open(_)) && self.attempt < most
    }

    /// Goes back to before the first statement.
    pub(super) async fn roll_back_to_retry(&mut self) {
        let guest = self.sandbox.guest();
        guest.bound = match std::mem::take(&mut guest.bound) {
            Bound::Started(started) => Bound::Started(started.retry(&mut guest.trace).await),
            bound => bound,
        };
    }

    /// Forgets what an attempt left, so that the next meets fresh instances, after a while.
    pub(super) async fn start_over(&mut self) {
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
        tokio::time::sleep(back_off(self.attempt)).await;
        self.attempt += 1;
    }
}

/// How long to wait before another attempt: longer each time, and not as long as the other one that was in the way.
fn back_off(attempt: u32) -> Duration {
    let most: u64 = 10_000 << attempt.min(6);
    Duration::from_micros(rand::random_range(most / 2..most))
}
