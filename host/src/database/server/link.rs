//! A connection to a server of either dialect: the operations that the rest of `server` uses, passed on to `postgres`
//! or `mysql`.

use std::{fmt, time::Duration};

use crate::{
    config::{Access, Isolation},
    database::{
        mysql, postgres,
        receiver::{Failure, Receiver},
    },
    gate::{Placeholder, Rules},
    sql::{
        Position,
        error::{DbError, Kind},
        value::Value,
    },
};
use futures_util::{Stream, StreamExt};

/// A connection to a server.
#[derive(Debug)]
pub(in crate::database) enum Link {
    /// PostgreSQL.
    Postgres(Box<postgres::Session>),
    /// MySQL or MariaDB.
    MySql(Box<mysql::Session>),
}

/// Identifier of a session on its server, by which another session of the same login can end it.
#[derive(Debug, Clone)]
pub(super) enum SessionId {
    Postgres(postgres::Backend),
    MySql(mysql::ThreadId),
}

/// Access mode and isolation level of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) struct Mode {
    pub(in crate::database) access: Access,
    pub(in crate::database) isolation: Option<Isolation>,
}

impl Mode {
    /// Mode of a transaction that can be begun in the message of a COMMIT, if the committed transaction has this mode
    /// too.
    pub(super) const NEXT: Self = Self { access: Access::ReadWrite, isolation: None };

    /// Returns the access mode in SQL, which is the same in both dialects.
    pub(in crate::database) fn access_as_sql(self) -> &'static str {
        match self.access {
            Access::ReadWrite => "READ WRITE",
            Access::ReadOnly | Access::None => "READ ONLY",
        }
    }
}

/// Timeouts that the server applies to the statements and lock waits of a session.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Times {
    pub(in crate::database) statement: Duration,
    pub(in crate::database) lock: Duration,
}

/// Result of a commit.
#[derive(Debug)]
pub(in crate::database) struct End {
    /// Position of the server after the COMMIT, if it was requested.
    pub(in crate::database) position: Option<Position>,
    /// Name of the next transaction, if one was begun and has a name.
    pub(in crate::database) next: Option<String>,
    /// Whether the statements after the COMMIT succeeded. If not, the connection must be closed.
    pub(in crate::database) is_in_order: bool,
}

/// Part of the answer to a message of several statements.
#[derive(Debug)]
pub(in crate::database) enum Answer {
    /// First value of a row.
    Value(Option<String>),
    /// End of a statement.
    Done,
}

/// Outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Outcome {
    Committed,
    RolledBack,
    Running,
    /// The server does not know the outcome, or not reliably.
    Unknown,
}

impl End {
    /// Reads the answer to a message in which statement number `commit`, counted from 1, is the COMMIT. Returns the
    /// values, and whether all statements succeeded. An error after the COMMIT does not undo it, so it is logged only.
    pub(in crate::database) async fn read(
        mut answers: impl Stream<Item = Result<Answer, DbError>> + Unpin,
        commit: usize,
    ) -> Result<(Vec<Option<String>>, bool), DbError> {
        let (mut values, mut done) = (Vec::new(), 0);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Answer::Value(value)) => values.push(value),
                Ok(Answer::Done) => done += 1,
                Err(error) if done >= commit => {
                    tracing::warn!(%error, "a commit was done, and what is said after it was not");
                    return Ok((values, false));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((values, true))
    }

    /// Converts the error of a message that ends a transaction. `code` is the dialect's error code for a message
    /// outside a transaction, which means that the transaction has ended before.
    pub(in crate::database) fn unless_early(error: DbError, code: &str) -> DbError {
        if error.code.as_deref() != Some(code) {
            return error;
        }
        DbError::new(Kind::Lost, "the transaction was ended before the host ended it; its connection is closed")
    }
}

impl Link {
    /// Begins a transaction in one round trip. If a transaction is still `open`, ends it in the same message. Returns
    /// the name of the new transaction, if it has one.
    pub(super) async fn begin(&mut self, mode: Mode, open: Option<Mode>) -> Result<Option<String>, DbError> {
        match self {
            Link::Postgres(session) => postgres::begin(session, mode, open).await,
            Link::MySql(session) => session.begin(mode, open).await.map(|()| None),
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
            Link::Postgres(session) => postgres::run(session, sql, placeholders, params, receiver).await,
            Link::MySql(session) => session.run(sql, placeholders, params, receiver).await,
        }
    }

    /// Returns whether the last statement failed because the types of its parameters have changed since it was
    /// prepared. Ends the transaction. Always false on MySQL, which accepts parameters of any type.
    pub(super) async fn confirm_stale(&mut self) -> Result<bool, DbError> {
        match self {
            Link::Postgres(session) => postgres::confirm_stale(session).await,
            Link::MySql(_) => Ok(false),
        }
    }

    /// Runs statements of the host without parameters in one round trip.
    pub(in crate::database) async fn say(&mut self, sql: String) -> Result<(), DbError> {
        self.ask(sql).await.map(drop)
    }

    /// Runs statements like [`Link::say`], and returns the first value of each row.
    pub(super) async fn ask(&mut self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        match self {
            Link::Postgres(session) => postgres::say(&mut session.connection, sql).await,
            Link::MySql(session) => session.say(sql).await,
        }
    }

    /// Returns the rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        match self {
            Link::Postgres(session) => session.rules(),
            Link::MySql(session) => session.rules(),
        }
    }

    /// Returns the identifier of the session on its server.
    pub(super) fn id(&self) -> SessionId {
        match self {
            Link::Postgres(session) => SessionId::Postgres(session.backend().clone()),
            Link::MySql(session) => SessionId::MySql(session.id()),
        }
    }

    /// Commits, and with `next` begins another transaction of the same mode, in one round trip.
    pub(super) async fn commit(&mut self, with_position: bool, next: bool) -> Result<End, DbError> {
        match self {
            Link::Postgres(session) => postgres::commit(session, with_position, next).await,
            Link::MySql(session) => session.commit(with_position, next).await,
        }
    }

    /// Rolls back in one round trip, and resets the session state that a guest with this access may have changed.
    pub(super) async fn rollback(&mut self, access: Access) -> Result<(), DbError> {
        match self {
            Link::Postgres(session) => postgres::rollback(session, access).await,
            Link::MySql(session) => session.rollback(access).await,
        }
    }

    /// Returns the position that a primary has written, or that a replica has applied.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        match self {
            Link::Postgres(session) => postgres::position(&mut session.connection, of_replica).await,
            Link::MySql(session) => session.position(of_replica).await,
        }
    }

    /// Returns the outcome of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<Outcome, DbError> {
        match self {
            Link::Postgres(session) => postgres::outcome(&mut session.connection, transaction).await,
            Link::MySql(_) => Ok(Outcome::Unknown),
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
