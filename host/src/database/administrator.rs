//! Creates, copies and drops the throw-away databases of `carya test`, with the login of an administrator. The caller
//! chooses the names, which must consist of letters, digits and underscores.

use std::time::Duration;

use super::{
    host_tables::{HOST_SCHEMA, qualifier},
    mysql::copy,
    server::{self, session::ServerSession},
};
use crate::{
    config::{self, Dialect},
    sql::error::{DbError, Kind},
};

/// Start of the names of all throw-away databases and logins. No other database and no other login is ever dropped.
pub(crate) const THROW_AWAY: &str = "carya_test_";

/// Maximum time of a statement, and of waiting for a lock.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection with the login of an administrator, to the database in the login's URL.
#[derive(Debug)]
pub(crate) struct Administrator {
    url: String,
    settings: config::DatabaseConfig,
    session: ServerSession,
}

impl Administrator {
    /// Connects to the server in `url`. `settings` are those of a database of the application on a server of this kind.
    pub(crate) async fn connect(url: &str, settings: &config::DatabaseConfig) -> Result<Self, DbError> {
        let settings = config::DatabaseConfig { statement_timeout: TIMEOUT, lock_timeout: TIMEOUT, ..settings.clone() };
        let session = server::connect(url, &settings).await?;
        Ok(Self { url: url.to_owned(), settings, session })
    }

    /// Returns the names of the databases and of the logins that start with [`THROW_AWAY`].
    pub(crate) async fn list(&mut self) -> Result<(Vec<String>, Vec<String>), DbError> {
        let (databases, logins) = match self.settings.dialect {
            Dialect::MySql => ("SELECT schema_name FROM information_schema.schemata", "SELECT user FROM mysql.user"),
            Dialect::Postgres | Dialect::Sqlite => {
                ("SELECT datname::text FROM pg_database", "SELECT rolname::text FROM pg_roles")
            }
        };
        let mut lists = [Vec::new(), Vec::new()];
        for (sql, names) in [databases, logins].into_iter().zip(&mut lists) {
            let found = self.session.query_batch(sql.to_owned()).await?;
            *names = found.into_iter().flatten().filter(|name| name.starts_with(THROW_AWAY)).collect();
        }
        Ok(lists.into())
    }

    /// Creates a login for guests' statements.
    pub(crate) async fn create_login(&mut self, login: &str, password: &str) -> Result<(), DbError> {
        for name in [login, password] {
            check_word(name)?;
        }
        self.run(match self.settings.dialect {
            Dialect::MySql => format!("CREATE USER {login} IDENTIFIED BY '{password}'"),
            Dialect::Postgres | Dialect::Sqlite => format!("CREATE ROLE {login} LOGIN PASSWORD '{password}'"),
        })
        .await
    }

    /// Creates an empty database. `login` may read and write the tables that the administrator creates in it.
    pub(crate) async fn create(&mut self, database: &str, login: &str) -> Result<(), DbError> {
        check_word(database)?;
        check_word(login)?;
        if self.settings.dialect == Dialect::MySql {
            return self
                .run(format!(
                    "CREATE DATABASE {database} CHARACTER SET utf8mb4; \
                     GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {database}.* TO {login}"
                ))
                .await;
        }
        self.run(format!("CREATE DATABASE {database}")).await?;
        self.run_in(
            database,
            format!(
                "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {login}; \
                 ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {login}; \
                 ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {login}"
            ),
        )
        .await
    }

    /// Prepares a database with its tables for [`copy`](Self::copy). The caller must have closed its connections.
    pub(crate) async fn save(&mut self, database: &str, login: &str) -> Result<(), DbError> {
        if self.settings.dialect == Dialect::MySql {
            return Ok(());
        }
        // Guests must not read the secret of the outbox. See `create` for the rights that they got on all tables.
        let revoke = format!(
            "DO $$ BEGIN IF to_regnamespace('{HOST_SCHEMA}') IS NOT NULL THEN \
             REVOKE ALL ON ALL TABLES IN SCHEMA {HOST_SCHEMA} FROM {login}; END IF; END $$"
        );
        self.run_in(database, revoke).await?;
        // The server refuses to copy a database in use, and the connections of closed pools end with a delay.
        self.run(format!(
            "SELECT pg_terminate_backend(pid, 5000)::text FROM pg_stat_activity WHERE datname = '{database}'"
        ))
        .await
    }

    /// Makes `to` a copy of `from`, a saved database. On MySQL, which cannot copy databases, empties `to` and copies the
    /// rows; if the tables differ or have triggers, `to` becomes an empty database, which migrations must fill.
    pub(crate) async fn copy(&mut self, from: &str, to: &str, login: &str) -> Result<(), DbError> {
        check_word(from)?;
        check_word(to)?;
        if let ServerSession::MySql(session) = &mut self.session {
            if !copy::refill(session, from, to).await? {
                self.drop_database(to).await?;
                self.create(to, login).await?;
            }
            return Ok(());
        }
        self.run(format!("CREATE DATABASE {to} TEMPLATE {from}")).await
    }

    /// Drops a throw-away database, also if it is in use. On MySQL, also drops the database of the host's tables.
    pub(crate) async fn drop_database(&mut self, database: &str) -> Result<(), DbError> {
        check_ours(database)?;
        self.run(match self.settings.dialect {
            Dialect::MySql => {
                let host = qualifier(Dialect::MySql, database);
                let host = host.trim_end_matches('.');
                format!("DROP DATABASE IF EXISTS {database}; DROP DATABASE IF EXISTS {host}")
            }
            Dialect::Postgres | Dialect::Sqlite => format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
        })
        .await
    }

    /// Drops a throw-away login. The caller must have dropped the databases on which it has rights.
    pub(crate) async fn drop_login(&mut self, login: &str) -> Result<(), DbError> {
        check_ours(login)?;
        let kind = if self.settings.dialect == Dialect::MySql { "USER" } else { "ROLE" };
        self.run(format!("DROP {kind} IF EXISTS {login}")).await
    }

    async fn run(&mut self, sql: String) -> Result<(), DbError> {
        self.session.query_batch(sql).await.map(drop)
    }

    /// Runs SQL in another database.
    async fn run_in(&self, database: &str, sql: String) -> Result<(), DbError> {
        let url = config::with_database(&self.url, database, None);
        server::connect(&url, &self.settings).await?.query_batch(sql).await.map(drop)
    }
}

/// Returns an error unless a name or a password consists of letters, digits and underscores, and needs no quotes.
fn check_word(name: &str) -> Result<(), DbError> {
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word { Ok(()) } else { Err(DbError::new(Kind::Other, format!("{name:?} is not a plain name"))) }
}

/// Returns an error unless a name is that of a throw-away database or login.
fn check_ours(name: &str) -> Result<(), DbError> {
    check_word(name)?;
    if name.starts_with(THROW_AWAY) {
        return Ok(());
    }
    Err(DbError::new(Kind::Other, format!("{name} is not dropped, because its name does not start with {THROW_AWAY}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_throw_away_databases_are_dropped() {
        assert!(check_ours("carya_test_1").is_ok());
        for name in ["shop", "my_carya_test_1", "Carya_Test_1", "carya_test", "carya_test_1; DROP DATABASE shop", ""] {
            assert!(check_ours(name).is_err(), "{name}");
        }
    }
}
