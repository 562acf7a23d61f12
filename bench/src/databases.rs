//! The databases of the benchmark: files, and servers of its own, which end with it. Each contestant has a database to
//! itself. The servers are those of the tests, but wait for their disk as a server does that is meant to keep things.

#[path = "../../tests/support/servers/installed.rs"]
#[allow(unreachable_pub)]
mod installed;
#[path = "../../tests/support/servers/supervisor.rs"]
#[allow(unreachable_pub, dead_code)]
mod supervisor;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, PgConnection, Row, SqliteConnection};

use self::{installed::Installation, supervisor::Supervisor};
use crate::Result;

const PASSWORD: &str = "bench";

/// What there is to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MariaDb];

    fn tables(self) -> &'static str {
        match self {
            Self::Sqlite => include_str!("../sql/sqlite.sql"),
            Self::Postgres => include_str!("../sql/postgres.sql"),
            Self::MariaDb => include_str!("../sql/mariadb.sql"),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        })
    }
}

/// Where databases of an engine are made.
pub(crate) struct Databases {
    engine: Engine,
    folder: PathBuf,
    server: Option<Supervisor>,
}

impl Databases {
    /// Starts a server where the engine needs one; none if it is not installed. With `fsync` what is committed is on disk
    /// before the client hears of it.
    pub(crate) async fn start(engine: Engine, folder: &Path, fsync: bool) -> Result<Option<Self>> {
        let folder = folder.to_owned();
        if engine == Engine::Sqlite {
            return Ok(Some(Self { engine, folder, server: None }));
        }
        let Some(Installation { programs, account }) = Installation::of(engine) else { return Ok(None) };
        let mut installation = Installation { programs: programs.clone(), account: *account };
        if fsync {
            installation.programs.push(("FSYNC", "on".into()));
        }
        let server = Supervisor::new(engine, &installation, PASSWORD)?;
        server.order("initialize").await?;
        server.order("start").await?;
        let databases = Self { engine, folder, server: Some(server) };
        let system = databases.url(if engine == Engine::Postgres { "postgres" } else { "mysql" });
        for _ in 0..600 {
            if number(&system, "SELECT 1").await.is_ok() {
                return Ok(Some(databases));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("{engine} does not let us in").into())
    }

    /// Makes a database of its own for somebody, with the benchmark's tables, and gives its URL.
    pub(crate) async fn create(&self, name: &str) -> Result<String> {
        let url = self.url(name);
        match self.engine {
            Engine::Sqlite => {
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{end}", url.trim_start_matches("sqlite://")));
                }
            }
            Engine::Postgres => {
                execute(&self.url("postgres"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
                execute(&self.url("postgres"), &format!("CREATE DATABASE {name}")).await?;
            }
            Engine::MariaDb => {
                execute(&self.url("mysql"), &format!("CREATE OR REPLACE DATABASE {name}")).await?;
            }
        }
        execute(&url, self.engine.tables()).await?;
        Ok(url)
    }

    fn url(&self, name: &str) -> String {
        match (&self.server, self.engine) {
            (None, _) => format!("sqlite://{}", self.folder.join(name).with_extension("sqlite").display()),
            (Some(server), Engine::Postgres) => {
                format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{name}?sslmode=disable", server.port)
            }
            (Some(server), _) => format!("mysql://root:{PASSWORD}@127.0.0.1:{}/{name}?ssl-mode=disabled", server.port),
        }
    }
}

/// Runs statements as a client that has nothing to do with any contestant.
async fn execute(url: &str, sql: &str) -> Result {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url).await?.execute(sql).await?.rows_affected(),
        Some("postgres") => PgConnection::connect(url).await?.execute(sql).await?.rows_affected(),
        _ => MySqlConnection::connect(url).await?.execute(sql).await?.rows_affected(),
    };
    Ok(())
}

/// The one number that a query gives.
pub(crate) async fn number(url: &str, sql: &str) -> Result<i64> {
    let sql = AssertSqlSafe(sql.to_owned());
    Ok(match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url).await?.fetch_one(sqlx::query(sql)).await?.try_get(0)?,
        Some("postgres") => {
            let row = PgConnection::connect(url).await?.fetch_one(sqlx::raw_sql(sql)).await?;
            // `SELECT 1` gives the shorter kind.
            row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))?
        }
        _ => MySqlConnection::connect(url).await?.fetch_one(sqlx::query(sql)).await?.try_get(0)?,
    })
}

pub(crate) async fn sqlite(url: &str) -> Result<SqliteConnection> {
    let options: sqlx::sqlite::SqliteConnectOptions = url.parse()?;
    let options = options.create_if_missing(true).journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    Ok(options.busy_timeout(Duration::from_secs(60)).connect().await?)
}
