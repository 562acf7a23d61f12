//! Implements the operations of [`server`](super::server) for PostgreSQL: the SQL that begins and ends a transaction,
//! and the execution of a statement. The server restricts guests by a login with few rights, read-only transactions,
//! and timeouts.

pub(super) mod catalogue;
mod cursor;
mod error;
pub(super) mod extensions;
mod pooler;
mod statement;
mod values;

use std::{fmt, str::FromStr, sync::Arc, time::Instant};

use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Either, Executor, PgConnection, Row, Statement as _,
    postgres::{PgConnectOptions, PgQueryResult, PgRow},
};

use self::error::map_error;
pub(super) use self::{cursor::stream, statement::query_batch};
use super::{
    host_tables::{HOST_SCHEMA, IS_RUNNING},
    options::Mode,
    receiver::{Failure, Reader, Receiver},
    server::transaction::{Answer, Committed, Timeouts, TransactionStatus, ended_before, read_commit},
};
use crate::{
    config::{self, Access},
    gate::{Extensions, Placeholder, Rules},
    sql::{
        Position,
        error::{DbError, Kind},
        value::Value,
    },
};

/// Resets the session state that a guest could have changed if its login has more rights than it needs. Unlike `DISCARD
/// ALL`, these statements may share a message with others, and they keep the driver's prepared statements.
const CLEAN: &str = "RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP";

/// Closes cursors. It is separate from [`CLEAN`] because the host sends it before a COMMIT: in a failed transaction it
/// returns an error.
const CLOSE: &str = "CLOSE ALL";

/// SQLSTATE that `COMMIT AND CHAIN` and `ROLLBACK AND CHAIN` return outside a transaction.
const ENDED: &str = "25P01";

/// Statements that each transaction runs, prepared once per session. Sent as text, such a `SELECT` costs the server as
/// much as a guest's statement.
///
/// - `carya_number` returns the number of a write transaction.
/// - `carya_unlock` releases locks that outlive the transaction, which functions of the application may take. It
///   returns no row.
/// - `carya_next` does both.
const PREPARE: &str = "PREPARE carya_number AS SELECT pg_current_xact_id()::text; \
    PREPARE carya_unlock AS SELECT WHERE pg_advisory_unlock_all()::text IS NULL; \
    PREPARE carya_next AS SELECT pg_current_xact_id()::text WHERE pg_advisory_unlock_all()::text IS NOT NULL";

/// Query for the number of a write transaction.
const NUMBER: &str = "EXECUTE carya_number";

/// A connection to PostgreSQL.
#[derive(Debug)]
pub(super) struct PgSession {
    pub(in crate::database) connection: PgConnection,
    backend: Backend,
    /// Time at which the connection was opened: by the server's clock, in seconds since 1970, and by the host's clock.
    connected: (f64, Instant),
    /// Query that releases locks, if the login may call `pg_advisory_unlock_all`; otherwise the query does nothing. It
    /// returns no row in either case.
    unlock: &'static str,
    /// Query for the number of a write transaction. It also releases the locks of the previous transaction, under the
    /// same condition as `unlock`.
    next: &'static str,
    rules: Rules,
    /// Text of the last statement before casts were added to its parameters.
    last_text: Option<Arc<str>>,
    /// Whether the transaction has opened the cursor of a stream.
    has_cursor: bool,
    /// Exported snapshot that all transactions read. Only sessions of simulated replicas have one.
    pub(in crate::database) snapshot: Option<String>,
}

/// A server process.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pid: u32,
    /// Start time of the server, in seconds since 1970. After a restart another session may have the same process id.
    started: String,
}

/// Settings on which the gate relies when it reads a statement. The host sends them in the startup message. There they
/// override the settings of the server, the database and the role, and `RESET ALL` restores them. The driver sets
/// `client_encoding`.
const GATE_SETTINGS: [(&str, &str); 2] = [("standard_conforming_strings", "on"), ("backslash_quote", "safe_encoding")];

/// Query that returns, as one text, the values that differ from [`GATE_SETTINGS`] and from the driver's
/// `client_encoding`.
const CHECK_GATE_SETTINGS: &str = "SELECT concat_ws(', ', nullif(current_setting('standard_conforming_strings'), 'on'), \
    nullif(current_setting('backslash_quote'), 'safe_encoding'), nullif(current_setting('client_encoding'), 'UTF8'))";

/// Returns the options of a URL, with those for all connections: the settings on which the gate relies, the format of
/// intervals, and the timeout of idle transactions.
pub(super) fn options(url: &str) -> sqlx::Result<PgConnectOptions> {
    let name = config::option_of_url(url, "application_name");
    Ok(PgConnectOptions::from_str(url)?
        // Otherwise the driver would take the name from its environment.
        .application_name(name.as_deref().unwrap_or("carya"))
        .statement_cache_capacity(100)
        .options([("IntervalStyle", "postgres"), ("idle_in_transaction_session_timeout", "60s")])
        .options(GATE_SETTINGS)
        // The driver would log the values of guests. See `echo` for the host's own log of statements.
        .disable_statement_logging())
}

/// Opens a connection. With `timeouts`, sets them as defaults of the session, so that `RESET ALL` restores them and no
/// BEGIN has to repeat them. Where the server supports it, the server ends statements whose client is gone, and
/// releases their locks.
pub(super) async fn connect(
    options: &PgConnectOptions,
    timeouts: Option<Timeouts>,
    allow_functions: &[String],
) -> Result<PgSession, DbError> {
    let (mark, mut options) = pooler::mark(options.clone());
    if let Some(Timeouts { statement, lock, .. }) = timeouts {
        let limits = [("statement_timeout", statement), ("lock_timeout", lock)];
        options = options.options(limits.map(|(name, time)| (name, time.as_millis().max(1))));
    }
    let watchful = options.clone().options([("client_connection_check_interval", "100ms")]);
    let mut connection = match PgConnection::connect_with(&watchful).await.map_err(map_error) {
        // PostgreSQL before version 14 does not know the setting; some operating systems do not support it.
        Err(error) if matches!(error.code.as_deref(), Some("42704" | "22023")) => {
            PgConnection::connect_with(&options).await.map_err(map_error)?
        }
        connected => connected.map_err(pooler::explain)?,
    };
    let questions = format!(
        "{}; {PREPARE}; SELECT extract(epoch FROM pg_postmaster_start_time())::text; SELECT pg_backend_pid()::text; \
        SELECT has_function_privilege('pg_catalog.pg_advisory_unlock_all()', 'EXECUTE')::text; \
        SELECT extract(epoch FROM clock_timestamp())::text; {CHECK_GATE_SETTINGS}; {}",
        pooler::QUERY,
        extensions::question()
    );
    let answers = query_batch(&mut connection, questions).await.map_err(pooler::explain)?;
    let mut answers = answers.into_iter().map(Option::unwrap_or_default);
    if answers.next() != Some(mark) {
        return Err(pooler::refusal());
    }
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
            UTF8, which the host sets when it connects: the session has {others}; connect without a proxy that drops \
            settings"
        );
        return Err(DbError::new(Kind::Other, message));
    }
    let functions = answers.next().unwrap_or_default();
    let refused = extensions::forbidden(&functions, allow_functions);
    let rules = Rules::Postgres(Extensions::new(refused, allow_functions));
    let backend = Backend { pid, started };
    Ok(PgSession {
        connection,
        backend,
        connected: (clock, Instant::now()),
        unlock,
        next,
        rules,
        last_text: None,
        has_cursor: false,
        snapshot: None,
    })
}

/// Begins a transaction. If a transaction of mode `open` is open, ends it in the same message. A write transaction
/// obtains its number at once, so that its outcome can be looked up later. In a read transaction, the host runs a first
/// query: after it, `READ ONLY` can no longer be changed, and the locks of the previous transaction are released.
pub(super) async fn begin(session: &mut PgSession, mode: Mode, open: Option<Mode>) -> Result<Option<String>, DbError> {
    let begin = || {
        if let Some(snapshot) = &session.snapshot {
            // Only this level and a stricter one, which replicas do not have, accept a snapshot.
            return format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'");
        }
        let isolation = mode.isolation.map_or_else(String::new, |level| format!(" ISOLATION LEVEL {}", level.as_sql()));
        format!("BEGIN{isolation} {}", mode.access_as_sql())
    };
    // The new transaction must begin directly after the end of the old one: a query between them would be part of it.
    let start = match open {
        Some(like) if like == mode && session.snapshot.is_none() => "ROLLBACK AND CHAIN".to_owned(),
        Some(_) => format!("ROLLBACK; {}", begin()),
        None => begin(),
    };
    let first = match mode.access {
        Access::ReadWrite if open.is_some() => session.next,
        Access::ReadWrite => NUMBER,
        Access::ReadOnly | Access::None => session.unlock,
    };
    let begun = session.clock();
    session.has_cursor = false;
    let answers = query_batch(&mut session.connection, format!("{start}; {first}")).await;
    let answers = answers.map_err(|error| ended_before(error, ENDED))?;
    Ok(session.name(answers.into_iter().next().flatten(), begun))
}

impl Backend {
    /// Returns SQL that ends this process. Hardened logins have no right to run it. With such a login, the server ends
    /// the process when it detects that the client has disconnected.
    pub(super) fn kill(&self) -> String {
        let Self { pid, started } = self;
        format!("SELECT pg_terminate_backend({pid})::text WHERE {}", Self::is_same_server(started))
    }

    /// Returns two queries, each of which returns a row as long as this process exists. The second is for hardened
    /// logins, and calls a function that `carya harden` creates.
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

impl PgSession {
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Returns the rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the time of the server's clock, in seconds since 1970. The result is slightly early, never late.
    fn clock(&self) -> f64 {
        let (clock, at) = self.connected;
        clock + at.elapsed().as_secs_f64()
    }

    /// Returns the name of the transaction with this number. After a crash the server may assign the number again. The
    /// name therefore contains the start times of the server and of the transaction.
    fn name(&self, number: Option<String>, begun: f64) -> Option<String> {
        number.map(|number| format!("{number} {} {begun}", self.backend.started))
    }
}

/// Prepares a statement and runs it.
pub(super) async fn run(
    session: &mut PgSession,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
    receiver: &mut Receiver<'_>,
) -> Result<(), Failure> {
    let PgSession { connection, last_text, .. } = session;
    let (statement, arguments) = statement::prepare(connection, sql, placeholders, params, last_text).await?;
    let version = connection.server_version_num().unwrap_or_default();
    let reader = Reader {
        map_error,
        count: |done: PgQueryResult| (done.rows_affected(), None),
        take: |receiver: &mut Receiver<'_>, row: PgRow| {
            let values = values::decode_each(&row, row.columns(), version, receiver.limits);
            receiver.row(|| values::columns(&row), values::names(&row), values)
        },
        columns: || statement.columns().iter().map(values::column).collect(),
    };
    receiver.receive(connection.fetch_many(statement.query_with(arguments)), reader).await
}

/// Returns whether the last statement failed because the types of its parameters have changed since it was prepared.
/// Ends the transaction, which has failed and can only be rolled back.
pub(super) async fn confirm_stale(session: &mut PgSession) -> Result<bool, DbError> {
    match session.last_text.take() {
        Some(text) => statement::has_other_parameters(&mut session.connection, text).await,
        None => Ok(false),
    }
}

/// Commits. In a failed transaction, `CLOSE ALL` before the COMMIT is an error. Without it, the server would turn the
/// COMMIT into a rollback and report no error. `AND CHAIN` is an error if the transaction has ended before.
///
/// `COMMIT AND CHAIN` begins another transaction of the same mode. Without `next`, the message rolls that transaction
/// back at once. With `next`, the transaction stays open for the next borrower, and the statements after the COMMIT,
/// such as [`CLEAN`], are a part of it. A rollback of the transaction undoes them, which is harmless: the host sends
/// [`CLEAN`] again after the rollback of every write transaction.
pub(super) async fn commit(session: &mut PgSession, with_position: bool, next: bool) -> Result<Committed, DbError> {
    let position = if with_position { "SELECT pg_current_wal_insert_lsn()::text; " } else { "" };
    let (end, last) = if next { ("", session.next) } else { ("ROLLBACK; ", session.unlock) };
    let sql = format!("{CLOSE}; COMMIT AND CHAIN; {end}{CLEAN}; {position}{last}");
    let begun = session.clock();
    let answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut session.connection).map(|next| match next {
        Ok(Either::Left(_)) => Ok(Answer::Done),
        Ok(Either::Right(row)) => row.try_get(0).map(Answer::Value).map_err(map_error),
        Err(error) => Err(map_error(error)),
    });
    let read = read_commit(answers, 2).await;
    let (values, is_in_order) = read.map_err(|error| ended_before(error, ENDED))?;
    let mut values = values.into_iter();
    let position = if with_position { values.next().flatten().and_then(|lsn| lsn.parse().ok()) } else { None };
    let next = session.name(values.next().flatten(), begun);
    Ok(Committed { position, next, is_in_order })
}

/// Rolls back. The rollback undoes everything that a reader can have done, except taking locks, which are released
/// separately.
pub(super) async fn rollback(session: &mut PgSession, access: Access) -> Result<(), DbError> {
    let PgSession { connection, unlock, .. } = session;
    let sql = match access {
        Access::ReadWrite => format!("ROLLBACK; {CLOSE}; {CLEAN}; {unlock}"),
        Access::ReadOnly | Access::None => format!("ROLLBACK; {unlock}"),
    };
    query_batch(connection, sql).await.map(drop)
}

/// Returns the position to which a primary has written its log, or to which a replica has replayed it.
pub(super) async fn position(connection: &mut PgConnection, of_replica: bool) -> Result<Position, DbError> {
    let function = if of_replica { "pg_last_wal_replay_lsn" } else { "pg_current_wal_insert_lsn" };
    let answers = query_batch(connection, format!("SELECT {function}()::text")).await?;
    let lsn = answers.into_iter().flatten().next().and_then(|lsn| lsn.parse().ok());
    lsn.ok_or_else(|| DbError::new(Kind::Other, "the server is not a replica: it replays no write-ahead log"))
}

/// Begins a transaction that stays open, and returns the name of its snapshot, which other transactions can read.
pub(super) async fn export_snapshot(connection: &mut PgConnection) -> Result<String, DbError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0; \
        SELECT pg_export_snapshot()";
    let answers = query_batch(connection, sql.to_owned()).await?;
    let snapshot = answers.into_iter().flatten().next();
    snapshot.ok_or_else(|| DbError::new(Kind::Other, "the server has exported no snapshot"))
}

/// Returns the outcome of a transaction. After a crash the server may have assigned the transaction's number again. The
/// server's report of a commit is therefore trusted only if the server has not restarted, and if no checkpoint is
/// younger than the transaction, because a recovery ends with a checkpoint.
pub(super) async fn outcome(connection: &mut PgConnection, transaction: &str) -> Result<TransactionStatus, DbError> {
    let mut parts = transaction.splitn(3, ' ');
    let (Some(number), Some(started), Some(begun)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(TransactionStatus::Unknown);
    };
    let sql = format!(
        "SELECT CASE WHEN status <> 'committed' OR extract(epoch FROM pg_postmaster_start_time()) = {started} \
            AND checkpoint_time + interval '2 s' <= to_timestamp({begun}) THEN status END \
        FROM pg_xact_status('{number}'::xid8) AS status, pg_control_checkpoint()"
    );
    let answers = match query_batch(connection, sql).await {
        // The number is in the future: neither the running server nor the log from which it recovered contains the
        // number. The transaction has not been committed.
        Err(error) if error.code.as_deref() == Some("22023") => return Ok(TransactionStatus::RolledBack),
        answers => answers?,
    };
    Ok(match answers.into_iter().flatten().next().as_deref() {
        Some("committed") => TransactionStatus::Committed,
        Some("aborted") => TransactionStatus::RolledBack,
        Some("in progress") => TransactionStatus::Running,
        _ => TransactionStatus::Unknown,
    })
}
