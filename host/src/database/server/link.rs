//! One connection to a server, in the dialect that it speaks: what the rest of `server` says to a server is said here,
//! in the same words for both.

use std::{fmt, time::Duration};

use crate::database::{
    Access, Isolation, Position,
    error::{DbError, Kind},
    guard::{Placeholder, Rules},
    mysql, postgres,
    sink::Run,
    value::Value,
};
use futures_util::{Stream, StreamExt};

/// A connection.
#[derive(Debug)]
pub(in crate::database) enum Link {
    /// To PostgreSQL.
    Postgres(Box<postgres::Session>),
    /// To MySQL or MariaDB.
    MySql(Box<mysql::Session>),
}

/// A session on a server, as another session of the same login refers to it.
#[derive(Debug, Clone)]
pub(super) enum SessionId {
    Postgres(postgres::Backend),
    MySql(mysql::ThreadId),
}

/// How a transaction is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) struct Mode {
    pub(in crate::database) access: Access,
    pub(in crate::database) isolation: Option<Isolation>,
}

impl Mode {
    /// The one that is begun behind a COMMIT of one like it.
    pub(super) const NEXT: Self = Self { access: Access::ReadWrite, isolation: None };

    /// What it may do, in the words of both products.
    pub(in crate::database) fn access_as_sql(self) -> &'static str {
        match self.access {
            Access::ReadWrite => "READ WRITE",
            Access::ReadOnly | Access::None => "READ ONLY",
        }
    }
}

/// What every transaction begins with.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Times {
    pub(in crate::database) statement: Duration,
    pub(in crate::database) lock: Duration,
}

/// What the end of a transaction told.
#[derive(Debug)]
pub(in crate::database) struct End {
    /// How far the server had come by then, where that was asked.
    pub(in crate::database) position: Option<Position>,
    /// The name of the next transaction, where one was begun and has a name.
    pub(in crate::database) next: Option<String>,
    /// Whether what was said after the COMMIT was done too.
    pub(in crate::database) is_in_order: bool,
}

/// A part of the answer to a message of several statements.
#[derive(Debug)]
pub(in crate::database) enum Answer {
    /// The first value of a row.
    Value(Option<String>),
    /// A statement is done.
    Done,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Outcome {
    Committed,
    RolledBack,
    Running,
    /// The server does not know, or not for certain.
    Unknown,
}

impl End {
    /// Reads the answer to a message whose COMMIT is one of its first statements: the values, and whether all went well
    /// to the end. An error after the COMMIT takes nothing back.
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

    /// An error of what ends a transaction. By a code of its dialect it says that there was none any more.
    pub(in crate::database) fn unless_early(error: DbError, code: &str) -> DbError {
        if error.code.as_deref() != Some(code) {
            return error;
        }
        DbError::new(Kind::Lost, "the transaction was ended before the host ended it; its connection is closed")
    }
}

impl Link {
    /// Begins, in one round trip, and ends the transaction before it if one is still `open`. The name of the new
    /// one, where it has one.
    pub(super) async fn begin(&mut self, mode: Mode, open: Option<Mode>) -> Result<Option<String>, DbError> {
        match self {
            Link::Postgres(session) => postgres::begin(session, mode, open).await,
            Link::MySql(session) => session.begin(mode, open).await.map(|()| None),
        }
    }

    /// Prepares a guest's or the host's statement with its parameters, and runs it. `Err` with the second part false
    /// leaves the connection in order, with the transaction as the server has it after an error.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        run: &mut Run<'_, '_>,
    ) -> Result<(), (DbError, bool)> {
        match self {
            Link::Postgres(session) => postgres::run(session, sql, placeholders, params, run).await,
            Link::MySql(session) => session.run(sql, placeholders, params, run).await,
        }
    }

    /// Whether the statement that failed last did so because the types of its parameters have changed since it was
    /// prepared. Ends the transaction. MySQL takes parameters of any type.
    pub(super) async fn confirm_stale(&mut self) -> Result<bool, DbError> {
        match self {
            Link::Postgres(session) => postgres::confirm_stale(session).await,
            Link::MySql(_) => Ok(false),
        }
    }

    /// Runs one or more statements of the host without parameters, in one round trip.
    pub(in crate::database) async fn say(&mut self, sql: String) -> Result<(), DbError> {
        self.ask(sql).await.map(drop)
    }

    /// Runs one or more statements like [`Link::say`], and returns the first value of each row.
    pub(super) async fn ask(&mut self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        match self {
            Link::Postgres(session) => postgres::say(&mut session.connection, sql).await,
            Link::MySql(session) => session.say(sql).await,
        }
    }

    /// Rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        match self {
            Link::Postgres(session) => session.rules(),
            Link::MySql(session) => session.rules(),
        }
    }

    /// The session by which its server knows this connection.
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

    /// Rolls back, in one round trip, and takes back what a guest with this access could have done to the session.
    pub(super) async fn rollback(&mut self, access: Access) -> Result<(), DbError> {
        match self {
            Link::Postgres(session) => postgres::rollback(session, access).await,
            Link::MySql(session) => session.rollback(access).await,
        }
    }

    /// How far a primary has come, or how much of it a replica has.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        match self {
            Link::Postgres(session) => postgres::position(&mut session.connection, of_replica).await,
            Link::MySql(session) => session.position(of_replica).await,
        }
    }

    /// What became of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<Outcome, DbError> {
        match self {
            Link::Postgres(session) => postgres::outcome(&mut session.connection, transaction).await,
            Link::MySql(_) => Ok(Outcome::Unknown),
        }
    }
}

impl SessionId {
    /// SQL that has the server end the session.
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
