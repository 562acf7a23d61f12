//! The embedded database: reading connections and one writing connection on the same file in WAL mode, each behind
//! the barrier. A guest's statement runs with the barrier up; everything else on a connection is the host's.

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
mod shared;
mod values;
mod wal;

use std::{sync::Arc, time::Duration};

use deadpool::managed::{Manager, Pool, WeakPool};
use sqlx::{
    AssertSqlSafe, ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use self::{
    connection::Connection,
    error::map_error,
    host_sql::HostSql,
    opener::{Opener, acquire, path},
    shared::Shared,
    wal::Wal,
};
use super::{
    hand_over::close_forgotten,
    options::{Limits, Terms},
    pool::{connections, was_lent},
    vintage::Vintage,
};
use crate::{
    config::{self, Access},
    gate::Rules,
    sql::error::{DbError, Kind},
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
    shared: Arc<Shared>,
    options: SqliteConnectOptions,
    tally: Arc<Tally>,
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
            shared: Arc::new(Shared {
                wal,
                busy_timeout: config.busy_timeout,
                max_memory: config.max_memory,
                limits: Limits::new(config),
                host: HostSql::new(),
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
        // The writer first: it makes the file and its WAL mode, which a reader cannot.
        drop(acquire(&database.writer).await?);
        drop(acquire(&database.readers).await?);
        Ok(database)
    }

    /// Takes a connection for a transaction.
    pub(super) async fn begin(&self, terms: &Terms) -> Result<Connection, DbError> {
        self.tally.begin(Target::Primary);
        self.begin_as(terms.access, terms.anew).await
    }

    /// The same for the host's own business.
    pub(super) async fn begin_as_host(&self, access: Access) -> Result<Connection, DbError> {
        self.begin_as(access, false).await
    }

    async fn begin_as(&self, access: Access, anew: bool) -> Result<Connection, DbError> {
        let pool = match access {
            Access::ReadWrite => {
                self.shared.wal.check()?;
                &self.writer
            }
            Access::ReadOnly | Access::None => &self.readers,
        };
        let mut pooled = acquire(pool).await?;
        if anew && was_lent(&pooled) {
            *pooled = pool.manager().create().await?;
        }
        Ok(Connection::new(pooled, pool.clone(), self.shared.clone(), access))
    }

    /// A connection of the host's own, outside the pools and without the barrier, for migrations.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, DbError> {
        opener::connect(&self.options).await.map_err(map_error)
    }

    /// Changes the schema.
    pub(super) async fn run_ddl(&self, sql: String) -> Result<(), DbError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connect().await?).await.map(drop).map_err(map_error)
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
