//! A session on a server of either dialect. The rest of `server` uses it without knowing the dialect: each operation
//! calls `postgres` or `mysql`.

use std::fmt;

use super::transaction::{Committed, TransactionStatus};
use crate::{
    config::Access,
    database::{
        constraint::Table,
        mysql,
        options::Mode,
        postgres,
        receiver::{Failure, Receiver},
    },
    gate::{Placeholder, Rules},
    sql::{Position, error::DbError, value::Value},
};

/// A session: a connection of the driver, with facts about its server.
#[derive(Debug)]
pub(in crate::database) enum ServerSession {
    /// PostgreSQL.
    Postgres(Box<postgres::PgSession>),
    /// MySQL or MariaDB.
    MySql(Box<mysql::MySqlSession>),
}

/// Identifier of a session on its server, by which another session of the same login can end it.
#[derive(Debug, Clone)]
pub(super) enum SessionId {
    Postgres(postgres::Backend),
    MySql(mysql::ThreadId),
}

impl ServerSession {
    /// Begins a transaction in one round trip. If a transaction of mode `open` is still open, ends it in the same
    /// message. Returns the name of the new transaction, if it has one.
    pub(super) async fn begin(&mut self, mode: Mode, open: Option<Mode>) -> Result<Option<String>, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::begin(session, mode, open).await,
            ServerSession::MySql(session) => session.begin(mode, open).await.map(|()| None),
        }
    }

    /// Prepares a statement and runs it with its parameters.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), Failure> {
        match self {
            ServerSession::Postgres(session) => postgres::run(session, sql, placeholders, params, receiver).await,
            ServerSession::MySql(session) => session.run(sql, placeholders, params, receiver).await,
        }
    }

    /// Prepares a query and passes its rows to a client in pieces.
    pub(super) async fn stream(
        &mut self,
        sql: &str,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), Failure> {
        match self {
            ServerSession::Postgres(session) => postgres::stream(session, sql, placeholders, params, receiver).await,
            ServerSession::MySql(session) => session.stream(sql, placeholders, params, receiver).await,
        }
    }

    /// Returns whether the last statement failed because the types of its parameters have changed since it was
    /// prepared. Ends the transaction. Always false on MySQL, which accepts parameters of any type.
    pub(super) async fn confirm_stale(&mut self) -> Result<bool, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::confirm_stale(session).await,
            ServerSession::MySql(_) => Ok(false),
        }
    }

    /// Runs statements of the host without parameters in one round trip.
    pub(in crate::database) async fn run_batch(&mut self, sql: String) -> Result<(), DbError> {
        self.query_batch(sql).await.map(drop)
    }

    /// Runs statements like [`ServerSession::run_batch`], and returns the first value of each row.
    pub(in crate::database) async fn query_batch(&mut self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::query_batch(&mut session.connection, sql).await,
            ServerSession::MySql(session) => session.query_batch(sql).await,
        }
    }

    /// Returns the rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        match self {
            ServerSession::Postgres(session) => session.rules(),
            ServerSession::MySql(session) => session.rules(),
        }
    }

    /// Returns the identifier of the session on its server.
    pub(super) fn id(&self) -> SessionId {
        match self {
            ServerSession::Postgres(session) => SessionId::Postgres(session.backend().clone()),
            ServerSession::MySql(session) => SessionId::MySql(session.id()),
        }
    }

    /// Commits, and with `next` begins another transaction of the same mode, in one round trip.
    pub(super) async fn commit(&mut self, with_position: bool, next: bool) -> Result<Committed, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::commit(session, with_position, next).await,
            ServerSession::MySql(session) => session.commit(with_position, next).await,
        }
    }

    /// Rolls back in one round trip, and resets the session state that a guest with this access may have changed.
    pub(super) async fn rollback(&mut self, access: Access) -> Result<(), DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::rollback(session, access).await,
            ServerSession::MySql(session) => session.rollback(access).await,
        }
    }

    /// Returns the position to which a primary has written, or to which a replica has applied, the log.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::position(&mut session.connection, of_replica).await,
            ServerSession::MySql(session) => session.position(of_replica).await,
        }
    }

    /// Keeps the present data of `database` readable for as long as this session exists. Returns the name of this data, for
    /// [`read_past`](Self::read_past) in sessions of `login`.
    pub(super) async fn keep_data(&mut self, database: &str, login: &str) -> Result<String, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::export_snapshot(&mut session.connection).await,
            ServerSession::MySql(session) => mysql::copy::freeze(session, database, login).await,
        }
    }

    /// Makes all further transactions of this session read the data with this name.
    pub(super) async fn read_past(&mut self, name: &str) -> Result<(), DbError> {
        match self {
            ServerSession::Postgres(session) => {
                session.snapshot = Some(name.to_owned());
                Ok(())
            }
            ServerSession::MySql(session) => session.query_batch(format!("USE {name}")).await.map(drop),
        }
    }

    /// Returns the constraints of a table.
    pub(super) async fn read_table(&mut self, schema: &str, table: &str) -> Result<Table, DbError> {
        match self {
            ServerSession::Postgres(session) => {
                postgres::catalogue::read_table(&mut session.connection, schema, table).await
            }
            ServerSession::MySql(session) => session.read_table(schema, table).await,
        }
    }

    /// Returns the outcome of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<TransactionStatus, DbError> {
        match self {
            ServerSession::Postgres(session) => postgres::outcome(&mut session.connection, transaction).await,
            ServerSession::MySql(_) => Ok(TransactionStatus::Unknown),
        }
    }
}

impl SessionId {
    /// Returns SQL that ends the session.
    pub(super) fn kill(&self) -> String {
        match self {
            SessionId::Postgres(backend) => backend.kill(),
            SessionId::MySql(thread) => thread.kill(),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionId::Postgres(backend) => backend.fmt(f),
            SessionId::MySql(thread) => thread.fmt(f),
        }
    }
}
