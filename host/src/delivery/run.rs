//! Runs an action once: calls the guest in a new transaction, and commits the transaction if the guest succeeded. A
//! conflict with another transaction repeats the run, as it does for a request.

use std::{future::Future, mem, sync::Arc, time::Instant};

use crate::{
    component::{CallError, Component, Guests},
    config::Access,
    database::{Database, TransactionOptions},
    generation::Generation,
    message::Request,
    outbox::{self, Lease},
    sql::error::DbError,
    telemetry::metrics,
    transaction::{self, Action, ActionRun, Bound, Outcome, Unbound, back_off},
};

/// An action with everything that its runs need.
pub(super) struct Run<'a> {
    pub(super) generation: &'a Generation,
    /// Database of the request that registered the action.
    pub(super) database: Option<&'a Arc<Database>>,
    pub(super) action: &'a Action,
    /// Request that the guest reads.
    pub(super) request: &'a Arc<Request>,
    /// Number of the delivery, from 1. A rerun after a conflict has the same number.
    pub(super) attempt: u32,
}

/// Reason why an action has not succeeded. Its changes in the database are rolled back, unless the commit is in doubt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The component is not in the configuration.
    #[error("component `{0}` is no longer configured; configure it again, or remove the action by `carya outbox drop`")]
    NotConfigured(Arc<str>),
    /// The call of the guest failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The guest requested the rollback.
    #[error("the action requested a rollback of its own transaction")]
    Marked,
    /// A statement failed, and the guest neither rolled back to a savepoint nor returned an error.
    #[error("a failed statement was not undone by a savepoint: {}", .0.report())]
    Doomed(DbError),
    /// The commit failed.
    #[error("the commit failed: {0}")]
    Commit(DbError),
    /// The database did not confirm the commit.
    #[error("the outcome of the commit is unknown: {0}")]
    InDoubt(DbError),
    /// Another delivery has taken the action.
    #[error("its lease was lost: another delivery has taken the action, or it was removed")]
    LeaseLost,
    /// No delivery has ended: each time, the host was killed or lost the database.
    #[error("none of its deliveries has ended: the hosts were killed, or lost the database")]
    Unfinished,
    /// The time for the actions of the request was over.
    #[error("server.action_timeout was over")]
    OutOfTime,
    /// The transaction ended for a reason that is a bug in the host.
    #[error("the transaction of the action was lost")]
    Lost,
}

/// Cause to run an action again at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rerun {
    Conflict,
    /// A statement that was prepared before the schema changed.
    Stale,
}

impl Run<'_> {
    /// Runs the action without the outbox, and cancels it at `deadline`.
    pub(super) async fn until(&self, deadline: Instant) -> Result<(), Failure> {
        self.repeat(Limit::Deadline(deadline)).await
    }

    /// Runs the action in the outbox that this host has leased. The commit deletes the action from the outbox.
    pub(super) async fn with_lease(&self, lease: &mut Lease) -> Result<(), Failure> {
        self.repeat(Limit::Lease(lease)).await
    }

    async fn repeat(&self, mut limit: Limit<'_>) -> Result<(), Failure> {
        let Some(component) = self.generation.component(&self.action.component) else {
            return Err(Failure::NotConfigured(self.action.component.clone()));
        };
        let retries = self.generation.config.transaction.retries;
        let (mut conflicts, mut fresh_connection) = (0, false);
        loop {
            let (result, rerun) = self.once(component, &mut limit, fresh_connection).await;
            match rerun {
                Some(Rerun::Conflict) if conflicts < retries => {
                    tokio::time::sleep(back_off(conflicts)).await;
                    conflicts += 1;
                }
                Some(Rerun::Stale) if !fresh_connection => fresh_connection = true,
                _ => return result,
            }
            metrics::retry();
        }
    }

    /// Runs the action in one transaction. If it failed because of another transaction or a stale statement, and nothing
    /// outside of the database has changed, also returns the cause to run it again.
    async fn once(
        &self,
        component: &Component,
        limit: &mut Limit<'_>,
        fresh_connection: bool,
    ) -> (Result<(), Failure>, Option<Rerun>) {
        let mut state = self.generation.state_of(self.request.clone());
        let isolation = self.generation.config.transaction.isolation;
        let terms = TransactionOptions { isolation, fresh_connection, ..TransactionOptions::new(Access::ReadWrite) };
        let database = self.database.cloned();
        state.bound = Unbound::default().start_action(database, terms, self.action.depth, &mut state.trace);
        let mut guests = Guests::default();
        let call = guests.run_action(&mut state, component, self.action, self.attempt);
        let called = limit.apply(self.database, call).await;
        let is_repeatable = !state.calls.unrepeatable && !matches!(called, Err(Failure::LeaseLost));
        let Bound::Started(mut started) = mem::take(&mut state.bound) else { return (Err(Failure::Lost), None) };
        let called = called.and_then(|called| called.map_err(Failure::Call));
        let mut rerun = None;
        if is_repeatable {
            let session = started.session_mut();
            if session.had_conflict() {
                rerun = Some(Rerun::Conflict);
            } else if session.is_stale().await {
                rerun = Some(Rerun::Stale);
            }
        }
        if let Limit::Lease(lease) = limit {
            started.complete(lease.clone());
        }
        let (doom, is_marked) = (started.session().doom().cloned(), started.session().is_marked());
        let verdict = transaction::decide_call(called.is_ok(), started.session());
        let settled = started.settle(verdict, &mut state.trace).await;
        if settled.had_conflict() && is_repeatable {
            rerun = Some(Rerun::Conflict);
        }
        let failure = settled.failure().cloned();
        let outcome = settled.clear(&mut state.trace).outcome();
        let result = match (called, outcome, failure) {
            (Err(failure), ..) => Err(failure),
            (Ok(()), Outcome::Committed, _) => Ok(()),
            (Ok(()), Outcome::InDoubt, Some(error)) => Err(Failure::InDoubt(error)),
            (Ok(()), _, Some(error)) if outbox::is_lease_lost(&error) => Err(Failure::LeaseLost),
            (Ok(()), _, Some(error)) => Err(Failure::Commit(error)),
            (Ok(()), _, None) if is_marked => Err(Failure::Marked),
            (Ok(()), _, None) => Err(doom.map_or(Failure::Lost, Failure::Doomed)),
        };
        if let Some(instruments) = &self.generation.instruments {
            let failure = result.as_ref().err().map(ToString::to_string);
            let run = ActionRun::new(&self.action.name, self.attempt, outcome, failure, &state.trace);
            instruments.recorder.action(&self.request.id, run);
        }
        // A committed action must not run again, even if one of its statements failed.
        let rerun = rerun.filter(|_| result.is_err());
        (result, rerun)
    }
}

/// Event that ends a run early.
enum Limit<'a> {
    Deadline(Instant),
    Lease(&'a mut Lease),
}

impl Limit<'_> {
    /// Awaits the call of the guest, or cancels it.
    async fn apply<T>(
        &mut self,
        database: Option<&Arc<Database>>,
        call: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        match (self, database) {
            (Self::Lease(lease), Some(database)) => lease.hold(database, call).await.ok_or(Failure::LeaseLost),
            (Self::Lease(_), None) => Ok(call.await),
            (Self::Deadline(deadline), _) => {
                let called = tokio::time::timeout_at((*deadline).into(), call).await;
                called.map_err(|_| Failure::OutOfTime)
            }
        }
    }
}
