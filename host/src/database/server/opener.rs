//! Opens the connections of a pool, and decides which of them are lent again.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use super::{
    connection::silent,
    link::{Link, Mode, SessionId, Times},
    runaway::Runaways,
};
use crate::{
    config::{self, Dialect},
    database::{lend_again, mysql, postgres, vintage::Vintage},
    sql::error::{DbError, Kind},
};

/// Maximum time for one query on the `warden` connection.
const ANSWER: Duration = Duration::from_secs(2);

/// Driver's options for a connection to the server.
#[derive(Debug, Clone)]
enum Address {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// Manager of a pool: opens its connections and decides which of them are lent again.
#[derive(Debug)]
pub(in crate::database) struct Opener {
    address: Address,
    pub(super) times: Times,
    pub(super) vintage: Vintage,
    pub(super) runaways: Arc<Runaways>,
    /// Connection outside the pool, open while there are abandoned sessions. It ends them and checks whether they still
    /// run.
    warden: Mutex<Option<Link>>,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    allow_functions: Vec<String>,
    max_lifetime: Duration,
    echo: bool,
}

/// State of an abandoned session, as the server reports it.
#[derive(Debug)]
pub(super) enum Look {
    Gone,
    Listed,
    /// The server did not answer.
    Unknown,
    /// The login lacks the right to look for sessions.
    Forbidden(DbError),
}

/// A connection in a pool.
#[derive(Debug)]
pub(in crate::database) struct Slot {
    /// `None` after its session was abandoned.
    pub(super) link: Option<Link>,
    /// Abandoned sessions of the pool.
    pub(super) runaways: Arc<Runaways>,
    pub(super) left: Left,
    pub(super) vintage: u64,
}

/// Transaction that is open on a connection in the pool.
#[derive(Debug, Default)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// A transaction that has only read. The next borrower ends it.
    Open(Mode),
    /// A write transaction, begun in the message of the COMMIT before it.
    Begun {
        name: Option<String>,
        /// Time just before that message was sent.
        at: Instant,
    },
}

impl Opener {
    pub(super) fn new(url: &str, config: &config::Database) -> Result<Self, DbError> {
        let times = Times { statement: config.statement_timeout, lock: config.lock_timeout };
        let malformed = |error: sqlx::Error| DbError::new(Kind::Other, format!("the URL is malformed: {error}"));
        let address = match config.dialect {
            Dialect::MySql => {
                let url = url.replacen("mariadb://", "mysql://", 1);
                Address::MySql(Box::new(mysql::options(MySqlConnectOptions::from_str(&url).map_err(malformed)?)))
            }
            Dialect::Postgres | Dialect::Sqlite => {
                Address::Postgres(Box::new(postgres::options(PgConnectOptions::from_str(url).map_err(malformed)?)))
            }
        };
        let vintage = Vintage::default();
        let runaways = Runaways::new(config.max_connections as usize);
        let (allow_functions, max_lifetime, echo) =
            (config.allow_functions.clone(), config.max_lifetime, config.echo_pool);
        Ok(Self { address, times, vintage, runaways, warden: Mutex::default(), allow_functions, max_lifetime, echo })
    }

    /// Returns the name of the database on its server.
    pub(super) fn database(&self) -> &str {
        match &self.address {
            Address::Postgres(options) => options.get_database(),
            Address::MySql(options) => options.get_database(),
        }
        .unwrap_or_default()
    }

    /// Returns the server's `host:port`.
    pub(super) fn host(&self) -> String {
        match &self.address {
            Address::Postgres(options) => format!("{}:{}", options.get_host(), options.get_port()),
            Address::MySql(options) => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    /// Opens a connection for the host, outside the pools.
    pub(super) async fn connect(&self) -> Result<Link, DbError> {
        self.open(None).await
    }

    /// Runs SQL on the `warden` connection, and returns the first value of each row.
    pub(super) async fn ask(&self, sql: String) -> Result<Vec<Option<String>>, DbError> {
        let mut warden = self.warden.lock().await;
        let asked = async {
            match warden.as_mut() {
                Some(link) => link.ask(sql).await,
                None => warden.insert(self.connect().await?).ask(sql).await,
            }
        };
        let answer = tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(silent()));
        if matches!(&answer, Err(error) if error.kind == Kind::Lost) {
            *warden = None;
        }
        answer
    }

    /// Looks for a session that was abandoned `age` ago.
    pub(super) async fn look(&self, session: &SessionId, age: Duration) -> Look {
        let answer = match session {
            SessionId::MySql(thread) => self.ask(thread.look(age)).await,
            SessionId::Postgres(backend) => {
                let [view, function] = backend.look();
                match self.ask(view).await {
                    // A hardened login has no right to read the view, but may call a function instead.
                    Err(error) if error.is_one_of(&["42501"]) => self.ask(function).await,
                    answer => answer,
                }
            }
        };
        match answer {
            Ok(rows) if rows.is_empty() => Look::Gone,
            Ok(_) => Look::Listed,
            // PostgreSQL: the function is missing, or the login has no right to call it.
            Err(error) if error.is_one_of(&["42501", "3F000", "42883"]) => Look::Forbidden(error),
            Err(_) => Look::Unknown,
        }
    }

    /// Closes the `warden` connection if there are no abandoned sessions.
    pub(super) async fn hang_up(&self) {
        let mut warden = self.warden.lock().await;
        if self.runaways.is_empty() {
            *warden = None;
        }
    }

    async fn open(&self, times: Option<Times>) -> Result<Link, DbError> {
        let link = match &self.address {
            Address::Postgres(options) => {
                let allowed = &self.allow_functions;
                Link::Postgres(Box::new(postgres::connect(options, times, allowed).await?))
            }
            Address::MySql(options) => Link::MySql(Box::new(mysql::Session::connect(options, self.times).await?)),
        };
        if self.echo {
            tracing::info!(target: "carya::pool", server = self.host(), "connection opened");
        }
        Ok(link)
    }
}

impl managed::Manager for Opener {
    type Type = Slot;
    type Error = DbError;

    async fn create(&self) -> Result<Slot, DbError> {
        let unreachable = |error: DbError| DbError {
            message: format!("{} cannot be reached: {}", self.host(), error.message),
            kind: Kind::Lost,
            ..error
        };
        let vintage = self.vintage.current();
        // Boxed: the future of every borrower contains this one, and few of them open a connection.
        let link = Box::pin(self.open(Some(self.times))).await.map_err(unreachable)?;
        Ok(Slot { link: Some(link), runaways: self.runaways.clone(), left: Left::Nothing, vintage })
    }

    async fn recycle(&self, slot: &mut Slot, metrics: &Metrics) -> RecycleResult<DbError> {
        if slot.link.is_none() {
            return Err(RecycleError::message("abandoned"));
        }
        lend_again(slot.vintage == self.vintage.current(), metrics, self.max_lifetime, self.echo)
    }
}
