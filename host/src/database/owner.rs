//! Connections for migrations and resets. They use the owner's login, and are outside the pools and without the
//! barrier.

use sqlx::{MySqlConnection, PgConnection, SqliteConnection};

use super::{
    server::{self, session::ServerSession},
    sqlite,
};
use crate::{
    config::{self, Dialect},
    sql::error::DbError,
};

/// A connection with the login of `admin_url`, or with that of `url` if `admin_url` is not set.
#[derive(Debug)]
pub(crate) enum OwnerConnection {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
    MySql(Box<MySqlConnection>),
}

impl OwnerConnection {
    /// Connects to a database without creating or changing it. Returns `None` if the SQLite file does not exist yet.
    pub(crate) async fn to_existing(config: &config::DatabaseConfig) -> Result<Option<Self>, DbError> {
        match config.dialect {
            Dialect::Sqlite => Ok(sqlite::opener::connect_existing(config).await?.map(Self::Sqlite)),
            Dialect::Postgres | Dialect::MySql => Self::to_server(config).await.map(Some),
        }
    }

    /// Connects to a server as the owner.
    pub(crate) async fn to_server(config: &config::DatabaseConfig) -> Result<Self, DbError> {
        server::connect(config.admin_url.as_ref().unwrap_or(&config.url), config).await.map(Self::from)
    }

    /// Connects to a server with the login in `url`.
    pub(crate) async fn with_login(url: &str, config: &config::DatabaseConfig) -> Result<Self, DbError> {
        server::connect(url, config).await.map(Self::from)
    }
}

impl From<ServerSession> for OwnerConnection {
    fn from(session: ServerSession) -> Self {
        match session {
            ServerSession::Postgres(session) => Self::Postgres(Box::new(session.connection)),
            ServerSession::MySql(session) => Self::MySql(Box::new(session.connection)),
        }
    }
}
