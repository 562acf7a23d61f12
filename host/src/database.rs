//! The application's databases, behind a barrier that guests' statements cannot leave. Knows SQL and connections;
//! knows nothing of WebAssembly, HTTP or why a transaction ends.
//!
//! Two kinds: SQLite lives in this process (`sqlite`); PostgreSQL and MySQL are servers (`server`) that speak
//! different dialects (`postgres`, `mysql`) with the same functions.

pub mod error;
pub mod guard;
pub mod harden;
pub mod migrate;
mod mysql;
pub mod outbox;
mod pool;
pub mod position;
mod postgres;
mod redaction;
pub mod reset;
mod server;
pub mod shared;
mod sink;
mod sqlite;
mod statement;
pub mod value;
mod vintage;

use std::{path::Path, sync::Arc, time::Duration};

use self::{
    error::DbError,
    pool::{close_forgotten, connections, waiting, was_lent},
    redaction::Redaction,
    sink::Sink,
    value::{Execution, JsonRows, Rows, Value},
};
pub use self::{position::Position, statement::Statement};
use crate::config;
pub use crate::config::{Access, Dialect, Isolation};

/// How long a commit may take; it may wait for a disk or for a replica.
const COMMIT: Duration = Duration::from_secs(10);

/// What a transaction is to be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What its statements may do.
    pub access: Access,
    /// How it is kept apart from others; the server's default where nothing is said.
    pub isolation: Option<Isolation>,
    /// Read on the primary, even where there are replicas.
    pub primary: bool,
    /// Read nothing older than this.
    pub after: Option<Position>,
    /// Begin on a connection that is made for this transaction, so that no statement on it was prepared before.
    pub anew: bool,
}

impl Terms {
    /// An access mode, and nothing else asked.
    pub fn new(access: Access) -> Self {
        Self { access, isolation: None, primary: false, after: None, anew: false }
    }
}

/// Limits of statements and commits.
#[derive(Debug, Clone, Copy)]
struct Limits {
    statement_timeout: Duration,
    commit_timeout: Duration,
    max_rows: usize,
    max_result: usize,
    echo: bool,
    echo_params: bool,
}

impl Limits {
    fn new(config: &config::Database) -> Self {
        Self {
            statement_timeout: config.statement_timeout,
            commit_timeout: COMMIT,
            max_rows: config.max_rows,
            max_result: config.max_result,
            echo: config.echo,
            echo_params: config.echo_params,
        }
    }
}

/// One database of the application.
#[derive(Debug)]
pub struct Database(Engine);

#[derive(Debug)]
enum Engine {
    Sqlite(Arc<sqlite::Database>),
    /// PostgreSQL or MySQL, with replicas.
    Server(Arc<server::Server>),
}

/// A connection in a transaction. Dropped before [`Connection::commit`] or [`Connection::rollback`] it is closed, which
/// rolls back; it never returns to its pool in a state that is not known.
#[derive(Debug)]
pub struct Connection(Line);

#[derive(Debug)]
enum Line {
    Sqlite(sqlite::Connection),
    Server(server::Connection),
}

/// The same call on either kind of connection.
macro_rules! each {
    ($line:expr, $it:ident => $call:expr) => {
        match $line {
            Line::Sqlite($it) => $call,
            Line::Server($it) => $call,
        }
    };
}

impl Database {
    /// Opens a database: makes an SQLite file that is not there; connects to a server, and to those of its replicas
    /// that can be reached. `name` is for messages and positions.
    pub async fn open(name: &str, config: &config::Database) -> Result<Self, DbError> {
        Ok(Self(match config.dialect {
            Dialect::Sqlite => Engine::Sqlite(Arc::new(sqlite::Database::open(name, config).await?)),
            Dialect::Postgres | Dialect::MySql => Engine::Server(server::Server::open(name, config).await?),
        }))
    }

    /// Its dialect.
    pub fn dialect(&self) -> Dialect {
        match &self.0 {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Server(server) => server.dialect(),
        }
    }

    /// The table of actions that must not be lost, in SQL.
    pub fn outbox(&self) -> &str {
        match &self.0 {
            Engine::Sqlite(_) => outbox::TABLE,
            Engine::Server(server) => server.outbox(),
        }
    }

    /// Takes a connection and begins a transaction on it.
    pub async fn begin(&self, terms: &Terms) -> Result<Connection, DbError> {
        Ok(Connection(match &self.0 {
            Engine::Sqlite(database) => Line::Sqlite(database.begin(terms).await?),
            Engine::Server(server) => Line::Server(server.begin(terms).await?),
        }))
    }

    /// The same for the host's own tables, which guests' logins need not be able to use.
    pub async fn begin_as_host(&self, access: Access) -> Result<Connection, DbError> {
        Ok(Connection(match &self.0 {
            Engine::Sqlite(database) => Line::Sqlite(database.begin_as_host(access).await?),
            Engine::Server(server) => Line::Server(server.begin_as_host(access).await?),
        }))
    }

    /// Whether reads may go to a replica, so that a position is worth handing out.
    pub fn has_replicas(&self) -> bool {
        matches!(&self.0, Engine::Server(server) if server.has_replicas())
    }

    /// Whether a transaction whose commit was cut off is committed after all; none if that cannot be found out now.
    pub async fn resolve(&self, transaction: &str) -> Option<bool> {
        match &self.0 {
            Engine::Sqlite(_) => None,
            Engine::Server(server) => server.resolve(transaction).await,
        }
    }

    /// Brings the schema up to date; see [`migrate`].
    pub async fn migrate(&self, folder: &Path) -> Result<migrate::Report, migrate::Error> {
        migrate::run(self.connect().await?, folder).await
    }

    /// Makes one of the host's own tables if it is not there, with the place that it stands in.
    async fn ensure(&self, table: &str, columns: &str) -> Result<(), DbError> {
        if self.has(table).await? {
            return Ok(());
        }
        let place = match (self.dialect(), table.split_once('.')) {
            (Dialect::MySql, Some((place, _))) => {
                format!("CREATE DATABASE IF NOT EXISTS {place} CHARACTER SET utf8mb4; ")
            }
            (_, Some((place, _))) => format!("CREATE SCHEMA IF NOT EXISTS {place}; "),
            (_, None) => String::new(),
        };
        match self.define(format!("{place}CREATE TABLE IF NOT EXISTS {table} ({columns})")).await {
            // PostgreSQL lets only one of two make what neither has seen.
            Err(error) => {
                if self.has(table).await? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            made => made,
        }
    }

    /// Whether a table of the host's own can be read.
    async fn has(&self, table: &str) -> Result<bool, DbError> {
        // Only reading: a reload must not wait for whoever is writing.
        let mut connection = self.begin_as_host(Access::ReadOnly).await?;
        let found = connection.query_as_host(format!("SELECT 1 FROM {table} LIMIT 1"), Vec::new()).await;
        connection.rollback().await?;
        Ok(found.is_ok())
    }

    /// Changes the schema, as the owner, in no transaction.
    async fn define(&self, sql: String) -> Result<(), DbError> {
        match &self.0 {
            Engine::Sqlite(database) => database.define(sql).await,
            Engine::Server(server) => server.connect().await?.say(sql).await,
        }
    }

    /// A connection of the host's own, outside the pools and without the barrier.
    async fn connect(&self) -> Result<migrate::Book, DbError> {
        Ok(match &self.0 {
            Engine::Sqlite(database) => migrate::Book::Sqlite(database.connect().await?),
            Engine::Server(server) => server.connect().await?.into(),
        })
    }

    /// Names of the migrations that a run would run. Makes and changes nothing; an SQLite file need not be there yet.
    pub async fn pending(config: &config::Database, folder: &Path) -> Result<Vec<String>, migrate::Error> {
        let book = Self::look(config).await?;
        migrate::pending(book, folder).await
    }

    /// Whether the database is there and can be read: false for an SQLite file that is yet to be made.
    pub async fn exists(config: &config::Database) -> Result<bool, DbError> {
        Ok(Self::look(config).await?.is_some())
    }

    async fn look(config: &config::Database) -> Result<Option<migrate::Book>, DbError> {
        Ok(match config.dialect {
            Dialect::Sqlite => sqlite::Database::look(config).await?.map(migrate::Book::Sqlite),
            Dialect::Postgres | Dialect::MySql => Some(server::look(config).await?.into()),
        })
    }

    /// Lends no connection again that was made before now, since the schema has changed: what was prepared on these may
    /// be older.
    pub fn renew_connections(&self) {
        match &self.0 {
            Engine::Sqlite(database) => database.renew_connections(),
            Engine::Server(server) => server.renew_connections(),
        }
    }

    /// Closes the pools. Connections in use are closed when they come back.
    pub fn close(&self) {
        match &self.0 {
            Engine::Sqlite(database) => database.close(),
            Engine::Server(server) => server.close(),
        }
    }
}

impl Connection {
    /// Runs a query and collects its rows.
    pub async fn query(&mut self, statement: Statement) -> Result<Rows, DbError> {
        let mut rows = Rows::default();
        self.guest(statement, &mut Sink::Rows(&mut rows)).await?;
        Ok(rows)
    }

    /// Runs a query and returns the values of its first row.
    pub async fn query_one(&mut self, statement: Statement) -> Result<Option<Vec<Value>>, DbError> {
        let mut first = None;
        self.guest(statement, &mut Sink::First(&mut first)).await?;
        Ok(first)
    }

    /// Runs a query and writes its rows as a JSON array of objects.
    pub async fn query_json(&mut self, statement: Statement) -> Result<String, DbError> {
        let mut json = JsonRows::default();
        self.guest(statement, &mut Sink::Json(&mut json)).await?;
        Ok(json.finish())
    }

    /// Runs a statement and tells what it did.
    pub async fn execute(&mut self, statement: Statement) -> Result<Execution, DbError> {
        self.guest(statement, &mut Sink::Nothing).await
    }

    /// Runs a guest's statement behind the barrier.
    async fn guest(&mut self, statement: Statement, sink: &mut Sink<'_>) -> Result<Execution, DbError> {
        let may_show = each!(&self.0, connection => connection.limits().echo_params);
        let redaction = Redaction::of(&statement.params, may_show);
        let result = match &mut self.0 {
            Line::Sqlite(connection) => connection.guest(statement.sql, statement.params, sink).await,
            Line::Server(connection) => connection.guest(statement, sink).await,
        };
        result.map_err(|error| redaction.apply(error))
    }

    /// Opens a savepoint at a level, 0 for the outermost.
    pub async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.savepoint(level).await)
    }

    /// Closes a savepoint and those inside it, and keeps what was done since.
    pub async fn release(&mut self, level: usize) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.release(level).await)
    }

    /// Undoes everything since a savepoint was opened, and closes it and those inside it.
    pub async fn rollback_to(&mut self, level: usize) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.rollback_to(level).await)
    }

    /// Runs a query of the host's own in this transaction, with `?` for its parameters.
    pub async fn query_as_host(&mut self, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        each!(&mut self.0, connection => connection.query_as_host(sql, params).await)
    }

    /// The same for a statement without rows.
    pub async fn execute_as_host(&mut self, sql: String, params: Vec<Value>) -> Result<Execution, DbError> {
        each!(&mut self.0, connection => connection.execute_as_host(sql, params).await)
    }

    /// Whether a statement that failed would not on a new connection, because it was prepared here before the schema changed.
    /// May end the transaction, which has failed.
    pub async fn confirm_stale(&mut self, error: &DbError) -> bool {
        match &mut self.0 {
            // A statement of SQLite is compiled anew where it runs.
            Line::Sqlite(_) => false,
            Line::Server(connection) => connection.confirm_stale(error.stale).await,
        }
    }

    /// By what the server knows this transaction once it is over, where it can be asked.
    pub fn transaction_id(&self) -> Option<&str> {
        match &self.0 {
            Line::Sqlite(_) => None,
            Line::Server(connection) => connection.transaction_id(),
        }
    }

    /// Commits and gives the connection back. The position is that of the commit, where replicas could be behind it.
    pub async fn commit(self) -> Result<Option<Position>, DbError> {
        match self.0 {
            Line::Sqlite(connection) => connection.commit().await.map(|()| None),
            Line::Server(connection) => connection.commit().await,
        }
    }

    /// Leaves the end of a transaction that only read to somebody who waits for its connection. Some if nobody does.
    pub fn hand_over(self) -> Option<Self> {
        match self.0 {
            Line::Sqlite(connection) => connection.hand_over().map(|connection| Self(Line::Sqlite(connection))),
            Line::Server(connection) => connection.hand_over().map(|connection| Self(Line::Server(connection))),
        }
    }

    /// Rolls back and gives the connection back.
    pub async fn rollback(self) -> Result<(), DbError> {
        each!(self.0, connection => connection.rollback().await)
    }
}
