//! Names and settings for the script, taken from the configuration, and how they are quoted.

use std::{fmt, time::Duration};

use percent_encoding::percent_decode_str;
use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};

use crate::{
    config::{self, Dialect},
    sql::error::{DbError, Kind},
};

/// A login for guests.
#[derive(Clone)]
pub(crate) struct Login {
    /// Name of the login.
    pub name: String,
    /// Password, if the URL contains one.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// Names and settings for the script.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Kind of the server.
    pub dialect: Dialect,
    /// Name of the application's database.
    pub database: String,
    /// Login that only reads. `None` if the configuration has no separate login for reading.
    pub reader: Option<Login>,
    /// Login that writes.
    pub writer: Login,
    /// Name of the login of `admin_url`, if the configuration has one.
    pub owner: Option<String>,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// Statement timeout of the logins, for sessions in which the host sets none.
    pub statement_timeout: Duration,
    /// Maximum idle time of a transaction.
    pub idle_timeout: Duration,
}

impl Names {
    /// Takes the names from the URLs of a configuration.
    pub(crate) fn of(database: &config::DatabaseConfig, idle_timeout: Duration) -> Result<Self, DbError> {
        let (writer, name) = login(database.dialect, &database.url)?;
        let reader = match &database.reader_url {
            Some(url) => Some(login(database.dialect, url)?),
            None => None,
        };
        if let Some((_, other)) = reader.as_ref().filter(|(_, other)| *other != name) {
            return Err(wrong(format!("database.reader_url names the database {other}, database.url names {name}")));
        }
        let owner = match &database.admin_url {
            Some(url) => Some(login(database.dialect, url)?.0.name),
            None => None,
        };
        Ok(Self {
            dialect: database.dialect,
            database: name,
            reader: reader.map(|(login, _)| login).filter(|login| login.name != writer.name),
            writer,
            owner,
            allow_functions: database.allow_functions.clone(),
            statement_timeout: database.statement_timeout,
            idle_timeout,
        })
    }

    /// Returns an error if a login for guests is the login of `admin_url`.
    pub(crate) fn check_separate(&self) -> Result<(), DbError> {
        match self.logins().find(|(login, _)| Some(&login.name) == self.owner.as_ref()) {
            None => Ok(()),
            Some((login, _)) => Err(wrong(format!(
                "{} is the login of database.admin_url; guests need separate logins: set unused names in database.url and \
                 database.reader_url; `carya harden --apply` creates them",
                login.name
            ))),
        }
    }

    /// Returns the logins, each with whether it writes.
    pub(super) fn logins(&self) -> impl Iterator<Item = (&Login, bool)> {
        self.reader.iter().map(|login| (login, false)).chain([(&self.writer, true)])
    }
}

/// Returns the login and the database in a URL.
fn login(dialect: Dialect, url: &str) -> Result<(Login, String), DbError> {
    // The driver's error for a URL may contain the password.
    let unread = |_| wrong("a URL of [database] is malformed; write it as postgres://LOGIN:PASSWORD@HOST/DATABASE");
    let (name, database) = match dialect {
        Dialect::Postgres => {
            let options: PgConnectOptions = url.parse().map_err(unread)?;
            (options.get_username().to_owned(), options.get_database().map(str::to_owned))
        }
        Dialect::MySql => {
            let options: MySqlConnectOptions = url.parse().map_err(unread)?;
            (options.get_username().to_owned(), options.get_database().map(str::to_owned))
        }
        Dialect::Sqlite => return Err(wrong("SQLite has no logins")),
    };
    let database = database.ok_or_else(|| wrong("a URL of [database] names no database"))?;
    for name in [&name, &database] {
        // Names are inserted into SQL, comments and messages, so accept only characters that are harmless in all of
        // them.
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-.@".contains(c)) {
            return Err(wrong("names of logins and databases may contain only letters, digits, `_`, `-`, `.` and `@`"));
        }
    }
    Ok((Login { name, password: password(url) }, database))
}

/// Returns the password in a URL. The drivers parse it but do not expose it.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    Some(percent_decode_str(password).decode_utf8().ok()?.into_owned()).filter(|password| !password.is_empty())
}

pub(super) fn wrong(message: impl Into<String>) -> DbError {
    DbError::new(Kind::Other, message)
}

pub(super) fn failed(error: &sqlx::Error) -> DbError {
    let kind = if matches!(error, sqlx::Error::Database(_)) { Kind::Other } else { Kind::Lost };
    DbError::new(kind, error.to_string())
}

/// Returns a string literal in SQL. Does not escape backslashes: names contain none, and callers double the backslashes
/// in passwords.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
