//! One connection in a transaction: guests' statements with the barrier up, the host's with it down.

mod results;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{Object, Pool};
use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor, SqlSafeStr, Statement as _,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};

use self::results::{other_columns, over_budget, take};
use super::{
    barrier::{MARK, Role},
    error::map_error,
    opener::{Opener, PooledConnection},
    shared::Shared,
    values,
};
use crate::{
    config::Access,
    database::{
        hand_over::{OpenTransaction, TakeOver},
        options::{Limits, Mode},
        receiver::{self, GRACE, Receiver},
    },
    gate::{Checked, Verb},
    sql::{
        Sink,
        error::{DbError, Kind},
        value::{Column, Execution, Value},
    },
};

/// How often a statement is compiled anew because the schema has changed.
const MAX_RECOMPILES: usize = 3;

/// A connection in a transaction. Dropped before [`Connection::commit`] or [`Connection::rollback`] it is closed, which
/// rolls back; it never returns to the pool in a state that is not known.
#[derive(Debug)]
pub(crate) struct Connection {
    pooled: Option<Object<Opener>>,
    pool: Pool<Opener>,
    shared: Arc<Shared>,
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
    pub(super) fn new(mut pooled: Object<Opener>, pool: Pool<Opener>, shared: Arc<Shared>, access: Access) -> Self {
        // SQLite begins no transaction behind a COMMIT, so the open one has only read, and `since` does not matter.
        let inherits = pooled.open.take(mode(access), Instant::now()) != TakeOver::Begin;
        pooled.barrier.lend();
        let pooled = Some(pooled);
        Self { pooled, pool, shared, access, in_transaction: false, inherits, wrote: false, running: false }
    }

    /// What begins the transaction.
    fn opening(&self) -> &Arc<str> {
        match self.access {
            Access::ReadWrite => &self.shared.host.begin_writing,
            Access::ReadOnly | Access::None => &self.shared.host.begin_reading,
        }
    }

    /// Begins for a statement of the host's own.
    async fn begin(&mut self) -> Result<(), DbError> {
        if !self.in_transaction {
            self.disinherit().await?;
            self.host(self.opening().clone(), self.patience()).await?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Ends the transaction before.
    async fn disinherit(&mut self) -> Result<(), DbError> {
        if self.inherits {
            self.host(self.shared.host.commit.clone(), self.patience()).await?;
            self.inherits = false;
        }
        Ok(())
    }

    pub(in crate::database) fn limits(&self) -> Limits {
        self.shared.limits
    }

    pub(in crate::database) fn access(&self) -> Access {
        self.access
    }

    /// Opens a savepoint at a level, 0 for the outermost.
    pub(crate) async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        self.begin().await?;
        self.host(self.shared.host.savepoint("SAVEPOINT", level), self.patience()).await
    }

    /// Closes a savepoint and those inside it, and keeps what was done since.
    pub(crate) async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.shared.host.savepoint("RELEASE", level), self.patience()).await
    }

    /// Undoes everything since a savepoint was opened, and closes it and those inside it.
    pub(crate) async fn rollback_to(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.shared.host.savepoint("ROLLBACK TO", level), self.patience()).await?;
        self.release(level).await
    }

    /// Runs a statement of the host in this transaction.
    pub(in crate::database) async fn run_as_host(
        &mut self,
        sql: String,
        params: Vec<Value>,
        mut sink: Sink<'_>,
    ) -> Result<Execution, DbError> {
        let arguments = values::bind(params)?;
        let sql = self.shared.host.sign(&sql);
        self.begin().await?;
        // Statements of the host either change rows or return some.
        self.wrote |= matches!(sink, Sink::Nothing);
        let (rows, rows_affected) = self.host_query(sql, arguments, self.patience()).await?;
        for row in &rows {
            sink.row(|| values::columns(row), values::names(row), values::decode_each(row))?;
        }
        Ok(Execution { rows_affected, last_insert_id: None })
    }

    /// Commits, gives the connection back, and waits until the disk has it.
    ///
    /// # Errors
    ///
    /// [`Kind::Lost`] where it is not known whether the change is committed and on disk, also after the time for a commit.
    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let (patience, begun) = (self.shared.limits.commit_timeout, Instant::now());
        self.end(self.shared.host.commit.clone(), patience).await?;
        let (wrote, wal) = (self.wrote, self.shared.wal.clone());
        drop(self);
        if !wrote {
            return Ok(());
        }
        in_time(patience.saturating_sub(begun.elapsed()), wal.sync()).await
    }

    /// Rolls back and gives the connection back.
    pub(crate) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A guest's statement was cut off, and may still be running: closing the connection ends both.
            return Ok(());
        }
        self.end(self.shared.host.rollback.clone(), self.patience()).await
    }

    async fn end(&mut self, sql: Arc<str>, patience: Duration) -> Result<(), DbError> {
        if self.in_transaction {
            self.host(sql, patience).await?;
            self.in_transaction = false;
        }
        self.disinherit().await
    }

    /// Leaves the end of a reading transaction to somebody who waits for the connection: it costs them nothing, in the
    /// message that begins theirs. Gives it back if nobody waits.
    pub(in crate::database) fn hand_over(mut self) -> Option<Self> {
        let is_in_order = !self.running;
        let open = OpenTransaction::of_reader(mode(self.access), &self.pool).filter(|_| is_in_order);
        let Some(open) = open else { return Some(self) };
        let Some(pooled) = self.pooled.as_mut() else { return Some(self) };
        if mem::take(&mut self.in_transaction) | mem::take(&mut self.inherits) {
            pooled.open = open;
        }
        None
    }

    /// How long one of the host's statements may take: SQLite stops waiting for another process's lock on the file before.
    fn patience(&self) -> Duration {
        self.shared.busy_timeout + self.shared.limits.statement_timeout + GRACE
    }

    /// Runs one of the statements that begin or end something. After an error the connection will be closed.
    async fn host(&mut self, sql: Arc<str>, patience: Duration) -> Result<(), DbError> {
        let done = self.host_query(AssertSqlSafe(sql), SqliteArguments::default(), patience).await;
        self.running = done.is_err();
        done.map(drop)
    }

    /// Runs one of the host's statements, and returns its rows and how many it changed. Without an answer in time `running`
    /// stays set, and the connection will be closed.
    async fn host_query(
        &mut self,
        sql: impl SqlSafeStr + Send,
        arguments: SqliteArguments,
        patience: Duration,
    ) -> Result<(Vec<SqliteRow>, u64), DbError> {
        self.running = true;
        let mut results = self.connection()?.fetch_many(sqlx::query_with(sql, arguments));
        let run = async {
            let (mut rows, mut changed) = (Vec::new(), None);
            while let Some(result) = results.next().await {
                match result.map_err(map_error)? {
                    Either::Left(done) => changed = Some(done.rows_affected()),
                    Either::Right(row) => rows.push(row),
                }
            }
            changed.map(|changed| (rows, changed)).ok_or_else(receiver::cut_short)
        };
        let done = in_time(patience, run).await;
        drop(results);
        self.running = matches!(&done, Err(error) if error.kind == Kind::Lost);
        done
    }

    /// Runs a guest's statement with the barrier up.
    pub(in crate::database) async fn run(
        &mut self,
        sql: String,
        checked: &Checked,
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), DbError> {
        let arguments = values::bind(params)?;
        let sql = values::numbered(sql, &checked.placeholders);
        self.wrote |= checked.verb != Verb::Query;
        let mut recompiles = 0;
        let result = loop {
            let result = self.send(&sql, arguments.clone(), receiver).await;
            if self.running || recompiles == MAX_RECOMPILES || !self.pooled()?.barrier.take_outdated() {
                break result;
            }
            // The statement has done nothing yet. The other compiled statements are as old.
            self.forget_statements().await?;
            recompiles += 1;
        };
        let text = result.map_err(|error| self.in_context(error))?;
        if receiver.lacks_columns() {
            let columns = self.describe(text).await?;
            if !self.pooled()?.barrier.has_columns(columns.iter().map(|column| &*column.name)) {
                self.running = true;
                return Err(other_columns());
            }
            receiver.set_columns(columns);
        }
        Ok(())
    }

    /// Sends a guest's statement, behind those of the host that are due, and takes its results. Returns the text that was
    /// sent. Unless the connection is known to be in order afterwards, `running` stays set, and it will be closed.
    async fn send(
        &mut self,
        sql: &str,
        arguments: SqliteArguments,
        receiver: &mut Receiver<'_>,
    ) -> Result<Arc<str>, DbError> {
        self.running = true;
        let role = if self.access == Access::ReadWrite { Role::Writer } else { Role::Reader };
        // How many statements of the host stand in front.
        let mut leading = if self.in_transaction { 0 } else { 1 + u8::from(self.inherits) };
        // The end of the line ends the comment that each of them ends in.
        let text: Arc<str> = match leading {
            0 => format!("{MARK}{sql}").into(),
            1 => format!("{}\n;{MARK}{sql}", self.opening()).into(),
            _ => format!("{}\n;{}\n;{MARK}{sql}", self.shared.host.commit, self.opening()).into(),
        };
        let (patience, max_memory) = (self.patience(), self.shared.max_memory);
        let timeout = self.shared.limits.statement_timeout;
        let PooledConnection { connection, barrier, .. } = self.pooled()?;
        barrier.admit(role, timeout, leading);
        let results = connection.fetch_many(sqlx::query_with(AssertSqlSafe(text.clone()), arguments));
        let taken = tokio::time::timeout(patience, take(results, &mut leading, barrier, receiver)).await;
        // The connection's thread does not answer: what it does, and when, is not known.
        let result = taken.unwrap_or_else(|_| Err((receiver::timed_out(), false)));
        let result = result.map_err(|(error, answers)| (over_budget(error, barrier, max_memory), answers));
        (self.in_transaction, self.inherits) = (leading == 0, leading > 1);
        if let Err((error, answers)) = &result {
            if !answers {
                return Err(error.clone());
            }
            // Perhaps cut off in the middle: the connection's thread stops stepping before it answers this.
            let pooled = self.pooled()?;
            in_time(patience, async { pooled.connection.ping().await.map_err(map_error) }).await?;
        }
        let result = result.map_err(|(error, _)| error);
        let barrier = &self.pooled()?.barrier;
        if barrier.transaction_ended() {
            let ended = || DbError::new(Kind::Other, "the statement ended the transaction");
            return Err(result.err().unwrap_or_else(ended));
        }
        barrier.dismiss();
        // Where it could not even begin, but for somebody who was in the way, nobody knows what is wrong with it.
        let is_known = leading == 0 || result.as_ref().is_err_and(|error| error.kind == Kind::Conflict);
        self.running = !is_known;
        result.map(|()| text)
    }

    /// Has the driver compile everything anew.
    async fn forget_statements(&mut self) -> Result<(), DbError> {
        let patience = self.patience();
        self.running = true;
        let pooled = self.pooled()?;
        in_time(patience, async { pooled.connection.clear_cached_statements().await.map_err(map_error) }).await?;
        self.running = false;
        Ok(())
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
        let patience = self.patience();
        self.running = true;
        // Compiled a moment ago, with the barrier up, and found in the driver's cache. What begins has no columns.
        let preparing = self.connection()?.prepare(AssertSqlSafe(sql).into_sql_str());
        let statement = in_time(patience, async { preparing.await.map_err(map_error) }).await?;
        self.running = false;
        Ok(statement.columns().iter().map(values::column).collect())
    }

    fn pooled(&mut self) -> Result<&mut PooledConnection, DbError> {
        self.pooled.as_deref_mut().ok_or_else(|| DbError::new(Kind::Lost, "the connection was lost"))
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, DbError> {
        Ok(&mut self.pooled()?.connection)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(pooled) = self.pooled.take()
            && (self.in_transaction || self.inherits || self.running || pooled.barrier.is_spoilt())
        {
            pooled.barrier.interrupt();
            // Taken out of the pool, which opens another when it needs one; dropping it closes it.
            drop(Object::take(pooled));
        }
    }
}

/// Waits for the connection's thread, which may never answer: if it has panicked, a command that was sent in the same
/// moment stays in its queue.
async fn in_time<T>(patience: Duration, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    let silent = || DbError::new(Kind::Lost, "SQLite did not finish the statement in time; its connection is closed");
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(silent().retryable()))
}

fn mode(access: Access) -> Mode {
    Mode { access, isolation: None }
}
