//! How connections of a pool are opened, and which of them are lent again.

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
    config,
    database::{
        Dialect,
        error::{DbError, Kind},
        mysql, postgres,
        vintage::Vintage,
    },
};

/// Maximum time for one question on the connection beside a pool.
const ANSWER: Duration = Duration::from_secs(2);

/// How a server is reached.
#[derive(Debug, Clone)]
enum Address {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// Opens connections for a pool and decides which of them are lent again.
#[derive(Debug)]
pub(in crate::database) struct Opener {
    address: Address,
    pub(super) times: Times,
    pub(super) vintage: Vintage,
    pub(super) runaways: Arc<Runaways>,
    /// A connection beside the pool, open while sessions are abandoned: it ends them and looks after them.
    warden: Mutex<Option<Link>>,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    allow_functions: Vec<String>,
    max_lifetime: Duration,
    echo: bool,
}

/// What the server reports of an abandoned session.
#[derive(Debug)]
pub(super) enum Look {
    Gone,
    Listed,
    /// The server did not answer.
    Unknown,
    /// The login may not look.
    Forbidden(DbError),
}

/// A connection in a pool.
#[derive(Debug)]
pub(in crate::database) struct Slot {
    /// `None` once its session was abandoned.
    pub(super) link: Option<Link>,
    /// The abandoned sessions of the pool.
    pub(super) runaways: Arc<Runaways>,
    pub(super) left: Left,
    pub(super) vintage: u64,
}

/// State in which a connection comes back to the pool.
#[derive(Debug, Default)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// A transaction that has only read; the next borrower ends it.
    Open(Mode),
    /// The next transaction for writing, begun behind its COMMIT.
    Begun {
        name: Option<String>,
        /// A moment before.
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

    /// The database's name on the server.
    pub(super) fn database(&self) -> &str {
        match &self.address {
            Address::Postgres(options) => options.get_database(),
            Address::MySql(options) => options.get_database(),
        }
        .unwrap_or_default()
    }

    /// `host:port`.
    pub(super) fn host(&self) -> String {
        match &self.address {
            Address::Postgres(options) => format!("{}:{}", options.get_host(), options.get_port()),
            Address::MySql(options) => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    /// A connection of the host's own, outside of pools.
    pub(super) async fn connect(&self) -> Result<Link, DbError> {
        self.open(None).await
    }

    /// Runs SQL on the connection beside the pool.
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

    /// Looks for a session that was abandoned some time ago.
    pub(super) async fn look(&self, session: &SessionId, age: Duration) -> Look {
        let answer = match session {
            SessionId::MySql(thread) => self.ask(thread.look(age)).await,
            SessionId::Postgres(backend) => {
                let [view, function] = backend.look();
                match self.ask(view).await {
                    // A hardened login may not read the view, and has a function instead.
                    Err(error) if error.is_one_of(&["42501"]) => self.ask(function).await,
                    answer => answer,
                }
            }
        };
        match answer {
            Ok(rows) if rows.is_empty() => Look::Gone,
            Ok(_) => Look::Listed,
            // PostgreSQL: the function is missing, or not for this login.
            Err(error) if error.is_one_of(&["42501", "3F000", "42883"]) => Look::Forbidden(error),
            Err(_) => Look::Unknown,
        }
    }

    /// Closes the connection beside the pool if no session needs it.
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
        if slot.vintage != self.vintage.current() {
            return Err(RecycleError::message("older than the schema"));
        }
        if metrics.age() > self.max_lifetime {
            return Err(RecycleError::message("older than max_lifetime"));
        }
        if self.echo {
            tracing::info!(target: "carya::pool", lent = metrics.recycle_count, "connection lent");
        }
        Ok(())
    }
}
