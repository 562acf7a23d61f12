//! The embedded database: reading connections and one writing connection on the same file in WAL mode, each behind
//! the barrier. A guest's statement runs with the barrier up; everything else on a connection is the host's.

mod barrier;
mod values;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor, SqlSafeStr, Statement as _,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use self::barrier::{Barrier, Speaker};
use super::{
    Access,
    error::{DbError, Kind},
    guard, migrate,
    value::{Column, Execution, JsonRows, Rows, Value},
};
use crate::config;

/// The pools of one SQLite file.
#[derive(Debug)]
pub struct Database {
    readers: Pool<Opener>,
    /// One connection: SQLite has one writer at a time, and waiting here is fair and cheap where waiting for its
    /// lock is neither.
    writer: Pool<Opener>,
    options: SqliteConnectOptions,
    limits: Limits,
    host: HostSql,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    statement_timeout: Duration,
    max_rows: usize,
    max_result: usize,
    echo: bool,
}

/// The host's own statements. They end in a comment that guests cannot guess: the driver keeps compiled statements by
/// their text, and the authorizer is asked only when one is compiled.
#[derive(Debug)]
struct HostSql {
    begin_reading: String,
    begin_writing: String,
    commit: String,
    rollback: String,
    secret: String,
}

impl HostSql {
    fn new() -> Result<Self, DbError> {
        let secret = getrandom::u64()
            .map_err(|error| DbError::new(Kind::Other, format!("the system gives no random bytes: {error}")))?;
        let secret = format!(" -- {secret:016x}");
        Ok(Self {
            begin_reading: format!("BEGIN{secret}"),
            begin_writing: format!("BEGIN IMMEDIATE{secret}"),
            commit: format!("COMMIT{secret}"),
            rollback: format!("ROLLBACK{secret}"),
            secret,
        })
    }

    fn savepoint(&self, words: &str, level: usize) -> String {
        format!("{words} carya_{level}{}", self.secret)
    }
}

impl Database {
    /// Opens the file, and makes it if it is not there. Fails if it cannot be opened or is no database.
    pub async fn open(config: &config::Database) -> Result<Self, DbError> {
        // Not the driver's own parser: a path may hold `?` and `%`.
        let path = config.url.strip_prefix("sqlite://").unwrap_or(&config.url);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL this loses nothing when a process dies; only a power cut may take the last commits.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(config.busy_timeout)
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(100);
        let opener = |read_only: bool| Opener {
            options: match read_only {
                true => options.clone().read_only(true).pragma("query_only", "ON"),
                false => options.clone(),
            },
            max_lifetime: config.max_lifetime,
            echo: config.echo_pool,
        };
        let pool = |opener: Opener, size: usize| {
            Pool::builder(opener)
                .max_size(size)
                .runtime(deadpool::Runtime::Tokio1)
                .wait_timeout(Some(config.acquire_timeout))
                .create_timeout(Some(config.acquire_timeout))
                .build()
                .map_err(|error| DbError::new(Kind::Other, error.to_string()))
        };
        let database = Self {
            readers: pool(opener(true), config.max_connections as usize)?,
            writer: pool(opener(false), 1)?,
            options: options.clone(),
            limits: Limits {
                statement_timeout: config.statement_timeout,
                max_rows: config.max_rows,
                max_result: config.max_result,
                echo: config.echo,
            },
            host: HostSql::new()?,
        };
        // The writer first: it makes the file and its WAL mode, which a reader cannot.
        drop(acquire(&database.writer).await?);
        drop(acquire(&database.readers).await?);
        Ok(database)
    }

    /// Takes a connection and begins a transaction on it.
    pub async fn begin(self: &Arc<Self>, access: Access) -> Result<Connection, DbError> {
        let (pool, sql) = match access {
            Access::ReadWrite => (&self.writer, &self.host.begin_writing),
            Access::ReadOnly | Access::None => (&self.readers, &self.host.begin_reading),
        };
        let mut connection = Connection {
            slot: Some(acquire(pool).await?),
            database: self.clone(),
            access,
            depth: 0,
            in_transaction: false,
            running: false,
        };
        connection.host(sql.clone()).await?;
        connection.in_transaction = true;
        Ok(connection)
    }

    /// A connection of the host's own, outside the pools and without the barrier, for migrations.
    pub async fn connect(&self) -> Result<SqliteConnection, DbError> {
        use sqlx::ConnectOptions;
        self.options.connect().await.map_err(failed)
    }

    /// Brings the schema up to date; see [`migrate`].
    pub async fn migrate(&self, folder: &std::path::Path) -> Result<migrate::Report, migrate::Error> {
        migrate::run(&mut self.connect().await?, folder).await
    }

    /// Which migrations are still to be run.
    pub async fn pending_migrations(&self, folder: &std::path::Path) -> Result<Vec<String>, migrate::Error> {
        migrate::pending(&mut self.connect().await?, folder).await
    }

    /// Closes the pools. Connections in use are closed when they come back.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

async fn acquire(pool: &Pool<Opener>) -> Result<Object<Opener>, DbError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(_) => DbError::new(Kind::Lost, "no connection became free in time").retryable(),
        other => DbError::new(Kind::Lost, format!("no connection: {other}")),
    })
}

/// Opens connections for a pool and decides which of them are lent again.
#[derive(Debug)]
struct Opener {
    options: SqliteConnectOptions,
    max_lifetime: Duration,
    echo: bool,
}

/// A connection and its barrier.
#[derive(Debug)]
struct Slot {
    connection: SqliteConnection,
    barrier: Arc<Barrier>,
}

impl managed::Manager for Opener {
    type Type = Slot;
    type Error = DbError;

    async fn create(&self) -> Result<Slot, DbError> {
        let mut connection = SqliteConnection::connect_with(&self.options).await.map_err(failed)?;
        let barrier = Barrier::install(&mut connection).await.map_err(failed)?;
        if self.echo {
            tracing::info!(target: "carya::pool", file = %self.options.get_filename().display(), "connection opened");
        }
        Ok(Slot { connection, barrier })
    }

    async fn recycle(&self, _: &mut Slot, metrics: &Metrics) -> RecycleResult<DbError> {
        if metrics.age() > self.max_lifetime {
            return Err(RecycleError::message("older than max_lifetime"));
        }
        if self.echo {
            tracing::info!(target: "carya::pool", lent = metrics.recycle_count, "connection lent");
        }
        Ok(())
    }
}

/// A connection in a transaction. Dropped before [`Connection::commit`] or [`Connection::rollback`] it is closed, which
/// rolls back; it never returns to the pool in a state that is not known.
#[derive(Debug)]
pub struct Connection {
    slot: Option<Object<Opener>>,
    database: Arc<Database>,
    access: Access,
    /// Open savepoints.
    depth: usize,
    in_transaction: bool,
    /// A statement was sent and its end not seen.
    running: bool,
}

impl Connection {
    /// Runs a query and collects its rows.
    pub async fn query(&mut self, sql: String, params: Vec<Value>) -> Result<Rows, DbError> {
        let mut columns = Vec::new();
        let mut rows = Vec::new();
        let text = sql.clone();
        self.guest(sql, params, &mut |row| {
            if rows.is_empty() {
                columns = values::columns(row);
            }
            let row = values::decode_row(row)?;
            let bytes = row.iter().map(|value| value.size() + size_of::<Value>()).sum();
            rows.push(row);
            Ok(bytes)
        })
        .await?;
        if rows.is_empty() {
            columns = self.describe(text).await?;
        }
        Ok(Rows { columns, rows })
    }

    /// Runs a query and returns the values of its first row.
    pub async fn query_one(&mut self, sql: String, params: Vec<Value>) -> Result<Option<Vec<Value>>, DbError> {
        let mut first = None;
        // The rest is read to its end: an INSERT .. RETURNING must not stop half way.
        self.guest(sql, params, &mut |row| {
            if first.is_none() {
                first = Some(values::decode_row(row)?);
            }
            Ok(0)
        })
        .await?;
        Ok(first)
    }

    /// Runs a query and writes its rows as a JSON array of objects.
    pub async fn query_json(&mut self, sql: String, params: Vec<Value>) -> Result<String, DbError> {
        let mut json = JsonRows::default();
        self.guest(sql, params, &mut |row| {
            let before = json.len();
            json.start_row(values::names(row));
            for (index, value) in values::decode_row(row)?.iter().enumerate() {
                json.value(index, value)?;
            }
            json.end_row();
            Ok(json.len() - before)
        })
        .await?;
        Ok(json.finish())
    }

    /// Runs a statement and tells what it did.
    pub async fn execute(&mut self, sql: String, params: Vec<Value>) -> Result<Execution, DbError> {
        self.guest(sql, params, &mut |_| Ok(0)).await
    }

    /// Opens a savepoint and returns its level, 0 for the outermost.
    pub async fn savepoint(&mut self) -> Result<usize, DbError> {
        let level = self.depth;
        self.host(self.database.host.savepoint("SAVEPOINT", level)).await?;
        self.depth += 1;
        Ok(level)
    }

    /// Closes a savepoint and those inside it, and keeps what was done since.
    pub async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.database.host.savepoint("RELEASE", level)).await?;
        self.depth = level;
        Ok(())
    }

    /// Undoes everything since a savepoint was opened, and closes it and those inside it.
    pub async fn rollback_to(&mut self, level: usize) -> Result<(), DbError> {
        self.host(self.database.host.savepoint("ROLLBACK TO", level)).await?;
        self.release(level).await
    }

    /// Runs a statement of the host's own in this transaction.
    pub async fn execute_as_host(&mut self, sql: &'static str, params: Vec<Value>) -> Result<Execution, DbError> {
        let arguments = values::bind(params)?;
        let connection = self.connection()?;
        let done = sqlx::query_with(sql, arguments).execute(connection).await.map_err(failed)?;
        Ok(Execution { rows_affected: done.rows_affected(), last_insert_id: None })
    }

    /// Runs a query of the host's own in this transaction.
    pub async fn query_as_host(&mut self, sql: &'static str, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let arguments = values::bind(params)?;
        let connection = self.connection()?;
        let rows = sqlx::query_with(sql, arguments).fetch_all(connection).await.map_err(failed)?;
        rows.iter().map(values::decode_row).collect()
    }

    /// Commits and gives the connection back.
    pub async fn commit(mut self) -> Result<(), DbError> {
        self.host(self.database.host.commit.clone()).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back and gives the connection back.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A guest's statement was cut off, and may still be running: closing the connection ends both.
            return Ok(());
        }
        self.host(self.database.host.rollback.clone()).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Runs one of the host's statements.
    async fn host(&mut self, sql: String) -> Result<(), DbError> {
        self.running = true;
        let connection = self.connection()?;
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map_err(failed)?;
        self.running = false;
        Ok(())
    }

    /// Runs a guest's statement with the barrier up. `each` is called for every row and returns the bytes it takes.
    async fn guest(
        &mut self,
        sql: String,
        params: Vec<Value>,
        each: &mut (dyn FnMut(&SqliteRow) -> Result<usize, DbError> + Send),
    ) -> Result<Execution, DbError> {
        guard::check(&sql, &params, self.access)?;
        let arguments = values::bind(params)?;
        let limits = self.database.limits;
        let speaker = if self.access == Access::ReadWrite { Speaker::Writer } else { Speaker::Reader };
        let started = Instant::now();
        let echo = limits.echo.then(|| sql.clone());

        self.running = true;
        let slot = self.slot()?;
        slot.barrier.admit(speaker, limits.statement_timeout);
        let mut done = Execution { rows_affected: 0, last_insert_id: None };
        let (mut rows, mut bytes) = (0, 0);
        let result = {
            let mut stream = (&mut slot.connection).fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
            loop {
                match stream.next().await {
                    None => break Ok(()),
                    Some(Err(error)) => break Err(failed(error)),
                    Some(Ok(Either::Left(result))) => {
                        done.rows_affected += result.rows_affected();
                        done.last_insert_id = Some(result.last_insert_rowid()).filter(|&id| id != 0);
                    }
                    Some(Ok(Either::Right(row))) => {
                        rows += 1;
                        bytes += match each(&row) {
                            Ok(bytes) => bytes,
                            Err(error) => break Err(error),
                        };
                        if rows > limits.max_rows || bytes > limits.max_result {
                            break Err(DbError::new(
                                Kind::Limit,
                                format!(
                                    "the statement returns more than {} rows or {} bytes; ask for less at a time",
                                    limits.max_rows, limits.max_result
                                ),
                            ));
                        }
                    }
                }
            }
        };
        if let Some(sql) = echo {
            let took = started.elapsed();
            tracing::info!(target: "carya::sql", %sql, rows, affected = done.rows_affected, ?took, "statement");
        }
        let slot = self.slot()?;
        if slot.barrier.transaction_ended() {
            // `running` stays set: the connection will be closed.
            return Err(DbError::new(Kind::Lost, "the statement ended the transaction"));
        }
        match result {
            Err(error) if error.kind == Kind::Limit && error.code.is_none() => {
                // Cut off in the middle; the connection's thread may still be stepping with the barrier up.
                Err(error)
            }
            result => {
                slot.barrier.dismiss();
                self.running = false;
                result.map(|()| done).map_err(|error| self.in_context(error))
            }
        }
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

    /// The columns of a query that returned no row.
    async fn describe(&mut self, sql: String) -> Result<Vec<Column>, DbError> {
        let slot = self.slot()?;
        // Compiled a moment ago, with the barrier up, and found in the driver's cache.
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
            && (self.in_transaction || self.running)
        {
            slot.barrier.interrupt();
            // Taken out of the pool, which opens another when it needs one; dropping it closes it.
            drop(Object::take(slot));
        }
    }
}

/// An error of the driver in the contract's words.
fn failed(error: sqlx::Error) -> DbError {
    let sqlx::Error::Database(ref database) = error else {
        let kind = match error {
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Kind::Lost,
            _ => Kind::Other,
        };
        return DbError::new(kind, error.to_string());
    };
    let code = database.code().map(String::from);
    let extended: i32 = code.as_deref().and_then(|code| code.parse().ok()).unwrap_or_default();
    let kind = match extended & 0xff {
        libsqlite3_sys::SQLITE_CONSTRAINT => Kind::Constraint,
        libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED => Kind::Conflict,
        libsqlite3_sys::SQLITE_READONLY => Kind::ReadOnly,
        libsqlite3_sys::SQLITE_AUTH => Kind::Forbidden,
        libsqlite3_sys::SQLITE_INTERRUPT => Kind::Timeout,
        libsqlite3_sys::SQLITE_TOOBIG | libsqlite3_sys::SQLITE_NOMEM => Kind::Limit,
        libsqlite3_sys::SQLITE_CANTOPEN | libsqlite3_sys::SQLITE_NOTADB | libsqlite3_sys::SQLITE_IOERR => Kind::Lost,
        _ => Kind::Other,
    };
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        _ => database.message().to_owned(),
    };
    DbError { kind, code, message, retryable: kind == Kind::Conflict }
}
