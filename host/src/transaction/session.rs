//! The database session of one request: begins the transaction with the first statement, and tracks savepoints and
//! registered actions. A failed statement dooms the transaction: further statements fail, and the transaction is rolled
//! back, unless a guest rolls back to an earlier savepoint. Only [`binding`](super::binding) ends the transaction.

use std::sync::Arc;

use super::{
    actions::{Action, Actions},
    trace::{Event, Trace},
};
use crate::{
    config::{Access, Dialect},
    database::{Connection, Database, Streams, TransactionOptions},
    gate::SavepointStatement,
    outbox::{self, Lease},
    sql::{
        Sink, Statement,
        error::{DbError, Kind, Stale, statement_excerpt},
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
    /// Whether the session waits for a connection, or was cancelled while it waited.
    is_connecting: bool,
    savepoints: Vec<SavepointState>,
    /// The last statement that failed, even if a guest rolled back to an earlier savepoint.
    failure: Option<DbError>,
    /// Number of savepoints that were open when `failure` doomed the transaction. A rollback to one of them lifts the
    /// doom. `None` if the transaction is not doomed.
    doomed_at: Option<usize>,
    marked: bool,
    actions: Actions,
    /// Whether a statement failed because it was prepared before the schema changed, even if the guest handled the
    /// error.
    stale: bool,
    /// Whether the result of a query that was read in one go was too large, and can be streamed instead.
    outgrown: bool,
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

#[derive(Debug)]
struct SavepointState {
    id: u64,
    /// Name of a savepoint that a guest opened by a statement.
    name: Option<Box<str>>,
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
            is_connecting: false,
            savepoints: Vec::new(),
            failure: None,
            doomed_at: None,
            marked: false,
            actions: Actions::default(),
            stale: false,
            outgrown: false,
            opened: 0,
        }
    }

    /// Returns the dialect of the database. Without a database, every statement fails.
    pub fn dialect(&self) -> Option<Dialect> {
        self.database.as_ref().map(|database| database.dialect())
    }

    /// Returns the session of an action. `depth` is [`Action::depth`].
    pub(super) fn of_action(database: Option<Arc<Database>>, terms: TransactionOptions, depth: u8) -> Self {
        Self { actions: Actions::of_action(depth), ..Self::new(database, terms) }
    }

    /// Runs a guest's statement. Its rows go to `sink`.
    pub async fn run(&mut self, trace: &mut Trace, statement: Statement, sink: Sink<'_>) -> Result<Execution, DbError> {
        metrics::statement(self.terms.access == Access::ReadWrite);
        let sent = trace.begin_statement(&statement);
        let result = self.run_checked(trace, statement, sink).await;
        trace.end_statement(sent, result.as_ref().map(|done| done.rows_affected));
        result
    }

    async fn run_checked(
        &mut self,
        trace: &mut Trace,
        statement: Statement,
        sink: Sink<'_>,
    ) -> Result<Execution, DbError> {
        if let Some(statement) = self.savepoint_statement(&statement) {
            self.run_savepoint_statement(trace, statement).await?;
            return Ok(Execution { rows_affected: 0, last_insert_id: None });
        }
        let result = self.ready(trace).await?.run(statement, sink).await;
        self.note(result)
    }

    /// Returns the statement about a savepoint in a guest's statement. Only a session that may write has savepoints.
    fn savepoint_statement(&self, statement: &Statement) -> Option<SavepointStatement> {
        let may_write = self.terms.access == Access::ReadWrite && statement.params.is_empty();
        may_write.then(|| SavepointStatement::parse(self.dialect()?, &statement.sql))?
    }

    async fn run_savepoint_statement(
        &mut self,
        trace: &mut Trace,
        statement: SavepointStatement,
    ) -> Result<(), DbError> {
        match statement {
            SavepointStatement::Open(name) => self.savepoint(trace, Some(name)).await.map(drop),
            SavepointStatement::Release(name) => {
                let savepoint = self.named(&name)?;
                self.release_explicitly(savepoint).await
            }
            SavepointStatement::RollbackTo(name) => {
                let savepoint = self.named(&name)?;
                self.rollback_to(savepoint, true).await
            }
        }
    }

    /// Returns the last opened savepoint with this name.
    fn named(&mut self, name: &str) -> Result<SavepointId, DbError> {
        let found = self.savepoints.iter().rev().find(|state| state.name.as_deref() == Some(name));
        let id = found.map(|state| SavepointId(state.id));
        let error = || DbError::new(Kind::Other, format!("there is no open savepoint `{name}`"));
        self.note(id.ok_or_else(error))
    }

    /// Opens a savepoint. At most 16 may be open at a time.
    pub async fn savepoint(&mut self, trace: &mut Trace, name: Option<Box<str>>) -> Result<SavepointId, DbError> {
        if self.savepoints.len() >= MAX_SAVEPOINTS {
            let message = format!("at most {MAX_SAVEPOINTS} savepoints may be open at a time");
            return Err(DbError::new(Kind::Limit, message));
        }
        let level = self.savepoints.len();
        let result = self.ready(trace).await?.savepoint(level).await;
        self.note(result)?;
        self.opened += 1;
        self.savepoints.push(SavepointState { id: self.opened, name, actions: self.actions.count() });
        Ok(SavepointId(self.opened))
    }

    /// Closes a savepoint and keeps the changes made since. Does nothing if the savepoint is closed already, for
    /// example because an outer savepoint was closed.
    pub async fn release(&mut self, savepoint: SavepointId) -> Result<(), DbError> {
        let Some(level) = self.level(savepoint) else { return Ok(()) };
        // A doomed transaction stays doomed. Some engines reject even a RELEASE in a doomed transaction, so send
        // nothing.
        if let Some(depth) = &mut self.doomed_at {
            *depth = level.min(*depth);
        } else if let Some(connection) = &mut self.connection {
            let result = connection.release(level).await;
            self.note(result)?;
        }
        self.savepoints.truncate(level);
        Ok(())
    }

    /// Closes a savepoint like [`release`](Self::release), but fails in a doomed transaction, and keeps the savepoint
    /// open, so that the guest can still roll back to it.
    pub async fn release_explicitly(&mut self, savepoint: SavepointId) -> Result<(), DbError> {
        match self.doomed_at {
            Some(_) => Err(self.refusal()),
            None => self.release(savepoint).await,
        }
    }

    /// Undoes all changes since a savepoint was opened, and discards the actions registered since. If a statement
    /// failed since, it no longer dooms the transaction. Closes the savepoints opened since, and unless `keep` also
    /// the savepoint itself.
    pub async fn rollback_to(&mut self, savepoint: SavepointId, keep: bool) -> Result<(), DbError> {
        let (Some(level), Some(connection)) = (self.level(savepoint), &mut self.connection) else {
            return Err(DbError::new(Kind::Other, "this savepoint is closed already"));
        };
        if self.doomed_at.is_some_and(|depth| depth <= level) {
            return Err(self.refusal());
        }
        let result = connection.rollback_to(level, keep).await;
        self.note(result)?;
        self.doomed_at = None;
        if let Some(state) = self.savepoints.get(level) {
            self.actions.truncate(state.actions);
        }
        self.savepoints.truncate(level + usize::from(keep));
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

    /// Begins the transaction, unless it has begun.
    pub(crate) async fn begin(&mut self, trace: &mut Trace) -> Result<(), DbError> {
        self.ready(trace).await.map(drop)
    }

    /// Returns the streams of the session's database.
    pub(crate) fn streams(&self) -> Option<&Streams> {
        self.database.as_ref().map(|database| database.streams())
    }

    /// Records that the result of a query was too large to be read in one go, so that everything inside the transaction
    /// can run again and stream the result.
    pub(crate) fn outgrow(&mut self) {
        self.outgrown = true;
    }

    /// Returns whether [`Session::outgrow`] was called.
    pub(crate) fn is_outgrown(&self) -> bool {
        self.outgrown
    }

    /// Returns a session with the same options, for statements that run while this session streams rows.
    pub(super) fn companion(&self) -> Self {
        Self::new(self.database.clone(), self.terms.clone())
    }

    /// Returns whether the transaction has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.connection.is_some()
    }

    /// Returns whether a guest has requested a rollback.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Returns the error of the statement that dooms this transaction.
    pub fn doom(&self) -> Option<&DbError> {
        self.failure.as_ref().filter(|_| self.doomed_at.is_some())
    }

    /// Describes, for the log, the likely reason why the request fails: the statement that dooms the transaction, else
    /// the statement or the connection that the session waits for, else the last statement that failed.
    pub(crate) fn report(&self) -> Option<String> {
        let failed = |error: &DbError| format!("last database error: {}", error.report());
        let running = || {
            let sql = self.connection.as_ref()?.running()?;
            Some(format!("waiting for the statement `{}`", statement_excerpt(sql)))
        };
        let connecting = || self.is_connecting.then(|| "waiting for a connection to the database".to_owned());
        let report = self.doom().map(failed).or_else(running).or_else(connecting);
        report.or_else(|| self.failure.as_ref().map(failed))
    }

    /// Returns whether a conflict with another transaction dooms this one.
    pub fn had_conflict(&self) -> bool {
        self.doom().is_some_and(|error| error.kind == Kind::Conflict)
    }

    /// Returns whether a statement failed because it was prepared before the schema changed, so that it may succeed on
    /// a new connection. The check may end a doomed transaction.
    pub async fn is_stale(&mut self) -> bool {
        if !self.stale
            && self.doomed_at.is_some()
            && let (Some(connection), Some(error)) = (&mut self.connection, &self.failure)
        {
            self.stale = connection.confirm_stale(error).await;
        }
        self.stale
    }

    /// Changes the database and the options of a session that has sent no statement yet.
    pub(super) fn redirect(&mut self, database: Option<Arc<Database>>, terms: TransactionOptions) {
        (self.database, self.terms) = (database, terms);
    }

    /// Makes the commit delete an action from the outbox.
    pub(super) fn complete(&mut self, lease: Lease) {
        self.actions.completes = Some(lease);
    }

    /// Runs the last statements of the transaction: inserts the durable actions into the outbox, and deletes the action
    /// that runs in this transaction. Begins the transaction if there are such statements and none has begun it.
    pub(super) async fn update_outbox(&mut self, trace: &mut Trace) -> Result<(), DbError> {
        let entries: Vec<_> = self.actions.durable().map(Action::to_entry).collect();
        let completes = self.actions.completes.take();
        if entries.is_empty() && completes.is_none() {
            return Ok(());
        }
        self.ready(trace).await?;
        let (Some(connection), Some(database)) = (&mut self.connection, &self.database) else { return Ok(()) };
        outbox::record(connection, database, entries).await?;
        match completes {
            Some(lease) => outbox::complete(connection, database, &lease).await,
            None => Ok(()),
        }
    }

    pub(super) fn into_parts(self) -> Parts {
        Parts { database: self.database, terms: self.terms, connection: self.connection, actions: self.actions }
    }

    fn level(&self, savepoint: SavepointId) -> Option<usize> {
        self.savepoints.iter().position(|state| state.id == savepoint.0)
    }

    /// Returns the connection. The first call begins the transaction.
    async fn ready(&mut self, trace: &mut Trace) -> Result<&mut Connection, DbError> {
        if self.doomed_at.is_some() {
            return Err(self.refusal());
        }
        if self.connection.is_none() {
            let open = trace.open(Event::Begin, None);
            self.is_connecting = true;
            let begun = match &self.database {
                Some(database) => database.begin(&self.terms).await,
                None => Err(DbError::new(Kind::Other, "no [database] is configured")),
            };
            trace.close(open);
            self.is_connecting = false;
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
            // The first error is the cause of later ones, so keep it.
            if self.doomed_at.is_none() {
                self.doomed_at = Some(self.savepoints.len());
                self.failure = Some(error.clone());
            }
        }
        result
    }

    fn refusal(&self) -> DbError {
        let cause = self.doom().map_or_else(String::new, |error| error.message.clone());
        DbError::new(Kind::Other, format!("the transaction is doomed by a failed statement: {cause}"))
    }
}
