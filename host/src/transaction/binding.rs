//! What a request is bound to, as types that allow one order only:
//!
//! ```text
//! Unbound -> ReadOnly -> Cleared        (or back to Unbound, where a route asks for more)
//! Unbound -> Started  -> Settled -> Cleared
//! ```
//!
//! Every step takes the value. A commit takes an [`Approval`], a response takes a [`Cleared`]. Dropping one of these
//! anywhere closes the connection, which rolls back. Nothing else in the host ends a transaction.

use std::sync::Arc;

use super::{
    actions::Action,
    session::{Parts, Session},
    trace::{Event, Trace},
    verdict::{Approval, Outcome, Verdict},
};
use crate::{
    database::{
        Access, Connection, Database, Position, Terms,
        error::{DbError, Kind},
    },
    telemetry::metrics::{self, Resolution},
};

/// Nothing is started.
#[derive(Debug, Default)]
pub struct Unbound(());

/// Bound, and never committed.
#[derive(Debug)]
pub struct ReadOnly(Session);

/// Bound; ends in a commit or a rollback.
#[derive(Debug)]
pub struct Started(Session);

/// Committed or rolled back, with the actions that are due.
#[derive(Debug)]
pub struct Settled {
    outcome: Outcome,
    actions: Vec<Action>,
    failure: Option<DbError>,
    position: Option<Position>,
    database: Option<Arc<Database>>,
    terms: Terms,
}

/// Over. The request may be answered.
#[derive(Debug)]
pub struct Cleared {
    /// How it ended.
    pub outcome: Outcome,
    /// The position of the commit, where a replica could be behind it.
    pub position: Option<Position>,
}

/// What a request is bound to while its guests run.
#[derive(Debug)]
pub enum Bound {
    /// Nothing.
    Unbound(Unbound),
    /// A reading session.
    ReadOnly(ReadOnly),
    /// A reading and writing session.
    Started(Started),
}

impl Default for Bound {
    fn default() -> Self {
        Bound::Unbound(Unbound::default())
    }
}

impl Unbound {
    /// Binds for an access mode. Costs nothing: the database is touched by the first statement.
    pub fn start(self, database: Option<Arc<Database>>, terms: Terms, trace: &mut Trace) -> Bound {
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

    /// Ends a request that never was bound.
    pub fn clear(self, trace: &mut Trace) -> Cleared {
        trace.mark(Event::Clear);
        Cleared { outcome: Outcome::Nothing, position: None }
    }
}

impl ReadOnly {
    /// Ends it. Whatever a guest did to the session cannot survive the rollback. The answer does not wait for that: it
    /// changes nothing but the connection, which nobody gets before, or who gets it does it.
    pub fn clear(self, trace: &mut Trace) -> Cleared {
        if let Some(connection) = self.0.into_parts().connection.and_then(Connection::hand_over) {
            tokio::spawn(async {
                // Whoever comes in this moment takes it over, too.
                tokio::task::yield_now().await;
                let Some(connection) = connection.hand_over() else { return };
                if let Err(error) = connection.rollback().await {
                    // The connection is closed by now, which does the same.
                    tracing::warn!(%error, "a read-only transaction could not be rolled back");
                }
            });
        }
        Unbound::default().clear(trace)
    }

    /// Rolls back to do everything inside again: on a connection that is made for it with `anew`, else on the primary, since
    /// it was perhaps the replica that was in the way.
    pub async fn retry(self, anew: bool, trace: &mut Trace) -> ReadOnly {
        let Parts { database, terms, connection, .. } = self.0.into_parts();
        if let Some(connection) = connection {
            roll_back(connection).await;
        }
        trace.mark(Event::Retry);
        ReadOnly(Session::new(database, Terms { primary: terms.primary || !anew, anew, ..terms }))
    }
}

impl Started {
    /// The session, for guests.
    pub fn session(&self) -> &Session {
        &self.0
    }

    /// Ends it as the verdict says.
    pub async fn settle(self, verdict: Verdict, trace: &mut Trace) -> Settled {
        match verdict {
            Verdict::Commit(approval) => self.commit(approval, trace).await,
            Verdict::Rollback(_) => self.rollback(trace).await,
        }
    }

    /// Commits. If that fails, nothing is committed, unless the connection was lost while it ran.
    async fn commit(mut self, _: Approval, trace: &mut Trace) -> Settled {
        let recorded = self.0.record_durable_actions(trace).await;
        let open = trace.open(Event::Commit, None);
        let Parts { database, terms, connection, actions } = self.0.into_parts();
        let (outcome, position, failure) = match (recorded, connection) {
            (Err(error), _) => (Outcome::RolledBack, None, Some(error)),
            // Not one statement: nothing to commit.
            (Ok(()), None) => (Outcome::Committed, None, None),
            (Ok(()), Some(connection)) => commit(connection, database.as_deref()).await,
        };
        let (event, actions) = match outcome {
            Outcome::Committed => (Event::Commit, actions.due(true)),
            Outcome::InDoubt => (Event::InDoubt, Vec::new()),
            Outcome::RolledBack | Outcome::Nothing => (Event::Rollback, actions.due(false)),
        };
        trace.close_as(open, event);
        Settled { outcome, actions, failure, position, database, terms }
    }

    /// Rolls back. If that fails, the connection is closed, which does the same.
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

    /// Rolls back to do everything inside again, on a connection that is made for it with `anew`.
    pub async fn retry(self, anew: bool, trace: &mut Trace) -> Started {
        self.rollback(trace).await.retry(anew, trace)
    }
}

/// Rolls back on a connection. If that fails, the connection is closed, which does the same.
async fn roll_back(connection: Connection) {
    if let Err(error) = connection.rollback().await {
        tracing::warn!(%error, "a transaction could not be rolled back; its connection was closed");
    }
}

/// Commits on a connection. What the server did not answer to is asked of it, where it knows the transaction by name.
async fn commit(connection: Connection, database: Option<&Database>) -> (Outcome, Option<Position>, Option<DbError>) {
    let transaction = connection.transaction_id().map(str::to_owned);
    let error = match connection.commit().await {
        Ok(position) => return (Outcome::Committed, position, None),
        Err(error) if error.kind != Kind::Lost => {
            if error.kind == Kind::Conflict {
                metrics::conflict();
            }
            return (Outcome::RolledBack, None, Some(error));
        }
        Err(error) => error,
    };
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
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The database that it was in.
    pub fn database(&self) -> Option<&Arc<Database>> {
        self.database.as_ref()
    }

    /// Why a commit failed.
    pub fn failure(&self) -> Option<&DbError> {
        self.failure.as_ref()
    }

    /// The actions that are due, once.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Ends it.
    pub fn clear(self, trace: &mut Trace) -> Cleared {
        trace.mark(Event::Clear);
        Cleared { outcome: self.outcome, position: self.position }
    }

    /// Whether another transaction was in the way of the commit.
    pub fn had_conflict(&self) -> bool {
        self.failure.as_ref().is_some_and(|error| error.kind == Kind::Conflict)
    }

    /// Starts over to do everything inside again. What was registered for this end is forgotten.
    pub fn retry(self, anew: bool, trace: &mut Trace) -> Started {
        trace.mark(Event::Retry);
        Started(Session::new(self.database, Terms { anew, ..self.terms }))
    }
}

impl Bound {
    /// The session, where there is one.
    pub fn session(&mut self) -> Option<&mut Session> {
        match self {
            Bound::Unbound(_) => None,
            Bound::ReadOnly(ReadOnly(session)) | Bound::Started(Started(session)) => Some(session),
        }
    }

    /// The access mode.
    pub fn access(&self) -> Access {
        match self {
            Bound::Unbound(_) => Access::None,
            Bound::ReadOnly(_) => Access::ReadOnly,
            Bound::Started(_) => Access::ReadWrite,
        }
    }

    /// Binds for something else, before any guest had a handle. Where the access mode is the same no step is taken.
    pub fn rebind(mut self, database: Option<Arc<Database>>, terms: Terms, trace: &mut Trace) -> Bound {
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
