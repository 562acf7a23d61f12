//! Implements the operations of [`server`](super::server) for MySQL and MariaDB: the SQL that begins and ends a
//! transaction, and the execution of a statement.

mod catalogue;
pub(super) mod copy;
mod error;
mod nagle;
mod statement;
mod temporal;
mod values;
mod violation;

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Either, Executor, MySqlConnection, Row, Statement as _,
    mysql::{MySqlConnectOptions, MySqlQueryResult, MySqlRow},
};

use self::error::map_error;
use super::{
    options::Mode,
    receiver::{Failure, Reader, Receiver},
    server::transaction::{Answer, Committed, Timeouts, ended_before, read_commit},
};
use crate::{
    config::Access,
    gate::{OwnDatabase, Placeholder, Rules},
    sql::{
        Position,
        error::{DbError, Kind},
        value::Value,
    },
};

/// SQL mode of all sessions. It sets standard quotes and concatenation, so that SQL has the same meaning as on the
/// other engines, and the gate reads it as the server does. It also makes the server reject values that it would
/// otherwise truncate or replace.
const SQL_MODE: &str = "PIPES_AS_CONCAT,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,\
    ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION";

/// Query that returns whether the session has the settings on which the gate relies when it reads a statement.
const CHECK_GATE_SETTINGS: &str = "SELECT @@character_set_client = 'utf8mb4' AND FIND_IN_SET('ANSI_QUOTES', @@sql_mode) \
    AND FIND_IN_SET('NO_BACKSLASH_ESCAPES', @@sql_mode)";

/// Query that returns `lower_case_table_names` and directly after it the name of the database. Returns NULL unless the
/// login can see the database `mysql`. If it cannot, the gate does not check names of databases: the grants of the
/// login determine which databases it can use.
const OWN_DATABASE: &str = "SELECT IF(EXISTS (SELECT 1 FROM information_schema.schemata WHERE schema_name = 'mysql'), \
    CONCAT(@@lower_case_table_names, IFNULL(DATABASE(), '')), NULL)";

/// Resets `LAST_INSERT_ID()` to 0, so that the next request does not see the key that the current request inserted.
const RESET_KEY: &str = "SET last_insert_id = 0; ";

/// Same as [`RESET_KEY`], for MariaDB, with a check that a transaction is open. In a transaction, it sets the time zone
/// of the session to its current value; outside a transaction, it sets an invalid one and fails with [`ENDED`]. A
/// `SELECT` for the same check takes twice as long.
const CHECK_IN_TRANSACTION: &str =
    "SET time_zone = IF(@@in_transaction, '+00:00', 'no transaction'), last_insert_id = 0; ";

/// Error number of the invalid time zone in [`CHECK_IN_TRANSACTION`].
const ENDED: &str = "1298";

/// Releases named locks, which outlive the transaction. Functions and triggers of the application may acquire such
/// locks, and neither server has a setting that forbids them.
const UNLOCK: &str = "DO RELEASE_ALL_LOCKS()";

/// Time after which the host assumes that a write has reached a replica that reports no position.
const REPLICA_DELAY: Duration = Duration::from_secs(10);

/// A connection to MySQL or MariaDB.
#[derive(Debug)]
pub(super) struct MySqlSession {
    pub(in crate::database) connection: MySqlConnection,
    is_mariadb: bool,
    id: ThreadId,
    rules: Rules,
}

/// Identifier of a session on the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThreadId(u64);

impl ThreadId {
    /// Returns SQL that ends the session, to be sent by another session of the same login.
    pub(super) fn kill(self) -> String {
        format!("KILL {}", self.0)
    }

    /// Returns a query that returns a row as long as the session runs a statement that began at least `age` ago. After
    /// a restart of the server another session may have the same id, but its statement is younger.
    pub(super) fn look(self, age: Duration) -> String {
        let seconds = age.as_secs().saturating_sub(1);
        format!(
            "SELECT id FROM information_schema.processlist \
             WHERE id = {} AND command <> 'Sleep' AND time >= {seconds}",
            self.0
        )
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {}", self.0)
    }
}

/// Returns the options of a URL, with those for all connections. Disables settings of the session that the driver would
/// send, because the host sends them itself.
pub(super) fn options(url: &str) -> sqlx::Result<MySqlConnectOptions> {
    let options = MySqlConnectOptions::from_str(&url.replacen("mariadb://", "mysql://", 1))?;
    Ok(options
        .charset("utf8mb4")
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .statement_cache_capacity(100)
        // The driver would log the values of guests. See `echo` for the host's own log of statements.
        .disable_statement_logging())
}

impl MySqlSession {
    pub(super) async fn connect(options: &MySqlConnectOptions, timeouts: Timeouts) -> Result<Self, DbError> {
        let connection = MySqlConnection::connect_with(options).await.map_err(map_error)?;
        if options.get_socket().is_none() {
            // Without `/proc` the connection works, with delays.
            drop(tokio::task::spawn_blocking(nagle::disable).await);
        }
        let mut session = Self { connection, is_mariadb: false, id: ThreadId::default(), rules: Rules::MySql(None) };
        let mut answers =
            session.query_batch("SELECT VERSION(); SELECT CONNECTION_ID()".to_owned()).await?.into_iter().flatten();
        session.is_mariadb = answers.next().is_some_and(|version| version.contains("MariaDB"));
        session.id = ThreadId(answers.next().and_then(|id| id.parse().ok()).unwrap_or_default());
        let (lock, timeout) = (timeouts.lock.as_secs().max(1), session.timeout_setting(timeouts.statement));
        // While a client does not take the rows of a stream, the server cannot send. The default timeout is 60 s.
        let write = timeouts.stream.as_secs().max(60);
        // The module `violation` parses messages, so they must be in English. `NAMES` too: `init_connect` may have set
        // another character set, in which a quote can be part of a character.
        let sql = format!(
            "SET NAMES utf8mb4, SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', {timeout}, \
            innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, net_write_timeout = {write}, \
            lc_messages = 'en_US'; {CHECK_GATE_SETTINGS}; {OWN_DATABASE}"
        );
        let mut answers = session.query_batch(sql).await?.into_iter();
        match answers.next().flatten().as_deref() {
            Some("1") => {
                if let Some(database) = answers.next().flatten() {
                    let (case, name) = database.split_at(1);
                    let database = OwnDatabase { name: name.to_owned(), is_case_sensitive: case == "0" };
                    session.rules = Rules::MySql(Some(database));
                }
                Ok(session)
            }
            _ => {
                let message = "the session ignores the sql_mode or the character set that the host sets when it connects; \
                    connect without a proxy that drops settings";
                Err(DbError::new(Kind::Other, message))
            }
        }
    }

    /// Begins a transaction. If a transaction of mode `open` is open, ends it in the same message. These servers assign
    /// no transaction id that can be looked up later. They answer each statement of a message separately, so messages
    /// have as few statements as possible.
    pub(super) async fn begin(&mut self, mode: Mode, open: Option<Mode>) -> Result<(), DbError> {
        if open == Some(mode) {
            return self.query_batch(format!("ROLLBACK AND CHAIN; {UNLOCK}")).await.map(drop);
        }
        let end = if open.is_some() { format!("ROLLBACK; {UNLOCK}; ") } else { String::new() };
        let isolation = mode
            .isolation
            .map_or_else(String::new, |level| format!("SET TRANSACTION ISOLATION LEVEL {}; ", level.as_sql()));
        let access = mode.access_as_sql();
        self.query_batch(format!("{end}{isolation}START TRANSACTION {access}")).await.map(drop)
    }

    /// Prepares a statement and runs it.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), Failure> {
        let connection = &mut self.connection;
        let (statement, arguments) = statement::prepare(connection, sql, placeholders, params).await?;
        let reader = Reader {
            map_error,
            count: |done: MySqlQueryResult| {
                let key = i64::try_from(done.last_insert_id()).ok().filter(|key| *key != 0);
                (done.rows_affected(), key)
            },
            take: |receiver: &mut Receiver<'_>, row: MySqlRow| {
                receiver.row(|| values::columns(&row), values::names(&row), values::decode_each(&row))
            },
            columns: || statement.columns().iter().map(values::column).collect(),
        };
        receiver.receive(connection.fetch_many(statement.query_with(arguments)), reader).await
    }

    /// Prepares a query and passes its rows to a client in pieces. While the client does not take them, the statement
    /// runs on the server, so the server's own timeout is that of the stream.
    pub(super) async fn stream(
        &mut self,
        sql: &str,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), Failure> {
        let statement_timeout = receiver.limits.statement_timeout;
        if let Some(rows) = receiver.streamed() {
            let timeout = self.timeout_setting(rows.timeout);
            self.query_batch(format!("SET {timeout}")).await?;
        }
        let result = self.run(sql, placeholders, params, receiver).await;
        if !matches!(&result, Err(Failure { is_cut_off: true, .. })) {
            let timeout = self.timeout_setting(statement_timeout);
            // With another timeout than other connections of the pool, the connection must not be lent again.
            let reset = self.query_batch(format!("SET {timeout}")).await;
            reset.map_err(|error| Failure { error, is_cut_off: true })?;
        }
        result
    }

    /// Returns the assignment that sets the timeout of statements.
    fn timeout_setting(&self, timeout: Duration) -> String {
        match self.is_mariadb {
            true => format!("max_statement_time = {}", timeout.as_secs_f64()),
            false => format!("max_execution_time = {}", timeout.as_millis().max(1)),
        }
    }

    pub(super) fn id(&self) -> ThreadId {
        self.id
    }

    /// Returns the rules of the gate for this connection.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Runs statements without parameters in one message, and returns the first value of each row.
    pub(super) async fn query_batch(&mut self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        let mut answers = Vec::new();
        let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(&mut self.connection);
        while let Some(row) = stream.next().await {
            let row: MySqlRow = row.map_err(map_error)?;
            answers.push(row.try_get_unchecked(0).map_err(map_error)?);
        }
        Ok(answers)
    }

    /// Commits. On MariaDB the commit fails if the transaction has ended before; MySQL has no such check. With `next`,
    /// begins another transaction of the same mode in the same message.
    pub(super) async fn commit(&mut self, with_position: bool, next: bool) -> Result<Committed, DbError> {
        let (check, position) = match (self.is_mariadb, with_position) {
            (true, true) => (CHECK_IN_TRANSACTION, "; SELECT @@last_gtid"),
            (true, false) => (CHECK_IN_TRANSACTION, ""),
            (false, _) => (RESET_KEY, ""),
        };
        let chain = if next { " AND CHAIN" } else { "" };
        let sql = AssertSqlSafe(format!("{check}COMMIT{chain}{position}; {UNLOCK}"));
        let answers = sqlx::raw_sql(sql).fetch_many(&mut self.connection).map(|next| match next {
            Ok(Either::Left(_)) => Ok(Answer::Done),
            Ok(Either::Right(row)) => row.try_get_unchecked(0).map(Answer::Value).map_err(map_error),
            Err(error) => Err(map_error(error)),
        });
        let read = read_commit(answers, 2).await;
        let (values, is_in_order) = read.map_err(|error| ended_before(error, ENDED))?;
        let position = match self.is_mariadb {
            true => values.into_iter().next().flatten().and_then(|gtid| gtid.parse().ok()),
            false => Some(time_position(Duration::ZERO)),
        };
        Ok(Committed { position, next: None, is_in_order })
    }

    /// Rolls back.
    pub(super) async fn rollback(&mut self, access: Access) -> Result<(), DbError> {
        let reset_key = if access == Access::ReadWrite { RESET_KEY } else { "" };
        self.query_batch(format!("{reset_key}ROLLBACK; {UNLOCK}")).await.map(drop)
    }

    /// Returns the position to which a primary has written its log, or to which a replica has applied it.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        if !self.is_mariadb {
            return Ok(time_position(if of_replica { REPLICA_DELAY } else { Duration::ZERO }));
        }
        let (variable, remedy) = match of_replica {
            true => ("gtid_slave_pos", "let it replicate by GTID"),
            false => ("gtid_binlog_pos", "start it with `log_bin`"),
        };
        let answers = self.query_batch(format!("SELECT @@GLOBAL.{variable}")).await?;
        let gtid = answers.into_iter().flatten().next().and_then(|gtid| gtid.parse().ok());
        let missing = || format!("the server has no GTID: @@{variable} is empty; {remedy}");
        gtid.ok_or_else(|| DbError::new(Kind::Other, missing()))
    }
}

/// Returns the time that lies `ago` in the past as a position, for servers that report no position.
fn time_position(ago: Duration) -> Position {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
    Position::Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
