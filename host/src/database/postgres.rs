//! PostgreSQL's side of [`server`](super::server): what is said to begin and end a transaction, and how a statement
//! runs. The server keeps guests inside: a login that may do little, a read-only transaction, timeouts.

mod error;
pub(super) mod extensions;
mod statement;
mod values;

use std::{fmt, sync::Arc, time::Instant};

use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _,
    postgres::{PgConnectOptions, PgRow},
};

use self::error::failed;
use super::{
    Access, Dialect, Position,
    error::{DbError, Kind, Stale},
    guard::{Placeholder, Rules},
    harden::IS_RUNNING,
    outbox::HOST_SCHEMA,
    server::{Answer, End, Mode, Outcome, Times},
    sink::Run,
    value::Value,
};

/// Takes back what a guest with a login that may do more than it needs could have left on the session. Unlike
/// DISCARD ALL it can share a message with others and leaves the driver's prepared statements alone.
const CLEAN: &str = "RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP";

/// Its other part. It can stand before the end of a transaction: in one that has failed it is an error.
const CLOSE: &str = "CLOSE ALL";

/// The error of an end with AND CHAIN where there is no transaction.
const ENDED: &str = "25P01";

/// What each transaction asks, prepared once: a SELECT that comes as text costs the server as much as a guest's
/// statement. The first tells a writing transaction's number. The second takes back locks that outlive the transaction,
/// which functions of the application may take, and returns no row. The third does both.
const PREPARE: &str = "PREPARE carya_number AS SELECT pg_current_xact_id()::text; \
    PREPARE carya_unlock AS SELECT WHERE pg_advisory_unlock_all()::text IS NULL; \
    PREPARE carya_next AS SELECT pg_current_xact_id()::text WHERE pg_advisory_unlock_all()::text IS NOT NULL";

/// Asks for the number of a writing transaction.
const NUMBER: &str = "EXECUTE carya_number";

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(in crate::database) connection: PgConnection,
    backend: Backend,
    /// When the connection was made, by the server's clock in seconds since 1970 and by ours.
    connected: (f64, Instant),
    /// A query without rows. It takes back locks, where the login may do that.
    unlock: &'static str,
    /// Asks for the number of a writing transaction, and takes back the locks of the one before likewise.
    next: &'static str,
    rules: Rules,
    /// The text of a statement that failed, perhaps because the types of its parameters have changed.
    suspect: Option<Arc<str>>,
}

/// A server process.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pid: u32,
    /// When its server began to run, in seconds since 1970. After a restart the process id may be that of another session.
    started: String,
}

/// Settings that the gate relies on when it reads a statement. Sent with the start of a session they go before those of
/// the server, the database and the role, and are what `RESET ALL` goes back to. The driver sends the encoding.
const READING: [(&str, &str); 2] = [("standard_conforming_strings", "on"), ("backslash_quote", "safe_encoding")];

/// Whether the session has them, which a pooler in between may have kept back.
const READS: &str = "SELECT concat_ws(', ', nullif(current_setting('standard_conforming_strings'), 'on'), \
    nullif(current_setting('backslash_quote'), 'safe_encoding'), nullif(current_setting('client_encoding'), 'UTF8'))";

/// The options of all connections: those of the URL, what the gate relies on, and what makes text forms and waiting the
/// same everywhere.
pub(super) fn options(options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("carya")
        .statement_cache_capacity(100)
        .options([("IntervalStyle", "postgres"), ("idle_in_transaction_session_timeout", "60s")])
        .options(READING)
        // It would show guests' values in the log; see `echo`.
        .disable_statement_logging()
}

/// Connects, with limits for transactions where there are any: as the session's own defaults they are what it is reset to,
/// and no BEGIN has to repeat them. Has the server end statements whose client has gone, and with them their locks, where
/// it can.
pub(super) async fn connect(
    options: &PgConnectOptions,
    times: Option<Times>,
    allow_functions: &[String],
) -> Result<Session, DbError> {
    let mut options = options.clone();
    if let Some(Times { statement, lock }) = times {
        let limits = [("statement_timeout", statement), ("lock_timeout", lock)];
        options = options.options(limits.map(|(name, time)| (name, time.as_millis().max(1))));
    }
    let watchful = options.clone().options([("client_connection_check_interval", "100ms")]);
    let mut connection = match PgConnection::connect_with(&watchful).await.map_err(failed) {
        // Before version 14, and on systems that do not tell.
        Err(error) if matches!(error.code.as_deref(), Some("42704" | "22023")) => {
            PgConnection::connect_with(&options).await.map_err(failed)?
        }
        connected => connected?,
    };
    let questions = format!(
        "{PREPARE}; SELECT extract(epoch FROM pg_postmaster_start_time())::text; SELECT pg_backend_pid()::text; \
        SELECT has_function_privilege('pg_catalog.pg_advisory_unlock_all()', 'EXECUTE')::text; \
        SELECT extract(epoch FROM clock_timestamp())::text; {READS}; {}",
        extensions::question()
    );
    let mut answers = say(&mut connection, questions).await?.into_iter().map(Option::unwrap_or_default);
    let started = answers.next().unwrap_or_default();
    let pid = answers.next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
    let (unlock, next) = match answers.next().as_deref() {
        Some("true") => ("EXECUTE carya_unlock", "EXECUTE carya_next"),
        _ => ("SELECT WHERE FALSE", NUMBER),
    };
    let clock = answers.next().and_then(|clock| clock.parse().ok()).unwrap_or_default();
    if let Some(others) = answers.next().filter(|others| !others.is_empty()) {
        let message = format!(
            "the session ignores standard_conforming_strings = on, backslash_quote = safe_encoding or client_encoding = \
            UTF8, which the host asks for when it connects: it has {others}; connect without a pooler that drops settings"
        );
        return Err(DbError::new(Kind::Other, message));
    }
    let functions = answers.next().unwrap_or_default();
    let refused = extensions::forbidden(&functions, allow_functions);
    let rules = Rules::new(Dialect::Postgres).with_extensions(refused, allow_functions);
    let backend = Backend { pid, started };
    Ok(Session { connection, backend, connected: (clock, Instant::now()), unlock, next, rules, suspect: None })
}

/// Begins, and ends the transaction that is open, if there is one. A writing transaction gets its number at once, by which
/// its outcome can be asked for whatever happens. In a reading one a first query makes READ ONLY final; it also takes back
/// the locks of the one before.
pub(super) async fn begin(session: &mut Session, mode: Mode, open: Option<Mode>) -> Result<Option<String>, DbError> {
    let begin = || {
        let isolation = mode.isolation.map_or_else(String::new, |level| format!(" ISOLATION LEVEL {}", level.as_sql()));
        format!("BEGIN{isolation} {}", mode.access_as_sql())
    };
    // It comes right behind the end: a query between two transactions would belong to the second one.
    let start = match open {
        Some(like) if like == mode => "ROLLBACK AND CHAIN".to_owned(),
        Some(_) => format!("ROLLBACK; {}", begin()),
        None => begin(),
    };
    let first = match mode.access {
        Access::ReadWrite if open.is_some() => session.next,
        Access::ReadWrite => NUMBER,
        Access::ReadOnly | Access::None => session.unlock,
    };
    let begun = session.clock();
    let answers = say(&mut session.connection, format!("{start}; {first}")).await;
    let answers = answers.map_err(|error| End::unless_early(error, ENDED))?;
    Ok(session.name(answers.into_iter().next().flatten(), begun))
}

impl Backend {
    /// SQL that ends this process. Hardened logins may not run it: there the server notices that the client is gone.
    pub(super) fn kill(&self) -> String {
        let Self { pid, started } = self;
        format!("SELECT pg_terminate_backend({pid})::text WHERE {}", Self::is_same_server(started))
    }

    /// Two queries, of which either returns a row while this process runs: the second for hardened logins, by a function
    /// that `carya harden` makes.
    pub(super) fn look(&self) -> [String; 2] {
        let Self { pid, started } = self;
        let same = Self::is_same_server(started);
        [
            format!("SELECT pid::text FROM pg_stat_get_activity({pid}) WHERE {same}"),
            format!("SELECT 'runs' WHERE {HOST_SCHEMA}.{IS_RUNNING}({pid}) AND {same}"),
        ]
    }

    fn is_same_server(started: &str) -> String {
        format!("extract(epoch FROM pg_postmaster_start_time())::text = '{started}'")
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

impl Session {
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The server's clock, in seconds since 1970, or a little less.
    fn clock(&self) -> f64 {
        let (clock, at) = self.connected;
        clock + at.elapsed().as_secs_f64()
    }

    /// The name of a transaction with a number. That could be given again after a crash: so the name also tells when its
    /// server and when it began.
    fn name(&self, number: Option<String>, begun: f64) -> Option<String> {
        number.map(|number| format!("{number} {} {begun}", self.backend.started))
    }
}

/// Prepares a statement and runs it.
pub(super) async fn run(
    session: &mut Session,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
    run: &mut Run<'_, '_>,
) -> Result<(), (DbError, bool)> {
    let mut first = None;
    let result = send(&mut session.connection, sql, placeholders, params, run, &mut first).await;
    let is_suspect = matches!(&result, Err((error, _)) if error.stale == Stale::Perhaps);
    session.suspect = first.filter(|_| is_suspect);
    result
}

/// Whether the statement that failed last did so because the types of its parameters have changed since it was prepared.
/// Ends the transaction, which has failed and can only be rolled back.
pub(super) async fn confirm_stale(session: &mut Session) -> Result<bool, DbError> {
    match session.suspect.take() {
        Some(text) => statement::has_other_parameters(&mut session.connection, &text).await,
        None => Ok(false),
    }
}

async fn send(
    connection: &mut PgConnection,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
    run: &mut Run<'_, '_>,
    first: &mut Option<Arc<str>>,
) -> Result<(), (DbError, bool)> {
    let in_order = |error: DbError| {
        let is_lost = error.kind == Kind::Lost;
        (error, is_lost)
    };
    let (sql, arguments) = statement::ready(connection, sql, placeholders, params, first).await.map_err(in_order)?;
    let wants_columns = run.sink.lacks_columns().then(|| sql.clone());
    let version = connection.server_version_num().unwrap_or_default();
    {
        let mut stream = (&mut *connection).fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
        while let Some(next) = stream.next().await {
            match next.map_err(|error| in_order(failed(error)))? {
                Either::Left(done) => run.did(done.rows_affected(), None),
                Either::Right(row) => {
                    let values = values::decode_each(&row, version, run.limits);
                    run.row(|| values::columns(&row), values::names(&row), values).map_err(|error| (error, true))?;
                }
            }
        }
    }
    if let Some(sql) = wants_columns
        && run.sink.lacks_columns()
    {
        // Found in the driver's cache.
        let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await;
        let prepared = prepared.map_err(|error| in_order(failed(error)))?;
        run.sink.columns(prepared.columns().iter().map(values::column).collect());
    }
    run.end().map_err(|error| (error, false))
}

/// Runs statements without parameters in one message, and gives the first value of each row.
pub(super) async fn say(connection: &mut PgConnection, sql: String) -> Result<Vec<Option<String>>, DbError> {
    let mut answers = Vec::new();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = stream.next().await {
        let row: PgRow = row.map_err(failed)?;
        answers.push(row.try_get(0).map_err(failed)?);
    }
    Ok(answers)
}

/// Commits. On a transaction that has failed what stands before the COMMIT is an error already, so that none can pass that
/// the server would turn into a rollback; and AND CHAIN is an error where there is no transaction any more.
///
/// It begins another transaction, of the same kind. With `next` that is somebody's: all that comes behind the COMMIT is part
/// of it, and taken back with it: after its rollback, as after each, the session is cleaned again.
pub(super) async fn commit(session: &mut Session, with_position: bool, next: bool) -> Result<End, DbError> {
    let position = if with_position { "SELECT pg_current_wal_insert_lsn()::text; " } else { "" };
    let (end, last) = if next { ("", session.next) } else { ("ROLLBACK; ", session.unlock) };
    let sql = format!("{CLOSE}; COMMIT AND CHAIN; {end}{CLEAN}; {position}{last}");
    let begun = session.clock();
    let answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut session.connection).map(|next| match next {
        Ok(Either::Left(_)) => Ok(Answer::Done),
        Ok(Either::Right(row)) => row.try_get(0).map(Answer::Value).map_err(failed),
        Err(error) => Err(failed(error)),
    });
    let read = End::read(answers, 2).await;
    let (values, is_in_order) = read.map_err(|error| End::unless_early(error, ENDED))?;
    let mut values = values.into_iter();
    let position = if with_position { values.next().flatten().and_then(|lsn| lsn.parse().ok()) } else { None };
    let next = session.name(values.next().flatten(), begun);
    Ok(End { position, next, is_in_order })
}

/// Rolls back. That takes back all that a reader can have done, but for locks.
pub(super) async fn rollback(session: &mut Session, access: Access) -> Result<(), DbError> {
    let Session { connection, unlock, .. } = session;
    let sql = match access {
        Access::ReadWrite => format!("ROLLBACK; {CLOSE}; {CLEAN}; {unlock}"),
        Access::ReadOnly | Access::None => format!("ROLLBACK; {unlock}"),
    };
    say(connection, sql).await.map(drop)
}

/// How far a primary has written its log, or how far a replica has replayed it.
pub(super) async fn position(connection: &mut PgConnection, of_replica: bool) -> Result<Position, DbError> {
    let function = if of_replica { "pg_last_wal_replay_lsn" } else { "pg_current_wal_insert_lsn" };
    let answers = say(connection, format!("SELECT {function}()::text")).await?;
    let lsn = answers.into_iter().flatten().next().and_then(|lsn| lsn.parse().ok());
    lsn.ok_or_else(|| DbError::new(Kind::Other, "the server is no replica: it replays nothing"))
}

/// What became of a transaction. A server that has recovered from a crash may have given its number to another one since:
/// that it is committed is believed only of the same run of the server, with no checkpoint since it began, because a
/// recovery ends with one.
pub(super) async fn outcome(connection: &mut PgConnection, transaction: &str) -> Result<Outcome, DbError> {
    let mut parts = transaction.splitn(3, ' ');
    let (Some(number), Some(started), Some(begun)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(Outcome::Unknown);
    };
    let sql = format!(
        "SELECT CASE WHEN status <> 'committed' OR extract(epoch FROM pg_postmaster_start_time()) = {started} \
            AND checkpoint_time + interval '2 s' <= to_timestamp({begun}) THEN status END \
        FROM pg_xact_status('{number}'::xid8) AS status, pg_control_checkpoint()"
    );
    let answers = match say(connection, sql).await {
        // It is in the future: this run of the server has given out no such number, nor has its log.
        Err(error) if error.code.as_deref() == Some("22023") => return Ok(Outcome::RolledBack),
        answers => answers?,
    };
    Ok(match answers.into_iter().flatten().next().as_deref() {
        Some("committed") => Outcome::Committed,
        Some("aborted") => Outcome::RolledBack,
        Some("in progress") => Outcome::Running,
        _ => Outcome::Unknown,
    })
}
