//! A pooled connection that is lent to one transaction. The barrier restricts statements of guests, and permits all
//! statements of the host.

mod errors;
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

/// Maximum number of times that a statement is sent again because the schema has changed since it was compiled.
const MAX_RECOMPILES: usize = 3;

/// A connection in a transaction. If it is dropped before [`Connection::commit`] or [`Connection::rollback`], it is
/// closed, which rolls back. A connection never returns to its pool in an unknown state.
#[derive(Debug)]
pub(crate) struct Connection {
    pooled: Option<Object<Opener>>,
    pool: Pool<Opener>,
    shared: Arc<Shared>,
    access: Access,
    in_transaction: bool,
    /// Whether the transaction of the previous borrower is still open. That transaction has only read. The message that
    /// begins the new transaction also ends it.
    inherits: bool,
    /// Whether a statement that may write was sent.
    wrote: bool,
    /// Text of the last statement of a guest. Empty if the host has sent statements of its own since.
    sent: String,
    /// Whether a statement was sent and its end was not received.
    running: bool,
}

impl Connection {
    /// Prepares a transaction on a connection of the pool. The first statement begins it, in the same message to the
    /// connection's thread.
    pub(super) fn new(mut pooled: Object<Opener>, pool: Pool<Opener>, shared: Arc<Shared>, access: Access) -> Self {
        // On SQLite no COMMIT begins the next transaction, so an open transaction has only read, and the time that the
        // borrower has waited does not matter.
        let inherits = pooled.open.take(mode(access), Instant::now()) != TakeOver::Begin;
        pooled.barrier.lend();
        let pooled = Some(pooled);
        let sent = String::new();
        Self { pooled, pool, shared, access, in_transaction: false, inherits, wrote: false, sent, running: false }
    }

    /// Returns the statement that begins the transaction.
    fn begin_sql(&self) -> &Arc<str> {
        match self.access {
            Access::ReadWrite => &self.shared.host.begin_writing,
            Access::ReadOnly | Access::None => &self.shared.host.begin_reading,
        }
    }

    /// Begins the transaction for a statement of the host.
    async fn begin(&mut self) -> Result<(), DbError> {
        if !self.in_transaction {
            self.end_inherited().await?;
            self.control(self.begin_sql().clone(), self.timeout()).await?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Ends the open transaction of the previous borrower.
    async fn end_inherited(&mut self) -> Result<(), DbError> {
        if self.inherits {
            self.control(self.shared.host.commit.clone(), self.timeout()).await?;
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

    pub(in crate::database) fn sent(&self) -> &str {
        &self.sent
    }

    pub(in crate::database) fn is_running(&self) -> bool {
        self.running
    }

    pub(in crate::database) async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        self.begin().await?;
        self.control(self.shared.host.savepoint("SAVEPOINT", level), self.timeout()).await
    }

    pub(in crate::database) async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.control(self.shared.host.savepoint("RELEASE", level), self.timeout()).await
    }

    pub(in crate::database) async fn rollback_to(&mut self, level: usize, keep: bool) -> Result<(), DbError> {
        self.control(self.shared.host.savepoint("ROLLBACK TO", level), self.timeout()).await?;
        if keep { Ok(()) } else { self.release(level).await }
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
        let (rows, rows_affected) = self.host_query(sql, arguments, self.timeout()).await?;
        for row in &rows {
            sink.row(|| values::columns(row), values::names(row), values::decode_each(row))?;
        }
        Ok(Execution { rows_affected, last_insert_id: None })
    }

    /// Commits, returns the connection to the pool, and waits until the commit is on disk.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Lost`] if it is unknown whether the change is committed and on disk, for example after
    /// `commit_timeout`.
    pub(in crate::database) async fn commit(mut self) -> Result<(), DbError> {
        let (timeout, begun) = (self.shared.limits.commit_timeout, Instant::now());
        if let Err(error) = self.end(self.shared.host.commit.clone(), timeout).await {
            return Err(Box::pin(self.explain_commit(error)).await);
        }
        let (wrote, wal) = (self.wrote, self.shared.wal.clone());
        drop(self);
        if !wrote {
            return Ok(());
        }
        in_time(timeout.saturating_sub(begun.elapsed()), wal.sync()).await
    }

    /// Rolls back and returns the connection to the pool.
    pub(in crate::database) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A statement was cut off and may still run. Closing the connection ends the statement and the
            // transaction.
            return Ok(());
        }
        self.end(self.shared.host.rollback.clone(), self.timeout()).await
    }

    async fn end(&mut self, sql: Arc<str>, timeout: Duration) -> Result<(), DbError> {
        if self.in_transaction {
            self.control(sql, timeout).await?;
            self.in_transaction = false;
        }
        self.end_inherited().await
    }

    /// Gives the connection of a read transaction back to its pool without ending the transaction. Returns `Some(self)`
    /// if no caller waits for a connection, or if a statement may still run.
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

    /// Returns the time limit of a statement of the host. It is longer than SQLite waits for the file lock of another
    /// process.
    fn timeout(&self) -> Duration {
        self.shared.busy_timeout + self.shared.limits.statement_timeout + GRACE
    }

    /// Runs a statement that begins or ends a transaction or a savepoint. After an error the connection is closed.
    async fn control(&mut self, sql: Arc<str>, timeout: Duration) -> Result<(), DbError> {
        let done = self.host_query(AssertSqlSafe(sql), SqliteArguments::default(), timeout).await;
        self.running = done.is_err();
        done.map(drop)
    }

    /// Runs a statement of the host, and returns its rows and the number of rows that it changed. If no answer comes in
    /// time, `running` stays set, so that the connection is closed.
    async fn host_query(
        &mut self,
        sql: impl SqlSafeStr + Send,
        arguments: SqliteArguments,
        timeout: Duration,
    ) -> Result<(Vec<SqliteRow>, u64), DbError> {
        self.running = true;
        self.sent.clear();
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
        let done = in_time(timeout, run).await;
        drop(results);
        self.running = matches!(&done, Err(error) if error.kind == Kind::Lost);
        done
    }

    /// Runs a guest's statement under the barrier.
    pub(in crate::database) async fn run(
        &mut self,
        sql: String,
        checked: &Checked,
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), DbError> {
        let arguments = values::bind(params)?;
        self.sent = values::numbered(sql, &checked.placeholders);
        self.wrote |= checked.verb != Verb::Query;
        let mut recompiles = 0;
        let result = loop {
            let result = self.send(arguments.clone(), receiver).await;
            if self.running || recompiles == MAX_RECOMPILES || !self.pooled()?.barrier.take_outdated() {
                break result;
            }
            // The statement has had no effect yet. Discard all cached statements, because they were compiled for the
            // old schema too.
            self.clear_statements().await?;
            recompiles += 1;
        };
        let text = match result {
            Ok(text) => text,
            Err(error) => {
                let error = Box::pin(self.explain_statement(error, &arguments)).await;
                return Err(self.in_context(error));
            }
        };
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

    /// Sends the guest's statement `sent` and receives its results. The statements of the host that end the previous transaction
    /// and begin this one, if necessary, precede it in the same message. Returns the text of the message. If the state
    /// of the connection is unknown afterwards, `running` stays set, so that the connection is closed.
    async fn send(&mut self, arguments: SqliteArguments, receiver: &mut Receiver<'_>) -> Result<Arc<str>, DbError> {
        self.running = true;
        let role = if self.access == Access::ReadWrite { Role::Writer } else { Role::Reader };
        // Number of statements of the host before the guest's: BEGIN, or COMMIT and BEGIN.
        let mut leading = if self.in_transaction { 0 } else { 1 + u8::from(self.inherits) };
        // The line break ends the comment at the end of each statement of the host.
        let sql = &self.sent;
        let text: Arc<str> = match leading {
            0 => format!("{MARK}{sql}").into(),
            1 => format!("{}\n;{MARK}{sql}", self.begin_sql()).into(),
            _ => format!("{}\n;{}\n;{MARK}{sql}", self.shared.host.commit, self.begin_sql()).into(),
        };
        let (timeout, max_memory) = (self.timeout(), self.shared.max_memory);
        let statement_timeout = self.shared.limits.statement_timeout;
        let PooledConnection { connection, barrier, .. } = self.pooled()?;
        barrier.admit(role, statement_timeout, leading);
        let results = connection.fetch_many(sqlx::query_with(AssertSqlSafe(text.clone()), arguments));
        let taken = match receiver.flow() {
            None => tokio::time::timeout(timeout, take(results, &mut leading, barrier, receiver)).await.ok(),
            // Boxed, because few statements are streamed, and the future of every statement would contain this one.
            Some(flow) => Box::pin(flow.limit(timeout, take(results, &mut leading, barrier, receiver))).await,
        };
        // After a timeout the connection's thread does not answer, and its state is unknown.
        let result = taken.unwrap_or_else(|| Err((receiver::timed_out(), false)));
        let result = result.map_err(|(error, answers)| (over_budget(error, barrier, max_memory), answers));
        (self.in_transaction, self.inherits) = (leading == 0, leading > 1);
        if let Err((error, answers)) = &result {
            if !answers {
                return Err(error.clone());
            }
            // The statement may have been cut off. The connection's thread stops it before it answers the ping.
            let pooled = self.pooled()?;
            in_time(timeout, async { pooled.connection.ping().await.map_err(map_error) }).await?;
        }
        let result = result.map_err(|(error, _)| error);
        let barrier = &self.pooled()?.barrier;
        if barrier.transaction_ended() {
            let ended = || DbError::new(Kind::Other, "the statement ended the transaction");
            return Err(result.err().unwrap_or_else(ended));
        }
        barrier.dismiss();
        // If BEGIN failed for another reason than a conflict, the state of the connection is unknown.
        let is_known = leading == 0 || result.as_ref().is_err_and(|error| error.kind == Kind::Conflict);
        self.running = !is_known;
        result.map(|()| text)
    }

    /// Clears the driver's cache of compiled statements.
    async fn clear_statements(&mut self) -> Result<(), DbError> {
        let timeout = self.timeout();
        self.running = true;
        let pooled = self.pooled()?;
        in_time(timeout, async { pooled.connection.clear_cached_statements().await.map_err(map_error) }).await?;
        self.running = false;
        Ok(())
    }

    /// Returns the columns of a query that returned no row. `sql` is the text of its message.
    async fn describe(&mut self, sql: Arc<str>) -> Result<Vec<Column>, DbError> {
        let timeout = self.timeout();
        self.running = true;
        // The driver finds the statements in its cache, so the guest's statement was compiled under the barrier. The
        // columns are those of the guest's statement, because BEGIN has none.
        let preparing = self.connection()?.prepare(AssertSqlSafe(sql).into_sql_str());
        let statement = in_time(timeout, async { preparing.await.map_err(map_error) }).await?;
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
            // Dropping the connection closes it. `take` lets the pool open another connection.
            drop(Object::take(pooled));
        }
    }
}

/// Waits for the connection's thread for at most `timeout`. The limit is necessary because a command that is sent while
/// the thread panics stays in the queue and is never answered.
async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    let no_answer =
        || DbError::new(Kind::Lost, "SQLite did not finish the statement in time; its connection is closed");
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(no_answer().retryable()))
}

fn mode(access: Access) -> Mode {
    Mode { access, isolation: None }
}
