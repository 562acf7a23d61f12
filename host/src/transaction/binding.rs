//! The binding of a request to its database, as types that permit only these orders of steps:
//!
//! ```text
//! Unbound -> Cleared
//! Unbound -> ReadOnly -> Cleared
//! Unbound -> Started  -> Settled -> Cleared
//! ```
//!
//! Until a guest has received a handle, [`Bound::rebind`] can replace the binding, for example by a binding with the
//! access mode of the route.
//!
//! Every step consumes the value of the previous step. A commit requires an [`Approval`], and a reply requires a
//! [`Cleared`]. Dropping a [`ReadOnly`] or [`Started`] closes its connection, which rolls back. No other module ends a
//! request's transaction.

use std::sync::Arc;

use super::{
    actions::Action,
    session::{Parts, Session},
    trace::{Event, Trace},
    verdict::{Approval, Outcome, Reason, Verdict},
};
use crate::{
    config::Access,
    database::{Connection, Database, TransactionOptions},
    outbox::Lease,
    sql::{
        Position,
        error::{DbError, Kind},
    },
    telemetry::metrics::{self, Resolution},
};

/// A request without access to a database.
#[derive(Debug, Default)]
pub(crate) struct Unbound(());

/// A request that is bound to its database with read-only access. Its transaction is never committed.
#[derive(Debug)]
pub(crate) struct ReadOnly(Session);

/// A request that is bound to its database with read/write access. Its transaction ends in a commit or a rollback.
#[derive(Debug)]
pub struct Started(Session);

/// A request after the commit or rollback of its transaction, with the actions that are due.
#[derive(Debug)]
pub struct Settled {
    outcome: Outcome,
    actions: Vec<Action>,
    failure: Option<DbError>,
    position: Option<Position>,
    database: Option<Arc<Database>>,
    terms: TransactionOptions,
}

/// A request without a transaction, or after the end of its transaction. The host may send the reply now.
#[derive(Debug)]
pub struct Cleared {
    outcome: Outcome,
    position: Option<Position>,
}

/// The binding of a request while its guests run.
#[derive(Debug)]
pub(crate) enum Bound {
    /// No access to a database.
    Unbound(Unbound),
    /// A session that reads.
    ReadOnly(ReadOnly),
    /// A session that reads and writes.
    Started(Started),
}

impl Default for Bound {
    fn default() -> Self {
        Bound::Unbound(Unbound::default())
    }
}

impl Unbound {
    /// Binds the request to `database` with the access mode of `terms`. Sends nothing to the database: the first
    /// statement begins the transaction.
    pub(crate) fn start(self, database: Option<Arc<Database>>, terms: TransactionOptions, trace: &mut Trace) -> Bound {
        match terms.access {
            Access::None => Bound::Unbound(self),
            Access::ReadOnly => {
                trace.mark(Event::StartReadOnly);
                Bound::ReadOnly(ReadOnly(Session::new(database, terms)))
            }
            Access::ReadWrite => {
                trace.mark(Event::Start);
                Bound::Started(Started(Session::new(database, terms)))
            }
        }
    }

    /// Binds an action to `database`, with a transaction of its own. `depth` is [`Action::depth`].
    pub(crate) fn start_action(
        self,
        database: Option<Arc<Database>>,
        terms: TransactionOptions,
        depth: u8,
        trace: &mut Trace,
    ) -> Bound {
        trace.mark(Event::Start);
        Bound::Started(Started(Session::of_action(database, terms, depth)))
    }

    /// Ends a request that has no transaction.
    pub(crate) fn clear(self, trace: &mut Trace) -> Cleared {
        trace.mark(Event::Clear);
        Cleared { outcome: Outcome::Nothing, position: None }
    }
}

impl ReadOnly {
    /// Ends the request with a rollback, which also undoes every change that a guest made to the session.
    ///
    /// The reply does not wait for the rollback, which affects only this connection. This function spawns a task for
    /// the rollback. Either this task completes the rollback before the connection returns to the pool, or the next
    /// borrower of the connection completes it.
    pub(crate) fn clear(self, trace: &mut Trace) -> Cleared {
        self.close();
        Unbound::default().clear(trace)
    }

    /// Rolls back like [`clear`](Self::clear), for a transaction beside that of the request.
    pub(crate) fn close(self) {
        if let Some(connection) = self.0.into_parts().connection.and_then(Connection::hand_over) {
            tokio::spawn(async {
                // Yield, so that a borrower that begins to wait in the meantime can take over the rollback.
                tokio::task::yield_now().await;
                let Some(connection) = connection.hand_over() else { return };
                if let Err(error) = connection.rollback().await {
                    // The failure has closed the connection, which rolls back too.
                    tracing::warn!(%error, "a read-only transaction could not be rolled back");
                }
            });
        }
    }

    /// Returns the session that guests use.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.0
    }

    /// Returns a binding for statements that run while this one streams rows. They run in a transaction of their own.
    pub(super) fn companion(&self) -> Self {
        Self(self.0.companion())
    }

    /// Rolls back, so that everything inside the transaction can run again. With `fresh_connection`, the next session
    /// opens a new connection. Without `fresh_connection`, the next session uses the primary, because a replica may
    /// have caused the conflict.
    pub(crate) async fn retry(self, fresh_connection: bool, trace: &mut Trace) -> ReadOnly {
        let Parts { database, terms, connection, .. } = self.0.into_parts();
        if let Some(connection) = connection {
            roll_back(connection).await;
        }
        trace.mark(Event::Retry);
        ReadOnly(Session::new(
            database,
            TransactionOptions { primary: terms.primary || !fresh_connection, fresh_connection, ..terms },
        ))
    }
}

impl Started {
    /// Returns the session that guests use.
    pub(crate) fn session(&self) -> &Session {
        &self.0
    }

    /// Returns the session that guests use, to change it.
    pub(crate) fn session_mut(&mut self) -> &mut Session {
        &mut self.0
    }

    /// Makes a commit delete the action that runs in this transaction from the outbox. The commit fails if the lease of
    /// the action is lost.
    pub(crate) fn complete(&mut self, lease: Lease) {
        self.0.complete(lease);
    }

    /// Commits or rolls back, as `verdict` decides.
    pub async fn settle(self, verdict: Verdict, trace: &mut Trace) -> Settled {
        match verdict {
            Verdict::Commit(approval) => {
                trace.explain(None::<Reason>);
                self.commit(approval, trace).await
            }
            Verdict::Rollback(reason) => {
                trace.explain(Some(reason));
                self.rollback(trace).await
            }
        }
    }

    /// Commits. If the commit fails, nothing is committed, unless the error is [`Kind::Lost`]: then the outcome may be
    /// unknown.
    async fn commit(mut self, _: Approval, trace: &mut Trace) -> Settled {
        let updated = self.0.update_outbox(trace).await;
        let open = trace.open(Event::Commit, None);
        let Parts { database, terms, connection, actions } = self.0.into_parts();
        let (outcome, position, failure) = match (updated, connection) {
            (Err(error), connection) => {
                if let Some(connection) = connection {
                    roll_back(connection).await;
                }
                (Outcome::RolledBack, None, Some(error))
            }
            // No statement was sent, so there is nothing to commit.
            (Ok(()), None) => (Outcome::Committed, None, None),
            (Ok(()), Some(connection)) => commit(connection, database.as_deref()).await,
        };
        if outcome != Outcome::RolledBack
            && actions.durable().next().is_some()
            && let Some(database) = &database
        {
            database.outbox().wake();
        }
        let (event, actions) = match outcome {
            Outcome::Committed => (Event::Commit, actions.due(true)),
            Outcome::InDoubt => (Event::InDoubt, Vec::new()),
            Outcome::RolledBack | Outcome::Nothing => (Event::Rollback, actions.due(false)),
        };
        trace.close_as(open, event);
        Settled { outcome, actions, failure, position, database, terms }
    }

    /// Rolls back. If the rollback fails, the connection is closed, which rolls back too.
    async fn rollback(self, trace: &mut Trace) -> Settled {
        let Parts { database, terms, connection, actions } = self.0.into_parts();
        let open = trace.open(Event::Rollback, None);
        if let Some(connection) = connection {
            roll_back(connection).await;
        }
        trace.close(open);
        let outcome = Outcome::RolledBack;
        Settled { outcome, actions: actions.due(false), failure: None, position: None, database, terms }
    }

    /// Rolls back, so that everything inside the transaction can run again. With `fresh_connection`, the next session
    /// opens a new connection.
    pub(crate) async fn retry(self, fresh_connection: bool, trace: &mut Trace) -> Started {
        self.rollback(trace).await.retry(fresh_connection, trace)
    }
}

/// Rolls back on a connection. If the rollback fails, the connection is closed, which rolls back too.
async fn roll_back(connection: Connection) {
    if let Err(error) = connection.rollback().await {
        tracing::warn!(%error, "a transaction could not be rolled back; its connection was closed");
    }
}

/// Commits on a connection. If the database does not confirm the commit ([`Kind::Lost`]), queries the server for the
/// outcome by the transaction's id, if the engine assigned one.
async fn commit(connection: Connection, database: Option<&Database>) -> (Outcome, Option<Position>, Option<DbError>) {
    let transaction = connection.transaction_id().map(str::to_owned);
    let committed = match database.and_then(|database| database.faults().take()) {
        None => connection.commit().await,
        Some(fault) => connection.commit_with(fault).await,
    };
    let error = match committed {
        Ok(position) => return (Outcome::Committed, position, None),
        // Any other error means that nothing is committed.
        Err(error) if error.kind != Kind::Lost => {
            if error.kind == Kind::Conflict {
                metrics::conflict();
            }
            return (Outcome::RolledBack, None, Some(error));
        }
        Err(error) => error,
    };
    // The commit was not confirmed, because the connection was lost or the commit took too long. The database may have
    // committed or not.
    let resolved = match (database, &transaction) {
        (Some(database), Some(transaction)) => database.resolve(transaction).await,
        _ => None,
    };
    tracing::error!(%error, transaction, committed = resolved, "a commit was not confirmed");
    let (resolution, outcome) = match resolved {
        Some(true) => (Resolution::Committed, Outcome::Committed),
        Some(false) => (Resolution::RolledBack, Outcome::RolledBack),
        None => (Resolution::Unknown, Outcome::InDoubt),
    };
    metrics::in_doubt(resolution);
    (outcome, None, (outcome != Outcome::Committed).then_some(error))
}

impl Settled {
    /// Returns how the transaction ended.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the database of the transaction.
    pub(crate) fn database(&self) -> Option<&Arc<Database>> {
        self.database.as_ref()
    }

    /// Returns the error of a commit that failed.
    pub(crate) fn failure(&self) -> Option<&DbError> {
        self.failure.as_ref()
    }

    /// Takes the actions that are due. A second call returns none.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Ends the request's binding, so that the host may reply.
    pub fn clear(self, trace: &mut Trace) -> Cleared {
        trace.mark(Event::Clear);
        Cleared { outcome: self.outcome, position: self.position }
    }

    /// Returns whether the commit failed because of a conflict with another transaction.
    pub(crate) fn had_conflict(&self) -> bool {
        self.failure.as_ref().is_some_and(|error| error.kind == Kind::Conflict)
    }

    /// Returns a new binding with the same options, so that everything inside the transaction can run again. Drops the
    /// actions that are due.
    pub(crate) fn retry(self, fresh_connection: bool, trace: &mut Trace) -> Started {
        trace.mark(Event::Retry);
        Started(Session::new(self.database, TransactionOptions { fresh_connection, ..self.terms }))
    }
}

impl Cleared {
    /// Returns how the transaction ended.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the position of the commit, if the position is known and the database has replicas. A replica may not
    /// have reached the position yet.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }
}

impl Bound {
    /// Returns the session, or `None` for [`Bound::Unbound`].
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match self {
            Bound::Unbound(_) => None,
            Bound::ReadOnly(ReadOnly(session)) | Bound::Started(Started(session)) => Some(session),
        }
    }

    /// Returns the access mode.
    pub(crate) fn access(&self) -> Access {
        match self {
            Bound::Unbound(_) => Access::None,
            Bound::ReadOnly(_) => Access::ReadOnly,
            Bound::Started(_) => Access::ReadWrite,
        }
    }

    /// Binds the request to another database or with other options. Call this function before a guest receives a
    /// handle. Adds no event to the trace if the access mode stays the same.
    pub(crate) fn rebind(
        mut self,
        database: Option<Arc<Database>>,
        terms: TransactionOptions,
        trace: &mut Trace,
    ) -> Bound {
        if self.access() == terms.access {
            if let Some(session) = self.session() {
                session.redirect(database, terms);
            }
            return self;
        }
        match self {
            Bound::Unbound(unbound) => unbound.start(database, terms, trace),
            Bound::ReadOnly(_) | Bound::Started(_) => {
                trace.mark(Event::Clear);
                Unbound::default().start(database, terms, trace)
            }
        }
    }
}
