//! The application's databases. A barrier confines the statements of guests: the gate checks each statement, and the
//! engine enforces limits of its own (on SQLite the authorizer and a budget, on a server the rights of the login,
//! read-only transactions and timeouts). This module handles SQL and connections. It does not depend on WebAssembly or
//! HTTP, and does not decide when or how a transaction ends.
//!
//! SQLite runs in this process (`sqlite`). PostgreSQL and MySQL are servers (`server`); `postgres` and `mysql`
//! implement the same functions for their dialects.
//!
//! # Words for connections
//!
//! | word | type | |
//! |---|---|---|
//! | session | `ServerSession`: `PgSession` or `MySqlSession` | a connection of the driver, with facts about its server |
//! | pooled session, pooled connection | `PooledSession`, on SQLite `PooledConnection` | a session, and its open transaction |
//! | connection | [`Connection`]: of SQLite or of a server | a pooled session that is lent to one transaction |
//! | owner's connection | `OwnerConnection` | a session outside the pools, with the owner's login |
//!
//! All statements of guests take the same path: `Connection::run` checks the statement with the gate, the `run` of the
//! engine sends it, and a `Receiver` passes its rows to a [`Sink`].

mod administrator;
mod constraint;
mod fault;
mod hand_over;
pub(crate) mod host_tables;
mod listener;
mod mysql;
mod options;
mod outbox;
mod owner;
mod pool;
mod postgres;
mod receiver;
mod redaction;
mod schema_epoch;
mod server;
pub(crate) mod sqlite;
mod streams;

use std::path::Path;

pub(crate) use self::administrator::{Administrator, THROW_AWAY};
pub(crate) use self::fault::{Fault, Faults};
pub(crate) use self::options::TransactionOptions;
pub(crate) use self::server::simulated::ReplicaState;
pub(crate) use self::streams::{OpenStream, Size, StatementHash, Streams};
pub(crate) use self::{listener::Listener, outbox::Outbox, owner::OwnerConnection};
use self::{
    receiver::{Echoed, Receiver},
    redaction::Redaction,
    server::runaway::Sent,
};
use crate::{
    config::{self, Access, Dialect},
    gate::{self, Verb},
    sql::{
        Position, Sink, Statement,
        error::{DbError, Kind},
        json::JsonRows,
        value::{Execution, Rows, Value},
    },
};

/// A database of the application.
#[derive(Debug)]
pub struct Database {
    engine: Engine,
    outbox: Outbox,
    streams: Streams,
    faults: Faults,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each database of the application")]
enum Engine {
    Sqlite(sqlite::SqliteDatabase),
    /// A PostgreSQL or MySQL primary and its replicas.
    Server(server::Server),
}

/// A connection in a transaction. If it is dropped before [`Connection::commit`] or [`Connection::rollback`], it is
/// closed, which rolls back. A connection never returns to its pool in an unknown state.
#[derive(Debug)]
pub struct Connection(AnyConnection);

#[derive(Debug)]
enum AnyConnection {
    Sqlite(sqlite::connection::Connection),
    Server(server::connection::Connection),
}

/// Makes the same call on either kind of connection.
macro_rules! each {
    ($any:expr, $it:ident => $call:expr) => {
        match $any {
            AnyConnection::Sqlite($it) => $call,
            AnyConnection::Server($it) => $call,
        }
    };
}

impl Database {
    /// Opens a database. Creates a missing SQLite file. Connects to a server's primary, or, if the primary is
    /// unreachable, starts with its replicas. `name` appears in metrics and log lines.
    pub async fn open(name: &str, config: &config::DatabaseConfig) -> Result<Self, DbError> {
        let (engine, table, tally) = match config.dialect {
            Dialect::Sqlite => {
                let database = sqlite::SqliteDatabase::open(name, config).await?;
                let tally = database.tally.clone();
                (Engine::Sqlite(database), host_tables::OUTBOX.to_owned(), tally)
            }
            Dialect::Postgres | Dialect::MySql => {
                let server = server::Server::open(name, config).await?;
                let (table, tally) = (server.host_table(host_tables::OUTBOX), server.tally.clone());
                (Engine::Server(server), table, tally)
            }
        };
        let (outbox, streams) = (Outbox::new(name, table, config), Streams::new(name, config, tally));
        Ok(Self { engine, outbox, streams, faults: Faults::default() })
    }

    /// Returns the streams of rows from this database.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns the SQL dialect.
    pub fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Server(server) => server.dialect(),
        }
    }

    /// Returns the state of the outbox that all generations with this database share.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Takes a connection from a pool and begins a transaction on it. On SQLite, the first statement begins the
    /// transaction.
    pub async fn begin(&self, options: &TransactionOptions) -> Result<Connection, DbError> {
        Ok(Connection(match &self.engine {
            Engine::Sqlite(database) => AnyConnection::Sqlite(database.begin(options).await?),
            Engine::Server(server) => AnyConnection::Server(server.begin(options).await?),
        }))
    }

    /// Begins a transaction for the host's own tables, with the login of `admin_url` if there is one: logins of guests
    /// need no rights on these tables.
    pub async fn begin_as_host(&self, access: Access) -> Result<Connection, DbError> {
        Ok(Connection(match &self.engine {
            Engine::Sqlite(database) => AnyConnection::Sqlite(database.begin_as_host(access).await?),
            Engine::Server(server) => AnyConnection::Server(server.begin_as_host(access).await?),
        }))
    }

    /// Returns whether reads may go to a replica. Only then does a client need a [`Position`].
    pub fn has_replicas(&self) -> bool {
        matches!(&self.engine, Engine::Server(server) if server.has_replicas())
    }

    /// Returns whether a transaction is committed, for a commit that the server did not answer. Returns `None` if the
    /// outcome cannot be determined.
    pub async fn resolve(&self, transaction: &str) -> Option<bool> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Server(server) => server.resolve(transaction).await,
        }
    }

    /// Creates one of the host's own tables if it is missing, together with its schema (PostgreSQL) or database
    /// (MySQL).
    pub(crate) async fn ensure(&self, table: &str, columns: &str) -> Result<(), DbError> {
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
        match self.run_ddl(format!("{place}CREATE TABLE IF NOT EXISTS {table} ({columns})")).await {
            // On PostgreSQL, `CREATE .. IF NOT EXISTS` can fail if another session creates the same table at the same
            // time.
            Err(error) => {
                if self.has(table).await? {
                    Ok(())
                } else {
                    Err(host_tables::with_remedy(error, table))
                }
            }
            made => made,
        }
    }

    /// Returns whether one of the host's own tables exists and can be read.
    async fn has(&self, table: &str) -> Result<bool, DbError> {
        self.has_columns(table, "1").await
    }

    /// Returns whether one of the host's own tables exists, has these columns, and can be read.
    pub(crate) async fn has_columns(&self, table: &str, columns: &str) -> Result<bool, DbError> {
        // Read-only, so that a reload does not wait for a write transaction.
        let mut connection = self.begin_as_host(Access::ReadOnly).await?;
        let found = connection.query_as_host(format!("SELECT {columns} FROM {table} LIMIT 1"), Vec::new()).await;
        connection.rollback().await?;
        Ok(found.is_ok())
    }

    /// Runs statements that change the schema with the owner's login, outside a transaction.
    pub(crate) async fn run_ddl(&self, sql: String) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(database) => database.run_ddl(sql).await,
            Engine::Server(server) => server.connect().await?.run_batch(sql).await,
        }
    }

    /// Writes a copy of an SQLite database to a file that does not exist yet.
    pub(crate) async fn save_to(&self, file: &Path) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(database) => database.save_to(file).await,
            Engine::Server(_) => Err(DbError::new(Kind::Other, "only an SQLite database can be saved".to_owned())),
        }
    }

    /// Opens a connection with the owner's login, outside the pools and without the barrier.
    pub(crate) async fn connect_as_owner(&self) -> Result<OwnerConnection, DbError> {
        Ok(match &self.engine {
            Engine::Sqlite(database) => OwnerConnection::Sqlite(database.connect().await?),
            Engine::Server(server) => server.connect().await?.into(),
        })
    }

    /// Returns whether the database exists and can be read. `false` means that the SQLite file does not exist yet.
    pub async fn exists(config: &config::DatabaseConfig) -> Result<bool, DbError> {
        Ok(OwnerConnection::to_existing(config).await?.is_some())
    }

    /// Retires all open connections after a change of the schema, because their prepared statements may be stale. The
    /// pools close retired connections instead of lending them again.
    pub fn renew_connections(&self) {
        match &self.engine {
            Engine::Sqlite(database) => database.renew_connections(),
            Engine::Server(server) => server.renew_connections(),
        }
    }

    /// Closes the pools. Connections in use are closed when they are returned.
    pub fn close(&self) {
        match &self.engine {
            Engine::Sqlite(database) => database.close(),
            Engine::Server(server) => server.close(),
        }
    }
}

impl Connection {
    /// Runs a guest's statement behind the barrier. Its rows go to `sink`.
    pub async fn run(&mut self, statement: Statement, sink: Sink<'_>) -> Result<Execution, DbError> {
        let Statement { component, request, sql, params } = statement;
        let limits = each!(&self.0, connection => connection.limits());
        let redaction = Redaction::of(&params, limits.echo_params);
        // The gate checks the statement here, for all engines, before the host sends it.
        let checked = match &self.0 {
            AnyConnection::Sqlite(connection) => sqlite::rules().check(&sql, &params, connection.access()),
            AnyConnection::Server(connection) => connection
                .rules()
                .and_then(|rules| rules.check(&sql, &params, connection.access()))
                .and_then(|checked| connection.check_runaways(&component).map(|()| checked)),
        };
        let checked = checked.map_err(|error| redaction.apply(error).in_statement(&sql))?;
        let echoed = limits.echo.then(|| Echoed {
            component: component.clone(),
            request: request.clone(),
            sql: sql.clone(),
            params: limits.echo_params.then(|| format!("{params:?}")),
        });
        let mut receiver = Receiver::new(sink, limits, checked.verb);
        let result = match &mut self.0 {
            AnyConnection::Sqlite(connection) => connection.run(sql, &checked, params, &mut receiver).await,
            AnyConnection::Server(connection) => {
                let sent = Sent { component: Some(component), request: Some(request), sql };
                connection.run(sent, &checked.placeholders, params, &mut receiver).await
            }
        };
        if let Some(echoed) = echoed {
            receiver.echo(echoed);
        }
        let counts = result.map(|()| receiver.counts());
        counts.map_err(|error| redaction.apply(error).in_statement(each!(&self.0, connection => connection.sent())))
    }

    /// Returns the statement that was sent and has not ended. If its caller was cancelled, this is the statement that
    /// the caller waited for.
    pub(crate) fn running(&self) -> Option<&str> {
        each!(&self.0, connection => connection.is_running().then(|| connection.sent())).filter(|sql| !sql.is_empty())
    }

    /// Opens a savepoint at `level`; the outermost level is 0.
    pub async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.savepoint(level).await)
    }

    /// Releases the savepoint at `level` and the savepoints inside it. Their changes stay in the transaction.
    pub async fn release(&mut self, level: usize) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.release(level).await)
    }

    /// Rolls back to the savepoint at `level`, and removes the savepoints inside it. Unless `keep`, also removes the
    /// savepoint itself.
    pub async fn rollback_to(&mut self, level: usize, keep: bool) -> Result<(), DbError> {
        each!(&mut self.0, connection => connection.rollback_to(level, keep).await)
    }

    /// Runs a query of the host in this transaction, with `?` as the placeholder of a parameter.
    pub async fn query_as_host(&mut self, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let mut rows = Rows::default();
        self.run_as_host(sql, params, Sink::Rows(&mut rows)).await?;
        Ok(rows.rows)
    }

    /// Runs a statement in this transaction as the host, with `?` as the placeholder of a parameter, and writes its rows.
    pub(crate) async fn query_json_as_host(
        &mut self,
        sql: String,
        params: Vec<Value>,
        rows: &mut JsonRows,
    ) -> Result<(), DbError> {
        self.run_as_host(sql, params, Sink::Json(rows)).await.map(drop)
    }

    /// Runs a statement of the host that returns no rows, with `?` as the placeholder of a parameter.
    pub async fn execute_as_host(&mut self, sql: String, params: Vec<Value>) -> Result<Execution, DbError> {
        self.run_as_host(sql, params, Sink::Nothing).await
    }

    async fn run_as_host(&mut self, sql: String, params: Vec<Value>, sink: Sink<'_>) -> Result<Execution, DbError> {
        match &mut self.0 {
            AnyConnection::Sqlite(connection) => connection.run_as_host(sql, params, sink).await,
            AnyConnection::Server(connection) => {
                let placeholders = gate::placeholders(connection.dialect(), &sql);
                let mut receiver = Receiver::new(sink, connection.limits(), Verb::Change);
                connection
                    .run(Sent { component: None, request: None, sql }, &placeholders, params, &mut receiver)
                    .await?;
                Ok(receiver.counts())
            }
        }
    }

    /// Returns whether a statement failed only because it was prepared on this connection before the schema changed.
    /// Such a statement may succeed on a new connection. The check may end the transaction, which has failed anyway.
    pub async fn confirm_stale(&mut self, error: &DbError) -> bool {
        match &mut self.0 {
            // SQLite compiles a stale statement again when it runs.
            AnyConnection::Sqlite(_) => false,
            AnyConnection::Server(connection) => connection.confirm_stale(error.stale).await,
        }
    }

    /// Returns the identifier to pass to [`Database::resolve`]. Only write transactions on PostgreSQL have one.
    pub fn transaction_id(&self) -> Option<&str> {
        match &self.0 {
            AnyConnection::Sqlite(_) => None,
            AnyConnection::Server(connection) => connection.transaction_id(),
        }
    }

    /// Commits and returns the connection to its pool. With replicas, returns the position of the commit, where the
    /// server reports one.
    pub async fn commit(self) -> Result<Option<Position>, DbError> {
        match self.0 {
            AnyConnection::Sqlite(connection) => connection.commit().await.map(|()| None),
            AnyConnection::Server(connection) => connection.commit().await,
        }
    }

    /// Gives the connection of a read transaction back to its pool without ending the transaction; the next borrower
    /// ends it. Returns `Some(self)` if no caller waits for a connection, or if the transaction must not stay open.
    pub fn hand_over(self) -> Option<Self> {
        match self.0 {
            AnyConnection::Sqlite(connection) => {
                connection.hand_over().map(|connection| Self(AnyConnection::Sqlite(connection)))
            }
            AnyConnection::Server(connection) => {
                connection.hand_over().map(|connection| Self(AnyConnection::Server(connection)))
            }
        }
    }

    /// Rolls back and returns the connection to its pool.
    pub async fn rollback(self) -> Result<(), DbError> {
        each!(self.0, connection => connection.rollback().await)
    }
}
