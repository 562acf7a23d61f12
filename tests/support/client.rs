//! Database client that does not go through carya: connects to any [`Client`] database to check or change its contents
//! independently of the host.

use sqlx::{
    AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, Row, SqliteConnection,
    mysql::{MySqlConnectOptions, MySqlRow},
    postgres::{PgConnectOptions, PgRow},
    sqlite::SqliteConnectOptions,
};

use super::{PATIENCE, Result};

/// Address of a database. Every method opens a connection of its own.
#[derive(Debug, Clone)]
pub enum Client {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
    MariaDb(MySqlConnectOptions),
}

impl Client {
    /// Returns a client for the database of a `postgres://` or `mysql://` URL.
    pub fn new(url: &str) -> Result<Self> {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.parse()?)),
            Some(("mysql" | "mariadb", _)) => Ok(Self::MariaDb(url.parse()?)),
            _ => Err(format!("{url} is not the URL of a server").into()),
        }
    }

    /// Opens a connection that the caller can keep, e.g. for a transaction of several statements.
    pub async fn connect(&self) -> Result<Connection> {
        let connecting = async {
            Ok::<_, sqlx::Error>(match self {
                Self::Sqlite(options) => Connection::Sqlite(SqliteConnection::connect_with(options).await?),
                Self::Postgres(options) => Connection::Postgres(PgConnection::connect_with(options).await?),
                Self::MariaDb(options) => Connection::MariaDb(MySqlConnection::connect_with(options).await?),
            })
        };
        Ok(tokio::time::timeout(PATIENCE, connecting).await??)
    }

    /// Returns the SQL name of the host's outbox table.
    pub async fn outbox(&self) -> Result<String> {
        Ok(match self {
            Self::Sqlite(_) => "carya_outbox".to_owned(),
            Self::Postgres(_) => "carya.carya_outbox".to_owned(),
            Self::MariaDb(_) => {
                let database = self.texts("SELECT DATABASE()").await?.pop().unwrap_or_default();
                format!("`{database}_carya`.carya_outbox")
            }
        })
    }

    /// Runs a query that returns one number.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        self.connect().await?.number(sql).await
    }

    /// Runs a query and returns the strings in its first column.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        self.connect().await?.texts(sql).await
    }

    /// Runs one or more statements.
    pub async fn execute(&self, sql: &str) -> Result {
        self.connect().await?.execute(sql).await
    }
}

/// An open connection that bypasses carya.
pub enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Connection {
    /// Runs a query that returns one number or boolean. Servers may return any numeric type.
    pub async fn number(&mut self, sql: &str) -> Result<i64> {
        if let Self::Sqlite(connection) = self {
            return Ok(sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await?.try_get(0)?);
        }
        let texts = self.texts(sql).await?;
        match texts.first().ok_or_else(|| format!("no rows: {sql}"))?.as_str() {
            "t" => Ok(1),
            "f" => Ok(0),
            number => number.parse().map_err(|error| format!("{error}: {number:?} of {sql}").into()),
        }
    }

    /// Runs a query and returns its first column as strings. On servers the column may have any type.
    pub async fn texts(&mut self, sql: &str) -> Result<Vec<String>> {
        let sql = AssertSqlSafe(sql.to_owned());
        // Servers return every column of an unprepared statement as text.
        Ok(match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await?;
                rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?
            }
            Self::Postgres(connection) => {
                let rows = sqlx::raw_sql(sql).fetch_all(connection).await?;
                rows.iter().map(|row: &PgRow| row.try_get_unchecked(0)).collect::<sqlx::Result<_>>()?
            }
            Self::MariaDb(connection) => {
                let rows = sqlx::raw_sql(sql).fetch_all(connection).await?;
                rows.iter().map(|row: &MySqlRow| row.try_get_unchecked(0)).collect::<sqlx::Result<_>>()?
            }
        })
    }

    /// Runs one or more statements.
    pub async fn execute(&mut self, sql: &str) -> Result {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => sql.execute(connection).await.map(|_| ())?,
            Self::Postgres(connection) => sql.execute(connection).await.map(|_| ())?,
            Self::MariaDb(connection) => sql.execute(connection).await.map(|_| ())?,
        }
        Ok(())
    }
}
