//! The database as the guests of one request use it: the lazy begin, the doom of a failed statement, savepoints and
//! registered actions. Ends nothing; that is for the binding.

use std::sync::Arc;

use super::{
    actions::{Action, Actions},
    trace::{Event, Trace},
};
use crate::{
    database::{
        Access, Connection, Database, Statement, Terms,
        error::{DbError, Kind, Stale},
        outbox,
        value::{Execution, Rows, Value},
    },
    telemetry::metrics,
};

/// The most savepoints that may be open at a time.
const MAX_SAVEPOINTS: usize = 16;

/// A bound request's way to the database.
#[derive(Debug)]
pub struct Session {
    database: Option<Arc<Database>>,
    terms: Terms,
    connection: Option<Connection>,
    savepoints: Vec<SavepointState>,
    doom: Option<Doom>,
    marked: bool,
    actions: Actions,
    /// A statement failed because it was prepared before the schema changed, whatever the guest made of that.
    stale: bool,
    /// Savepoints ever opened, so that a stale one is told from a new one at the same level.
    opened: u64,
}

/// What is left of a session when its guests are done.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) database: Option<Arc<Database>>,
    pub(super) terms: Terms,
    pub(super) connection: Option<Connection>,
    pub(super) actions: Actions,
}

/// A failed statement that nobody went back before.
#[derive(Debug)]
struct Doom {
    error: DbError,
    /// Savepoints that were open when it failed; rolling one of these back lifts the doom.
    depth: usize,
}

#[derive(Debug)]
struct SavepointState {
    id: u64,
    /// Actions that were registered before.
    actions: usize,
}

/// An open savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavepointId(u64);

impl Session {
    pub(super) fn new(database: Option<Arc<Database>>, terms: Terms) -> Self {
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

    /// All rows of a query.
    pub async fn query(&mut self, trace: &mut Trace, statement: Statement) -> Result<Rows, DbError> {
        let connection = self.speak(trace).await?;
        let result = connection.query(statement).await;
        self.note(result)
    }

    /// The values of the first row.
    pub async fn query_one(&mut self, trace: &mut Trace, statement: Statement) -> Result<Option<Vec<Value>>, DbError> {
        let connection = self.speak(trace).await?;
        let result = connection.query_one(statement).await;
        self.note(result)
    }

    /// All rows as JSON text.
    pub async fn query_json(&mut self, trace: &mut Trace, statement: Statement) -> Result<String, DbError> {
        let connection = self.speak(trace).await?;
        let result = connection.query_json(statement).await;
        self.note(result)
    }

    /// Runs a statement.
    pub async fn execute(&mut self, trace: &mut Trace, statement: Statement) -> Result<Execution, DbError> {
        let connection = self.speak(trace).await?;
        let result = connection.execute(statement).await;
        self.note(result)
    }

    /// Opens a savepoint.
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

    /// Keeps what was done since a savepoint. One that is closed already, by one around it, is left alone.
    pub async fn release(&mut self, savepoint: SavepointId) -> Result<(), DbError> {
        let Some(level) = self.level(savepoint) else { return Ok(()) };
        // A doomed transaction stays doomed: on some engines not even this statement would be accepted now.
        if let Some(doom) = &mut self.doom {
            doom.depth = doom.depth.min(level);
        } else if let Some(connection) = &mut self.connection {
            let result = connection.release(level).await;
            self.note(result)?;
        }
        self.savepoints.truncate(level);
        Ok(())
    }

    /// Undoes everything since a savepoint was opened, the doom of what failed since included.
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

    /// Asks for a rollback.
    pub fn mark_rollback(&mut self) {
        self.marked = true;
    }

    /// Whether a rollback was asked for.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// The failed statement that dooms this transaction.
    pub fn doom(&self) -> Option<&DbError> {
        self.doom.as_ref().map(|doom| &doom.error)
    }

    /// Whether another transaction was in the way.
    pub fn had_conflict(&self) -> bool {
        self.doom().is_some_and(|error| error.kind == Kind::Conflict)
    }

    /// Whether a statement failed that would not on a new connection, because it was prepared before the schema changed. To
    /// find out may end the transaction, where a failed statement dooms it.
    pub async fn is_stale(&mut self) -> bool {
        if !self.stale
            && let (Some(connection), Some(doom)) = (&mut self.connection, &self.doom)
        {
            self.stale = connection.confirm_stale(&doom.error).await;
        }
        self.stale
    }

    /// What the transaction is to be.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Leads somewhere else, before the first statement.
    pub(super) fn redirect(&mut self, database: Option<Arc<Database>>, terms: Terms) {
        (self.database, self.terms) = (database, terms);
    }

    /// Writes the actions that must not be lost into the transaction, which begins for them if it has not.
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

    /// The connection, for a guest's statement.
    async fn speak(&mut self, trace: &mut Trace) -> Result<&mut Connection, DbError> {
        metrics::statement(self.terms.access == Access::ReadWrite);
        self.ready(trace).await
    }

    /// The connection, with the transaction begun.
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

    /// Remembers a failure: it dooms the transaction.
    fn note<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error) = &result {
            if error.kind == Kind::Conflict {
                metrics::conflict();
            }
            self.stale |= error.stale == Stale::Yes;
            let depth = self.savepoints.len();
            // What failed first is the cause of what fails after it.
            self.doom.get_or_insert_with(|| Doom { error: error.clone(), depth });
        }
        result
    }

    fn refusal(&self) -> DbError {
        let cause = self.doom().map_or_else(String::new, |error| error.message.clone());
        DbError::new(Kind::Other, format!("the transaction is doomed by a failed statement: {cause}"))
    }
}
