//! One connection in a transaction: guests' statements with the barrier up, the host's with it down.

use std::{mem, sync::Arc};

use deadpool::managed::Object;
use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Connection as _, Either, Executor, SqlSafeStr, Statement as _, sqlite::SqliteConnection};

use super::{Database, Opener, Slot, barrier::Speaker, failed, values};
use crate::database::{
    Access, Dialect, Limits,
    error::{DbError, Kind},
    guard::{self, Verb},
    sink::{self, Run, Sink},
    value::{Column, Execution, Value},
    waiting,
};

/// A connection in a transaction. Dropped before [`Connection::commit`] or [`Connection::rollback`] it is closed, which
/// rolls back; it never returns to the pool in a state that is not known.
#[derive(Debug)]
pub(crate) struct Connection {
    slot: Option<Object<Opener>>,
    database: Arc<Database>,
    access: Access,
    in_transaction: bool,
    /// The transaction before is still open. It has only read, and ends in front of this one.
    inherits: bool,
    /// Something may have been written.
    wrote: bool,
    /// A statement was sent and its end not seen.
    running: bool,
}

impl Connection {
    /// A transaction on a connection from the pool. It begins with the first statement, in the same message to the
    /// connection's thread.
    pub(super) fn new(mut slot: Object<Opener>, database: Arc<Database>, access: Access) -> Self {
        let inherits = mem::take(&mut slot.is_open);
        Self { slot: Some(slot), database, access, in_transaction: false, inherits, wrote: false, running: false }
    }

    /// What begins the transaction.
    fn opening(&self) -> &Arc<str> {
        match self.access {
            Access::ReadWrite => &self.database.host.begin_writing,
            Access::ReadOnly | Access::None => &self.database.host.begin_reading,
        }
    }

    /// Begins for a statement of the host's own.
    async fn begin(&mut self) -> Result<(), DbError> {
        if !self.in_transaction {
            self.disinherit().await?;
            self.host(self.opening().clone()).await?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Ends the transaction before.
    async fn disinherit(&mut self) -> Result<(), DbError> {
        if self.inherits {
            self.host(self.database.host.commit.clone()).await?;
            self.inherits = false;
        }
        Ok(())
    }

    /// What holds for guests' statements.
    pub(in crate::database) fn limits(&self) -> Limits {
        self.database.limits
    }

    /// Opens a savepoint at a level, 0 for the outermost.
    pub(crate) async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        self.begin().await?;
        self.host(self.database.host.savepoint("SAVEPOINT", level)).await
    }

    /// Closes a savepoint and those inside it, and keeps what was done since.
    pub(crate) async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.database.host.savepoint("RELEASE", level)).await
    }

    /// Undoes everything since a savepoint was opened, and closes it and those inside it.
    pub(crate) async fn rollback_to(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.database.host.savepoint("ROLLBACK TO", level)).await?;
        self.release(level).await
    }

    /// Runs a statement of the host's own in this transaction.
    pub(in crate::database) async fn execute_as_host(
        &mut self,
        sql: String,
        params: Vec<Value>,
    ) -> Result<Execution, DbError> {
        let arguments = values::bind(params)?;
        let sql = self.database.host.sign(&sql);
        self.begin().await?;
        self.wrote = true;
        let connection = self.connection()?;
        let done = sqlx::query_with(sql, arguments).execute(connection).await.map_err(failed)?;
        Ok(Execution { rows_affected: done.rows_affected(), last_insert_id: None })
    }

    /// Runs a query of the host's own in this transaction.
    pub(crate) async fn query_as_host(&mut self, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let arguments = values::bind(params)?;
        let sql = self.database.host.sign(&sql);
        self.begin().await?;
        let connection = self.connection()?;
        let rows = sqlx::query_with(sql, arguments).fetch_all(connection).await.map_err(failed)?;
        rows.iter().map(values::decode_row).collect()
    }

    /// Commits, gives the connection back, and waits until the disk has it.
    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        self.end(self.database.host.commit.clone()).await?;
        let (wrote, wal) = (self.wrote, self.database.wal.clone());
        drop(self);
        if wrote { wal.sync().await } else { Ok(()) }
    }

    /// Rolls back and gives the connection back.
    pub(crate) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A guest's statement was cut off, and may still be running: closing the connection ends both.
            return Ok(());
        }
        self.end(self.database.host.rollback.clone()).await
    }

    async fn end(&mut self, sql: Arc<str>) -> Result<(), DbError> {
        if self.in_transaction {
            self.host(sql).await?;
            self.in_transaction = false;
        }
        self.disinherit().await
    }

    /// Leaves the end of a reading transaction to somebody who waits for the connection: it costs them nothing, in the
    /// message that begins theirs. Gives it back if nobody waits.
    pub(in crate::database) fn hand_over(mut self) -> Option<Self> {
        let is_in_order = self.access == Access::ReadOnly && !self.running;
        let slot = self.slot.as_mut().filter(|slot| is_in_order && waiting(slot) > 0);
        let Some(slot) = slot else { return Some(self) };
        slot.is_open = mem::take(&mut self.in_transaction) | mem::take(&mut self.inherits);
        None
    }

    /// Runs one of the host's statements.
    async fn host(&mut self, sql: Arc<str>) -> Result<(), DbError> {
        self.running = true;
        let connection = self.connection()?;
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map_err(failed)?;
        self.running = false;
        Ok(())
    }

    /// Runs a guest's statement with the barrier up.
    pub(in crate::database) async fn guest(
        &mut self,
        sql: String,
        params: Vec<Value>,
        sink: &mut Sink<'_>,
    ) -> Result<Execution, DbError> {
        let limits = self.database.limits;
        let checked = guard::check(Dialect::Sqlite, &sql, &params, self.access)?;
        let shown = sink::shown(&params, limits);
        let arguments = values::bind(params)?;
        let speaker = if self.access == Access::ReadWrite { Speaker::Writer } else { Speaker::Reader };
        let mut run = Run::new(sink, limits, checked.verb);
        let sql = values::numbered(sql, &checked.placeholders);
        // How many statements of the host stand in front.
        let mut leading = if self.in_transaction { 0 } else { 1 + u8::from(self.inherits) };
        // The end of the line ends the comment that each of them ends in.
        let text: Arc<str> = match leading {
            0 => sql.as_str().into(),
            1 => format!("{}\n;{sql}", self.opening()).into(),
            _ => format!("{}\n;{}\n;{sql}", self.database.host.commit, self.opening()).into(),
        };

        self.running = true;
        self.wrote |= checked.verb != Verb::Query;
        let slot = self.slot()?;
        slot.barrier.admit(speaker, limits.statement_timeout, leading);
        let result = {
            let mut stream =
                (&mut slot.connection).fetch_many(sqlx::query_with(AssertSqlSafe(text.clone()), arguments));
            loop {
                match stream.next().await {
                    None => break run.end(),
                    Some(Err(error)) => break Err(failed(error)),
                    Some(Ok(Either::Left(_))) if leading > 0 => leading -= 1,
                    Some(Ok(Either::Left(done))) => run.did(done.rows_affected(), Some(done.last_insert_rowid())),
                    Some(Ok(Either::Right(row))) => {
                        let columns = || values::columns(&row);
                        if let Err(error) = run.row(columns, values::names(&row), values::decode_each(&row)) {
                            break Err(error);
                        }
                    }
                }
            }
        };
        if limits.echo {
            run.echo(&sql, shown.as_deref());
        }
        (self.in_transaction, self.inherits) = (leading == 0, leading > 1);
        let slot = self.slot()?;
        if result.is_err() {
            // Perhaps cut off in the middle: the connection's thread stops stepping before it answers this.
            slot.connection.ping().await.map_err(failed)?;
        }
        if slot.barrier.transaction_ended() {
            // `running` stays set: the connection will be closed.
            let ended = || DbError::new(Kind::Other, "the statement ended the transaction");
            return Err(result.err().unwrap_or_else(ended));
        }
        slot.barrier.dismiss();
        // Where it could not even begin, but for somebody who was in the way, nobody knows what is wrong with it.
        let is_known = leading == 0 || result.as_ref().is_err_and(|error| error.kind == Kind::Conflict);
        self.running = !is_known;
        result.map_err(|error| self.in_context(error))?;
        if run.sink.lacks_columns() {
            run.sink.columns(self.describe(text).await?);
        }
        Ok(run.done)
    }

    /// The authorizer only says "not authorized"; which handle was used tells what that means.
    fn in_context(&self, error: DbError) -> DbError {
        match error.kind {
            Kind::Forbidden if self.access != Access::ReadWrite => DbError {
                kind: Kind::ReadOnly,
                message: format!("{}: this handle only reads, and only the application's tables", error.message),
                ..error
            },
            _ => error,
        }
    }

    /// The columns of a query that returned no row, by the very text that was run.
    async fn describe(&mut self, sql: Arc<str>) -> Result<Vec<Column>, DbError> {
        let slot = self.slot()?;
        // Compiled a moment ago, with the barrier up, and found in the driver's cache. What begins has no columns.
        let statement = (&mut slot.connection).prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(failed)?;
        Ok(statement.columns().iter().map(values::column).collect())
    }

    fn slot(&mut self) -> Result<&mut Slot, DbError> {
        self.slot.as_deref_mut().ok_or_else(|| DbError::new(Kind::Lost, "the connection is gone"))
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, DbError> {
        Ok(&mut self.slot()?.connection)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take()
            && (self.in_transaction || self.inherits || self.running)
        {
            slot.barrier.interrupt();
            // Taken out of the pool, which opens another when it needs one; dropping it closes it.
            drop(Object::take(slot));
        }
    }
}
