//! SQLite: a pool of connections that read and a pool of one connection that writes, on the same file in WAL mode. Each
//! connection has a `Barrier`, which confines the connection while a guest's statement runs.

mod barrier;
mod budget;
pub(super) mod connection;
mod error;
mod excerpt;
mod fts5;
mod functions;
mod host_sql;
mod memory;
mod native;
pub(crate) mod opener;
mod policy;
mod schema;
mod shared;
mod values;
mod violation;
mod wal;

use std::{path::Path, sync::Arc, time::Duration};

use deadpool::managed::{Manager, Pool, WeakPool};
use sqlx::{
    AssertSqlSafe, ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use self::{
    connection::Connection,
    error::map_error,
    host_sql::HostSql,
    opener::{Opener, acquire, explain, path},
    schema::LastSchema,
    shared::Shared,
    wal::Wal,
};
use super::{
    hand_over::close_forgotten,
    options::{Limits, TransactionOptions},
    pool::{connections, was_lent},
    schema_epoch::SchemaEpoch,
};
use crate::{
    allocator,
    config::{self, Access},
    gate::Rules,
    sql::error::{DbError, Kind},
    task,
    telemetry::metrics::{Tally, Target},
};

/// Pause between two checks of whether freed memory must be returned to the operating system.
const TRIM_INTERVAL: Duration = Duration::from_millis(500);

/// The pools of one SQLite file.
#[derive(Debug)]
pub(super) struct SqliteDatabase {
    readers: Pool<Opener>,
    /// One connection, because SQLite permits one writer at a time. A pool serves waiting callers in order and without
    /// polling; SQLite's lock does neither.
    writer: Pool<Opener>,
    shared: Arc<Shared>,
    options: SqliteConnectOptions,
    pub(super) tally: Arc<Tally>,
}

impl SqliteDatabase {
    /// Opens the file, and creates it if it is missing. `name` appears in metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is not a database.
    pub(super) async fn open(name: &str, config: &config::DatabaseConfig) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path(config)?)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With this setting, an acknowledged commit survives a power failure.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(config.busy_timeout)
            // Keep temporary tables in memory, because temporary files have no size limit. `budget` limits memory.
            .pragma("temp_store", "MEMORY")
            .with_regexp()
            .statement_cache_capacity(100)
            // The connection's thread waits while this many rows have not been received yet.
            .row_buffer_size(128)
            // The driver would log the values of guests. See `echo` for the host's own log of statements.
            .disable_statement_logging();
        let wal = Wal::new(path(config)?.to_owned());
        let opener = |read_only: bool| Opener {
            name: name.to_owned(),
            options: match read_only {
                true => options.clone().read_only(true).pragma("query_only", "ON"),
                // Commits wait for a sync of the log after they have released the connection; see `wal`.
                false => options.clone().synchronous(SqliteSynchronous::Normal),
            },
            wal: (!read_only).then(|| wal.clone()),
            max_lifetime: config.max_lifetime,
            schema_epoch: SchemaEpoch::default(),
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
            shared: Arc::new(Shared {
                wal,
                busy_timeout: config.busy_timeout,
                max_memory: config.max_memory,
                limits: Limits::new(config),
                host: HostSql::new(),
                last_schema: LastSchema::default(),
            }),
            options: options.clone(),
            tally: Tally::new(name),
        };
        database.tally.watch("writers", connections(&database.writer));
        database.tally.watch("readers", connections(&database.readers));
        let readers = Arc::new(database.readers.weak());
        let pool = readers.clone();
        tokio::spawn(task::persist("pool", move || close_forgotten(pool.clone(), |pooled| pooled.open.is_open())));
        tokio::spawn(task::persist("memory", move || give_memory_back(readers.clone())));
        // Connect the writer first: a reader can neither create the file nor switch it to WAL mode.
        for pool in [&database.writer, &database.readers] {
            drop(acquire(pool).await.map_err(|error| explain(options.get_filename(), error))?);
        }
        Ok(database)
    }

    /// Takes a connection out of a pool, for a transaction of a guest. The first statement begins the transaction.
    pub(super) async fn begin(&self, options: &TransactionOptions) -> Result<Connection, DbError> {
        self.tally.count_transaction(Target::Primary);
        self.begin_as(options.access, options.fresh_connection).await
    }

    /// Takes a connection out of a pool, for the host. Does not count in the metrics.
    pub(super) async fn begin_as_host(&self, access: Access) -> Result<Connection, DbError> {
        self.begin_as(access, false).await
    }

    async fn begin_as(&self, access: Access, fresh_connection: bool) -> Result<Connection, DbError> {
        let pool = match access {
            Access::ReadWrite => {
                self.shared.wal.check()?;
                &self.writer
            }
            Access::ReadOnly | Access::None => &self.readers,
        };
        let mut pooled = acquire(pool).await?;
        if fresh_connection && was_lent(&pooled) {
            *pooled = pool.manager().create().await?;
        }
        Ok(Connection::new(pooled, pool.clone(), self.shared.clone(), access))
    }

    /// Opens a connection for the host, outside the pools and without the barrier.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, DbError> {
        let opened = opener::connect(&self.options).await.map_err(map_error);
        opened.map_err(|error| explain(self.options.get_filename(), error))
    }

    /// Writes a copy of the database to a file that does not exist yet.
    pub(super) async fn save_to(&self, file: &Path) -> Result<(), DbError> {
        let path = file.to_str().ok_or_else(|| DbError::new(Kind::Other, "the path is not UTF-8".to_owned()))?;
        let saving = sqlx::query("VACUUM INTO ?").bind(path);
        saving.execute(&mut self.connect().await?).await.map(drop).map_err(map_error)
    }

    /// Runs statements that change the schema.
    pub(super) async fn run_ddl(&self, sql: String) -> Result<(), DbError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connect().await?).await.map(drop).map_err(map_error)
    }

    pub(super) fn renew_connections(&self) {
        for pool in [&self.readers, &self.writer] {
            pool.manager().schema_epoch.renew();
            drop(pool.retain(|_, _| false));
        }
    }

    /// Closes the pools. Connections in use are closed when they are returned.
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

/// Returns freed memory to the operating system after statements that used much memory. Runs until the pool is closed.
async fn give_memory_back(pool: Arc<WeakPool<Opener>>) {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    while pool.upgrade().is_some_and(|pool| !pool.is_closed()) {
        if budget::take_freed() {
            // Run on a blocking thread, because `give_back` takes the lock of each thread's heap.
            drop(tokio::task::spawn_blocking(allocator::give_back).await);
        }
        ticks.tick().await;
    }
}
