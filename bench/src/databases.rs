//! The databases of the benchmark: SQLite files, and servers that end with the benchmark. Each contestant has its own
//! database. The servers use the scripts of the tests, but they also flush each commit to the disk, unless
//! `--no-fsync` is set.

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
use crate::error::Result;

const PASSWORD: &str = "bench";

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

/// Creates databases on one [`Engine`].
pub(crate) struct Databases {
    engine: Engine,
    folder: PathBuf,
    server: Option<Supervisor>,
}

impl Databases {
    /// Starts a server if the engine needs one. Returns `None` if the engine is not installed. With `fsync`, the server
    /// flushes a commit to the disk before it responds.
    pub(crate) async fn start(engine: Engine, folder: &Path, fsync: bool) -> Result<Option<Self>> {
        let folder = folder.to_owned();
        if engine == Engine::Sqlite {
            return Ok(Some(Self { engine, folder, server: None }));
        }
        let Some(mut installation) = Installation::of(engine).cloned() else { return Ok(None) };
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
        Err(format!("{engine} accepted no connection within 600 attempts").into())
    }

    /// Creates a database with the benchmark's tables, and returns its URL. Replaces a database of the same name.
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

/// Runs statements on a new connection.
async fn execute(url: &str, sql: &str) -> Result {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url).await?.execute(sql).await?.rows_affected(),
        Some("postgres") => PgConnection::connect(url).await?.execute(sql).await?.rows_affected(),
        _ => MySqlConnection::connect(url).await?.execute(sql).await?.rows_affected(),
    };
    Ok(())
}

/// Runs a query that returns one number.
pub(crate) async fn number(url: &str, sql: &str) -> Result<i64> {
    let sql = AssertSqlSafe(sql.to_owned());
    Ok(match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url).await?.fetch_one(sqlx::query(sql)).await?.try_get(0)?,
        Some("postgres") => {
            let row = PgConnection::connect(url).await?.fetch_one(sqlx::raw_sql(sql)).await?;
            // PostgreSQL returns a 32-bit integer for `SELECT 1`.
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
