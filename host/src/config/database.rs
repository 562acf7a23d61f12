//! A database's settings, as values. What its keys are is written in `read/database.rs`, what a URL may be in `url.rs`;
//! nothing here opens anything.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use super::url;

/// `[database]`, or `[database.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// `sqlite://PATH`, with the path relative to the configuration file, made if it is not there; or the URL of a
    /// server. It may hold a password: see [`shown_url`](Self::shown_url).
    pub url: String,
    /// Which language and which driver the URL asks for.
    pub dialect: Dialect,
    /// Servers: the login of those who only read, on the same server; without it they use `url`.
    pub reader_url: Option<String>,
    /// Servers: the owner's login, for what guests may not: migrations, the host's own tables, `carya harden`. Without
    /// it `url` must do.
    pub admin_url: Option<String>,
    /// Servers: copies that answer those who only read.
    pub replicas: Vec<String>,
    /// How long a read that must see an earlier write waits for a replica, before it goes to the primary.
    pub replica_wait: Duration,
    /// A replica that is further behind than this gets no requests.
    pub replica_max_lag: Duration,
    /// How often replicas are looked at. Never zero.
    pub replica_check: Duration,
    /// Connections. With SQLite, those that read; it has one writing connection besides.
    pub max_connections: u32,
    /// A connection older than this is replaced.
    pub max_lifetime: Duration,
    /// How long a request waits for a connection before it is answered 503.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// Servers: how long one statement waits for another transaction's lock.
    pub lock_timeout: Duration,
    /// SQLite: how long to wait for another process's lock on the file.
    pub busy_timeout: Duration,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// The most rows that one statement may return.
    pub max_rows: usize,
    /// The most bytes that the rows of one statement may hold.
    pub max_result: usize,
    /// SQLite: the most bytes of memory that one connection may use.
    pub max_memory: usize,
    /// Log every statement with its duration and row count.
    pub echo: bool,
    /// Show parameters in the log: of statements that are logged, and in messages of errors.
    pub echo_params: bool,
    /// Log connections as they are opened and lent.
    pub echo_pool: bool,
    /// A folder of SQL files, `0001_name.sql`. For the default database it is said in `[model]`.
    pub migrations: Option<PathBuf>,
}

impl Database {
    /// The URL without its password, for people.
    pub fn shown_url(&self) -> Cow<'_, str> {
        url::shown(&self.url)
    }
}

/// The SQL product behind a database's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file, opened by the host itself.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A MySQL or MariaDB server.
    MySql,
}

/// The dialect of a database server: every [`Dialect`] except SQLite, which runs inside the host.
///
/// It has no `PartialEq`: each decision is a `match`, so that the compiler reports all decisions that a new dialect needs.
#[derive(Debug, Clone, Copy)]
pub enum ServerDialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

impl Dialect {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
            Dialect::MySql => "MySQL",
        }
    }
}
