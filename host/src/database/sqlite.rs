//! The embedded database: reading connections and one writing connection on the same file in WAL mode, each behind
//! the barrier. A guest's statement runs with the barrier up; everything else on a connection is the host's.

mod barrier;
mod budget;
mod connection;
mod excerpt;
mod fts5;
mod functions;
mod memory;
mod native;
mod policy;
mod values;
mod wal;

use std::{path::Path, sync::Arc, time::Duration};

use deadpool::managed::{self, Manager, Metrics, Object, Pool, PoolError, RecycleResult, WeakPool};
use sqlx::{
    AssertSqlSafe, ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

pub(super) use self::connection::Connection;
use self::{barrier::Barrier, wal::Wal};
use super::{Limits, Terms, close_forgotten, connections, lend_again, vintage::Vintage, was_lent};
use crate::{
    config::{self, Access},
    gate::Rules,
    sql::error::{DbError, Kind, Stale},
    task,
    telemetry::metrics::{Tally, Target},
};

/// How often freed memory is returned to the system.
const GIVE_BACK: Duration = Duration::from_millis(500);

/// The pools of one SQLite file.
#[derive(Debug)]
pub(super) struct Database {
    readers: Pool<Opener>,
    /// One connection: SQLite has one writer at a time, and waiting here is fair and cheap where waiting for its
    /// lock is neither.
    writer: Pool<Opener>,
    wal: Arc<Wal>,
    options: SqliteConnectOptions,
    busy_timeout: Duration,
    max_memory: usize,
    limits: Limits,
    tally: Arc<Tally>,
    host: HostSql,
}

/// The host's own statements. They end in a comment that guests cannot guess: the driver keeps compiled statements by
/// their text, and the authorizer is asked only when one is compiled.
#[derive(Debug)]
struct HostSql {
    begin_reading: Arc<str>,
    begin_writing: Arc<str>,
    commit: Arc<str>,
    rollback: Arc<str>,
    secret: String,
}

impl HostSql {
    fn new() -> Self {
        let secret = format!(" -- {:016x}", rand::random::<u64>());
        Self {
            begin_reading: format!("BEGIN{secret}").into(),
            begin_writing: format!("BEGIN IMMEDIATE{secret}").into(),
            commit: format!("COMMIT{secret}").into(),
            rollback: format!("ROLLBACK{secret}").into(),
            secret,
        }
    }

    fn savepoint(&self, words: &str, level: usize) -> Arc<str> {
        format!("{words} carya_{level}{}", self.secret).into()
    }

    fn sign(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("{sql}{}", self.secret))
    }
}

impl Database {
    /// Opens the file, and makes it if it is not there. Fails if it cannot be opened or is no database. `name` is for
    /// those who count.
    pub(super) async fn open(name: &str, config: &config::Database) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path(config)?)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged is on disk, whatever happens to the machine.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(config.busy_timeout)
            // Temporary files have no limit of size, memory has: see `budget`.
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(100)
            // A hundred rows in one go; the connection's thread waits wherever this is full.
            .row_buffer_size(128)
            // It would show guests' values in the log; see `echo`.
            .disable_statement_logging();
        let wal = Wal::new(path(config)?.to_owned());
        let opener = |read_only: bool| Opener {
            options: match read_only {
                true => options.clone().read_only(true).pragma("query_only", "ON"),
                // Its commits wait for the disk together, when they have let go of it.
                false => options.clone().synchronous(SqliteSynchronous::Normal),
            },
            wal: (!read_only).then(|| wal.clone()),
            max_lifetime: config.max_lifetime,
            vintage: Vintage::default(),
            max_memory: config.max_memory,
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
            wal,
            options: options.clone(),
            busy_timeout: config.busy_timeout,
            max_memory: config.max_memory,
            limits: Limits::new(config),
            tally: Tally::new(name),
            host: HostSql::new(),
        };
        database.tally.watch("writers", connections(&database.writer));
        database.tally.watch("readers", connections(&database.readers));
        let readers = Arc::new(database.readers.weak());
        let pool = readers.clone();
        tokio::spawn(task::persist("pool", move || close_forgotten(pool.clone(), |slot| slot.is_open)));
        tokio::spawn(task::persist("memory", move || give_memory_back(readers.clone())));
        // The writer first: it makes the file and its WAL mode, which a reader cannot.
        drop(acquire(&database.writer).await?);
        drop(acquire(&database.readers).await?);
        Ok(database)
    }

    /// Takes a connection for a transaction.
    pub(super) async fn begin(self: &Arc<Self>, terms: &Terms) -> Result<Connection, DbError> {
        self.tally.begin(Target::Primary);
        self.begin_as(terms.access, terms.anew).await
    }

    /// The same for the host's own business.
    pub(super) async fn begin_as_host(self: &Arc<Self>, access: Access) -> Result<Connection, DbError> {
        self.begin_as(access, false).await
    }

    async fn begin_as(self: &Arc<Self>, access: Access, anew: bool) -> Result<Connection, DbError> {
        let pool = match access {
            Access::ReadWrite => {
                self.wal.check()?;
                &self.writer
            }
            Access::ReadOnly | Access::None => &self.readers,
        };
        let mut slot = acquire(pool).await?;
        if anew && was_lent(&slot) {
            *slot = pool.manager().create().await?;
        }
        Ok(Connection::new(slot, self.clone(), access))
    }

    /// A connection of the host's own, outside the pools and without the barrier, for migrations.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, DbError> {
        connect(&self.options).await.map_err(failed)
    }

    /// Changes the schema.
    pub(super) async fn define(&self, sql: String) -> Result<(), DbError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connect().await?).await.map(drop).map_err(failed)
    }

    pub(super) fn renew_connections(&self) {
        for pool in [&self.readers, &self.writer] {
            pool.manager().vintage.renew();
            drop(pool.retain(|_, _| false));
        }
    }

    /// Closes the pools. Connections in use are closed when they come back.
    pub(super) fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

/// Returns the rules of the gate.
pub(super) fn rules() -> &'static Rules {
    static RULES: Rules = Rules::Sqlite;
    &RULES
}

/// The file, in a folder that is there. Not by the driver's own parser: a path may hold `?` and `%`.
pub(crate) fn path(config: &config::Database) -> Result<&Path, DbError> {
    let path = Path::new(config.url.strip_prefix("sqlite://").unwrap_or(&config.url));
    match path.parent() {
        Some(folder) if folder != "" && !folder.is_dir() => {
            Err(DbError::new(Kind::Other, format!("there is no folder {}", folder.display())))
        }
        _ => Ok(path),
    }
}

/// Opens a connection. All of the process's connections are opened here, so that SQLite is configured before the first.
pub(crate) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    memory::install()?;
    options.connect().await
}

/// Opens a connection to a file that must be neither created nor changed. Returns `None` if there is no file yet.
pub(super) async fn connect_existing(config: &config::Database) -> Result<Option<SqliteConnection>, DbError> {
    let path = path(config)?;
    if !path.exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(config.busy_timeout);
    let mut connection = connect(&options).await.map_err(failed)?;
    touch(&mut connection).await?;
    Ok(Some(connection))
}

/// Returns freed memory to the system after statements that took much of it, for as long as the pool is there.
async fn give_memory_back(pool: Arc<WeakPool<Opener>>) {
    let mut looks = tokio::time::interval(GIVE_BACK);
    while pool.upgrade().is_some_and(|pool| !pool.is_closed()) {
        if budget::take_freed() {
            // It takes the locks of all threads' heaps in turn.
            drop(tokio::task::spawn_blocking(memory::give_back).await);
        }
        looks.tick().await;
    }
}

/// Has the connection open the file and its log: only a first statement does.
async fn touch(connection: &mut SqliteConnection) -> Result<(), DbError> {
    sqlx::query("SELECT 1 FROM sqlite_schema").fetch_optional(connection).await.map(drop).map_err(failed)
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
    /// Where its connections write.
    wal: Option<Arc<Wal>>,
    max_lifetime: Duration,
    vintage: Vintage,
    max_memory: usize,
    echo: bool,
}

/// A connection and its barrier.
#[derive(Debug)]
struct Slot {
    connection: SqliteConnection,
    barrier: Arc<Barrier>,
    /// A transaction that has only read was left to the next one to end.
    is_open: bool,
    vintage: u64,
}

impl managed::Manager for Opener {
    type Type = Slot;
    type Error = DbError;

    async fn create(&self) -> Result<Slot, DbError> {
        let vintage = self.vintage.current();
        // Boxed: whoever takes a connection carries the room for making one, and hardly anybody needs it.
        let connecting = Box::pin(connect(&self.options));
        let mut connection = connecting.await.map_err(failed)?;
        let barrier = Barrier::install(&mut connection, self.max_memory).await.map_err(failed)?;
        // The schema is loaded here, before the first statement that is charged: a large one is no reason to close the connection.
        touch(&mut connection).await?;
        if let Some(wal) = &self.wal {
            wal.open().map_err(|error| failed(error.into()))?;
        }
        if self.echo {
            tracing::info!(target: "carya::pool", file = %self.options.get_filename().display(), "connection opened");
        }
        Ok(Slot { connection, barrier, is_open: false, vintage })
    }

    async fn recycle(&self, slot: &mut Slot, metrics: &Metrics) -> RecycleResult<DbError> {
        lend_again(slot.vintage == self.vintage.current(), metrics, self.max_lifetime, self.echo)
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
        // Refused functions have no code of their own.
        libsqlite3_sys::SQLITE_ERROR if database.message().starts_with("not authorized") => Kind::Forbidden,
        libsqlite3_sys::SQLITE_INTERRUPT => Kind::Timeout,
        libsqlite3_sys::SQLITE_TOOBIG | libsqlite3_sys::SQLITE_NOMEM => Kind::Limit,
        libsqlite3_sys::SQLITE_CANTOPEN | libsqlite3_sys::SQLITE_NOTADB | libsqlite3_sys::SQLITE_IOERR => Kind::Lost,
        _ => Kind::Other,
    };
    let message = match kind {
        Kind::Timeout => "the statement ran longer than database.statement_timeout allows".to_owned(),
        _ => database.message().to_owned(),
    };
    DbError { kind, code, message, retryable: kind == Kind::Conflict, stale: Stale::No }
}
