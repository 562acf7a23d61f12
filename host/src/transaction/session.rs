//! The database session of one request: begins the transaction with the first statement, and tracks savepoints and
//! registered actions. A failed statement dooms the transaction: further statements fail, and the transaction is rolled
//! back, unless a guest rolls back to an earlier savepoint. Only [`binding`](super::binding) ends the transaction.

use std::sync::Arc;

use super::{
    actions::{Action, Actions},
    trace::{Event, Trace},
};
use crate::{
    config::Access,
    database::{Connection, Database, TransactionOptions},
    outbox,
    sql::{
        Sink, Statement,
        error::{DbError, Kind, Stale},
        value::Execution,
    },
    telemetry::metrics,
};

/// Maximum number of savepoints that may be open at a time.
const MAX_SAVEPOINTS: usize = 16;

/// The database session of a bound request.
#[derive(Debug)]
pub struct Session {
    database: Option<Arc<Database>>,
    terms: TransactionOptions,
    connection: Option<Connection>,
    savepoints: Vec<SavepointState>,
    doom: Option<Doom>,
    marked: bool,
    actions: Actions,
    /// Whether a statement failed because it was prepared before the schema changed, even if the guest handled the
    /// error.
    stale: bool,
    /// Number of savepoints opened so far, which is also the id of the last savepoint. An id is never reused, so a
    /// closed savepoint and a new savepoint at the same level have different ids.
    opened: u64,
}

/// Parts of a session that are needed to end its transaction.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) database: Option<Arc<Database>>,
    pub(super) terms: TransactionOptions,
    pub(super) connection: Option<Connection>,
    pub(super) actions: Actions,
}

/// The failed statement that dooms the transaction, until a rollback to an earlier savepoint lifts the doom.
#[derive(Debug)]
struct Doom {
    error: DbError,
    /// Number of savepoints that were open when the statement failed. A rollback to one of them lifts the doom.
    depth: usize,
}

#[derive(Debug)]
struct SavepointState {
    id: u64,
    /// Number of actions registered before the savepoint.
    actions: usize,
}

/// Id of a savepoint, unique within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavepointId(u64);

impl Session {
    pub(super) fn new(database: Option<Arc<Database>>, terms: TransactionOptions) -> Self {
        Self {
            database,
            terms,
            connection: None,
            savepoints: Vec::new(),
            doom: None,
            marked: false,
            actions: Actions::default(),
            stale: false,
            opened: 0,
        }
    }

    /// Runs a guest's statement. Its rows go to `sink`.
    pub async fn run(&mut self, trace: &mut Trace, statement: Statement, sink: Sink<'_>) -> Result<Execution, DbError> {
        metrics::statement(self.terms.access == Access::ReadWrite);
        let result = self.ready(trace).await?.run(statement, sink).await;
        self.note(result)
    }

    /// Opens a savepoint. At most 16 may be open at a time.
    pub async fn savepoint(&mut self, trace: &mut Trace) -> Result<SavepointId, DbError> {
        if self.savepoints.len() >= MAX_SAVEPOINTS {
            let message = format!("at most {MAX_SAVEPOINTS} savepoints may be open at a time");
            return Err(DbError::new(Kind::Limit, message));
        }
        let level = self.savepoints.len();
        let result = self.ready(trace).await?.savepoint(level).await;
        self.note(result)?;
        self.opened += 1;
        self.savepoints.push(SavepointState { id: self.opened, actions: self.actions.count() });
        Ok(SavepointId(self.opened))
    }

    /// Closes a savepoint and keeps the changes made since. Does nothing if the savepoint is closed already, for
    /// example because an outer savepoint was closed.
    pub async fn release(&mut self, savepoint: SavepointId) -> Result<(), DbError> {
        let Some(level) = self.level(savepoint) else { return Ok(()) };
        // A doomed transaction stays doomed. Some engines reject even a RELEASE in a doomed transaction, so send
        // nothing.
        if let Some(doom) = &mut self.doom {
            doom.depth = doom.depth.min(level);
        } else if let Some(connection) = &mut self.connection {
            let result = connection.release(level).await;
            self.note(result)?;
        }
        self.savepoints.truncate(level);
        Ok(())
    }

    /// Undoes all changes since a savepoint was opened, and discards the actions registered since. If a statement
    /// failed since, it no longer dooms the transaction.
    pub async fn rollback_to(&mut self, savepoint: SavepointId) -> Result<(), DbError> {
        let (Some(level), Some(connection)) = (self.level(savepoint), &mut self.connection) else {
            return Err(DbError::new(Kind::Other, "this savepoint is closed already"));
        };
        if self.doom.as_ref().is_some_and(|doom| doom.depth <= level) {
            return Err(self.refusal());
        }
        let result = connection.rollback_to(level).await;
        self.note(result)?;
        self.doom = None;
        if let Some(state) = self.savepoints.get(level) {
            self.actions.truncate(state.actions);
        }
        self.savepoints.truncate(level);
        Ok(())
    }

    /// Registers an action.
    pub fn register(&mut self, action: Action) -> Result<(), DbError> {
        self.actions.register(action)
    }

    /// Marks the transaction for a rollback, at the request of a guest.
    pub fn mark_rollback(&mut self) {
        self.marked = true;
    }

    /// Returns whether a guest has requested a rollback.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Returns the error of the statement that dooms this transaction.
    pub fn doom(&self) -> Option<&DbError> {
        self.doom.as_ref().map(|doom| &doom.error)
    }

    /// Returns whether a conflict with another transaction dooms this one.
    pub fn had_conflict(&self) -> bool {
        self.doom().is_some_and(|error| error.kind == Kind::Conflict)
    }

    /// Returns whether a statement failed because it was prepared before the schema changed, so that it may succeed on
    /// a new connection. The check may end a doomed transaction.
    pub async fn is_stale(&mut self) -> bool {
        if !self.stale
            && let (Some(connection), Some(doom)) = (&mut self.connection, &self.doom)
        {
            self.stale = connection.confirm_stale(&doom.error).await;
        }
        self.stale
    }

    /// Changes the database and the options of a session that has sent no statement yet.
    pub(super) fn redirect(&mut self, database: Option<Arc<Database>>, terms: TransactionOptions) {
        (self.database, self.terms) = (database, terms);
    }

    /// Inserts the durable actions into the outbox, inside the transaction. If there are durable actions and no
    /// statement has begun the transaction, begins the transaction.
    pub(super) async fn record_durable_actions(&mut self, trace: &mut Trace) -> Result<(), DbError> {
        let entries: Vec<_> = self.actions.durable().map(Action::to_entry).collect();
        for entry in entries {
            let table = self.database.as_ref().map_or_else(String::new, |database| database.outbox().to_owned());
            outbox::record(self.ready(trace).await?, &table, &entry).await?;
        }
        Ok(())
    }

    pub(super) fn into_parts(self) -> Parts {
        Parts { database: self.database, terms: self.terms, connection: self.connection, actions: self.actions }
    }

    fn level(&self, savepoint: SavepointId) -> Option<usize> {
        self.savepoints.iter().position(|state| state.id == savepoint.0)
    }

    /// Returns the connection. The first call begins the transaction.
    async fn ready(&mut self, trace: &mut Trace) -> Result<&mut Connection, DbError> {
        if self.doom.is_some() {
            return Err(self.refusal());
        }
        if self.connection.is_none() {
            let open = trace.open(Event::Begin, None);
            let begun = match &self.database {
                Some(database) => database.begin(&self.terms).await,
                None => Err(DbError::new(Kind::Other, "no [database] is configured")),
            };
            trace.close(open);
            let begun = self.note(begun)?;
            self.connection = Some(begun);
        }
        self.connection.as_mut().ok_or_else(|| DbError::new(Kind::Lost, "the connection is gone"))
    }

    /// Returns `result` unchanged. An error dooms the transaction.
    fn note<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error) = &result {
            if error.kind == Kind::Conflict {
                metrics::conflict();
            }
            self.stale |= error.stale == Stale::Yes;
            let depth = self.savepoints.len();
            // The first error is the cause of later ones, so keep it.
            self.doom.get_or_insert_with(|| Doom { error: error.clone(), depth });
        }
        result
    }

    fn refusal(&self) -> DbError {
        let cause = self.doom().map_or_else(String::new, |error| error.message.clone());
        DbError::new(Kind::Other, format!("the transaction is doomed by a failed statement: {cause}"))
    }
}
