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
    session::Session,
    trace::{Event, Trace},
    verdict::{Approval, Outcome, Verdict},
};
use crate::database::{
    Access, Database,
    error::{DbError, Kind},
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
}

/// Over. The request may be answered.
#[derive(Debug)]
pub struct Cleared {
    /// How it ended.
    pub outcome: Outcome,
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
    pub fn start(self, access: Access, database: Option<Arc<Database>>, trace: &mut Trace) -> Bound {
        match access {
            Access::None => Bound::Unbound(self),
            Access::ReadOnly => {
                trace.mark(Event::StartReadOnly);
                Bound::ReadOnly(ReadOnly(Session::new(database, access)))
            }
            Access::ReadWrite => {
                trace.mark(Event::Start);
                Bound::Started(Started(Session::new(database, access)))
            }
        }
    }

    /// Ends a request that never was bound.
    pub fn clear(self, trace: &mut Trace) -> Cleared {
        trace.mark(Event::Clear);
        Cleared { outcome: Outcome::Nothing }
    }
}

impl ReadOnly {
    /// Ends it. Whatever a guest did to the session cannot survive the rollback.
    pub async fn clear(self, trace: &mut Trace) -> Cleared {
        if let (Some(connection), _) = self.0.into_parts()
            && let Err(error) = connection.rollback().await
        {
            // The connection is closed by now, which does the same.
            tracing::warn!(%error, "a read-only transaction could not be rolled back");
        }
        Unbound::default().clear(trace)
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
        let (connection, actions) = self.0.into_parts();
        let (outcome, failure) = match (recorded, connection) {
            (Err(error), _) => (Outcome::RolledBack, Some(error)),
            // Not one statement: nothing to commit.
            (Ok(()), None) => (Outcome::Committed, None),
            (Ok(()), Some(connection)) => match connection.commit().await {
                Ok(()) => (Outcome::Committed, None),
                Err(error) if error.kind == Kind::Lost => (Outcome::InDoubt, Some(error)),
                Err(error) => (Outcome::RolledBack, Some(error)),
            },
        };
        let (event, actions) = match outcome {
            Outcome::Committed => (Event::Commit, actions.due(true)),
            Outcome::InDoubt => (Event::InDoubt, Vec::new()),
            Outcome::RolledBack | Outcome::Nothing => (Event::Rollback, actions.due(false)),
        };
        trace.close_as(open, event);
        Settled { outcome, actions, failure }
    }

    /// Rolls back. If that fails, the connection is closed, which does the same.
    async fn rollback(self, trace: &mut Trace) -> Settled {
        let (connection, actions) = self.0.into_parts();
        let open = trace.open(Event::Rollback, None);
        if let Some(connection) = connection
            && let Err(error) = connection.rollback().await
        {
            tracing::warn!(%error, "a transaction could not be rolled back; its connection was closed");
        }
        trace.close(open);
        Settled { outcome: Outcome::RolledBack, actions: actions.due(false), failure: None }
    }

    /// Rolls back to do everything inside again.
    pub async fn retry(self, database: Option<Arc<Database>>, trace: &mut Trace) -> Started {
        drop(self.rollback(trace).await);
        trace.mark(Event::Retry);
        Started(Session::new(database, Access::ReadWrite))
    }
}

impl Settled {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
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
        Cleared { outcome: self.outcome }
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

    /// Binds for another access mode, before any guest had a handle. Where the mode is the same nothing happens.
    pub fn rebind(self, access: Access, database: Option<Arc<Database>>, trace: &mut Trace) -> Bound {
        match self {
            bound if bound.access() == access => bound,
            Bound::Unbound(unbound) => unbound.start(access, database, trace),
            Bound::ReadOnly(_) | Bound::Started(_) => {
                trace.mark(Event::Clear);
                Unbound::default().start(access, database, trace)
            }
        }
    }
}
