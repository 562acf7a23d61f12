//! Opens the connections of a pool, and decides which of them are lent again.

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use super::{
    runaway::Runaways,
    session::{ServerSession, SessionId},
    simulated::SimulatedReplica,
    transaction::{Timeouts, no_answer},
};
use crate::{
    config::{self, Dialect},
    database::{
        hand_over::{NextWriters, OpenTransaction},
        mysql,
        options::Limits,
        pool::lend_again,
        postgres,
        schema_epoch::SchemaEpoch,
    },
    sql::error::{DbError, Kind},
};

/// Maximum time for one query on the `warden` connection.
const WARDEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Driver's options for a connection to the server.
#[derive(Debug, Clone)]
enum Address {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// Manager of a pool: opens its connections and decides which of them are lent again.
#[derive(Debug)]
pub(in crate::database) struct Opener {
    /// Name of the database. Empty outside of pools.
    pub(super) name: String,
    address: Address,
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    /// Whether there are replicas. If so, commits return their position.
    pub(super) has_replicas: bool,
    pub(super) next_writers: NextWriters,
    pub(super) schema_epoch: SchemaEpoch,
    pub(super) runaways: Arc<Runaways>,
    /// Connection outside the pool, open while there are abandoned sessions. Through it the host ends these sessions
    /// and checks whether they still exist.
    warden: Mutex<Option<ServerSession>>,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    allow_functions: Vec<String>,
    max_lifetime: Duration,
    echo: bool,
    /// Set if the server is a replica that `carya test` simulates.
    pub(super) simulated: Option<SimulatedReplica>,
}

/// State of an abandoned session, as the server reports it.
#[derive(Debug)]
pub(super) enum SessionState {
    Ended,
    Listed,
    /// The server did not answer.
    Unknown,
    /// The login lacks the right to query the state of sessions.
    Forbidden(DbError),
}

/// A session in a pool.
#[derive(Debug)]
pub(in crate::database) struct PooledSession {
    /// `None` after the session was abandoned.
    pub(super) session: Option<ServerSession>,
    /// Abandoned sessions of the pool.
    pub(super) runaways: Arc<Runaways>,
    pub(super) open: OpenTransaction,
    pub(super) schema_epoch: u64,
}

impl Opener {
    pub(super) fn new(url: &str, config: &config::DatabaseConfig) -> Result<Self, DbError> {
        let timeouts =
            Timeouts { statement: config.statement_timeout, lock: config.lock_timeout, stream: config.stream_timeout };
        let malformed = |error: sqlx::Error| DbError::new(Kind::Other, format!("the URL is malformed: {error}"));
        let address = match config.dialect {
            Dialect::MySql => Address::MySql(Box::new(mysql::options(url).map_err(malformed)?)),
            Dialect::Postgres | Dialect::Sqlite => {
                Address::Postgres(Box::new(postgres::options(url).map_err(malformed)?))
            }
        };
        Ok(Self {
            name: String::new(),
            address,
            dialect: config.dialect,
            limits: Limits::new(config),
            timeouts,
            has_replicas: !config.replicas.is_empty(),
            next_writers: NextWriters::default(),
            schema_epoch: SchemaEpoch::default(),
            runaways: Runaways::new(config.max_connections as usize),
            warden: Mutex::default(),
            allow_functions: config.allow_functions.clone(),
            max_lifetime: config.max_lifetime,
            echo: config.echo_pool,
            simulated: None,
        })
    }

    /// Sets the name of the database, for errors of its pool.
    pub(super) fn of_database(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Makes the server a simulated replica if `simulate` is set.
    pub(super) fn of_replica(self, simulate: bool) -> Self {
        Self { simulated: simulate.then(SimulatedReplica::default), ..self }
    }

    /// Returns the name of the login.
    pub(super) fn login(&self) -> &str {
        match &self.address {
            Address::Postgres(options) => options.get_username(),
            Address::MySql(options) => options.get_username(),
        }
    }

    /// Returns the name of the database on its server.
    pub(super) fn database(&self) -> &str {
        match &self.address {
            Address::Postgres(options) => options.get_database(),
            Address::MySql(options) => options.get_database(),
        }
        .unwrap_or_default()
    }

    /// Returns the server's `host:port`, or the path of its socket.
    pub(super) fn host(&self) -> String {
        let (socket, host, port) = match &self.address {
            Address::Postgres(options) => (options.get_socket(), options.get_host(), options.get_port()),
            Address::MySql(options) => (options.get_socket(), options.get_host(), options.get_port()),
        };
        socket.map_or_else(|| format!("{host}:{port}"), |socket| socket.display().to_string())
    }

    /// Opens a connection for the host, outside the pools.
    pub(super) async fn connect(&self) -> Result<ServerSession, DbError> {
        self.open(None).await
    }

    /// Runs SQL on the `warden` connection, and returns the first value of each row.
    pub(super) async fn query_warden(&self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        let mut warden = self.warden.lock().await;
        let query = async {
            match warden.as_mut() {
                Some(session) => session.query_batch(sql).await,
                None => warden.insert(self.connect().await?).query_batch(sql).await,
            }
        };
        let answer = tokio::time::timeout(WARDEN_TIMEOUT, query).await.unwrap_or_else(|_| Err(no_answer()));
        if matches!(&answer, Err(error) if error.kind == Kind::Lost) {
            *warden = None;
        }
        answer
    }

    /// Queries the server for the state of a session that was abandoned `age` ago.
    pub(super) async fn session_state(&self, session: &SessionId, age: Duration) -> SessionState {
        let answer = match session {
            SessionId::MySql(thread) => self.query_warden(thread.look(age)).await,
            SessionId::Postgres(backend) => {
                let [view, function] = backend.look();
                match self.query_warden(view).await {
                    // A hardened login has no right to query `pg_stat_get_activity`, but may call the host's own
                    // function.
                    Err(error) if error.is_one_of(&["42501"]) => self.query_warden(function).await,
                    answer => answer,
                }
            }
        };
        match answer {
            Ok(rows) if rows.is_empty() => SessionState::Ended,
            Ok(_) => SessionState::Listed,
            // PostgreSQL: the function is missing, or the login has no right to call it.
            Err(error) if error.is_one_of(&["42501", "3F000", "42883"]) => SessionState::Forbidden(error),
            Err(_) => SessionState::Unknown,
        }
    }

    /// Closes the `warden` connection if there are no abandoned sessions.
    pub(super) async fn close_warden(&self) {
        let mut warden = self.warden.lock().await;
        if self.runaways.is_empty() {
            *warden = None;
        }
    }

    async fn open(&self, timeouts: Option<Timeouts>) -> Result<ServerSession, DbError> {
        let simulated = self.simulated.as_ref();
        let past = simulated.map_or(Ok(None), SimulatedReplica::past).map_err(|error| self.not_opened(error))?;
        let opened = match &self.address {
            Address::Postgres(options) => postgres::connect(options, timeouts, &self.allow_functions)
                .await
                .map(|session| ServerSession::Postgres(Box::new(session))),
            Address::MySql(options) => mysql::MySqlSession::connect(options, self.timeouts)
                .await
                .map(|session| ServerSession::MySql(Box::new(session))),
        };
        let mut session = opened.map_err(|error| self.not_opened(error))?;
        if let Some(past) = past {
            session.read_past(&past.name).await?;
        }
        if self.echo {
            tracing::info!(target: "carya::pool", server = self.host(), "connection opened");
        }
        Ok(session)
    }

    /// Converts the error of a connection that was not opened.
    fn not_opened(&self, error: DbError) -> DbError {
        let (server, message) = (self.host(), &error.message);
        match error.kind {
            Kind::Busy => DbError {
                message: format!(
                    "the server {server} is busy and refuses further connections: {message}; raise its max_connections, \
                     or lower max_connections of its clients"
                ),
                ..error
            },
            _ => DbError { kind: Kind::Lost, message: format!("cannot connect to {server}: {message}"), ..error },
        }
    }
}

impl managed::Manager for Opener {
    type Type = PooledSession;
    type Error = DbError;

    async fn create(&self) -> Result<PooledSession, DbError> {
        let schema_epoch = self.schema_epoch.current();
        // Boxed, because the future of every borrower contains this future, but few borrowers open a connection.
        let session = Box::pin(self.open(Some(self.timeouts))).await?;
        if let Some(simulated) = &self.simulated {
            simulated.record(session.id()).map_err(|error| self.not_opened(error))?;
        }
        let runaways = self.runaways.clone();
        Ok(PooledSession { session: Some(session), runaways, open: OpenTransaction::Nothing, schema_epoch })
    }

    async fn recycle(&self, pooled: &mut PooledSession, metrics: &Metrics) -> RecycleResult<DbError> {
        if pooled.session.is_none() {
            return Err(RecycleError::message("abandoned"));
        }
        lend_again(pooled.schema_epoch == self.schema_epoch.current(), metrics, self.max_lifetime, self.echo)
    }
}
