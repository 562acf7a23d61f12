//! `carya harden`: the logins that guests' statements run under, made so that a hole in the gate gains nothing. Here is
//! what both servers have in common: names, the script as a list of groups, findings. Knows no rule of an engine, and
//! nothing of guests.
//!
//! The script is idempotent, is run by the owner of the database, and has no passwords in it: a login that it makes
//! lets nobody in until a password is set, which `apply` does with those of the configuration.

mod mysql;
mod postgres;

use std::{fmt, time::Duration};

use percent_encoding::percent_decode_str;
use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};

pub(super) use self::postgres::IS_RUNNING;
use super::error::{DbError, Kind};
use crate::config::{self, Dialect};

/// A login for guests.
#[derive(Clone)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// Its password, if the URL has one.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// Whom and what the script is about.
#[derive(Debug, Clone)]
pub struct Names {
    /// The kind of server.
    pub dialect: Dialect,
    /// The application's database.
    pub database: String,
    /// The login that only reads; none if the configuration has but one.
    pub reader: Option<Login>,
    /// The login that writes.
    pub writer: Login,
    /// PostgreSQL: volatile functions of extensions that guests may call, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// How long one statement may run where the host says nothing else.
    pub statement_timeout: Duration,
    /// How long a transaction may stand idle.
    pub idle_timeout: Duration,
}

impl Names {
    /// The names in the URLs of a configuration.
    pub fn of(database: &config::Database, idle_timeout: Duration) -> Result<Self, DbError> {
        let (writer, name) = login(database.dialect, &database.url)?;
        let reader = match &database.reader_url {
            Some(url) => Some(login(database.dialect, url)?),
            None => None,
        };
        if let Some((_, other)) = reader.as_ref().filter(|(_, other)| *other != name) {
            return Err(wrong(format!("database.reader_url names the database {other}, database.url names {name}")));
        }
        if let Some(url) = &database.admin_url {
            let (owner, _) = login(database.dialect, url)?;
            let shared = [Some(&writer), reader.as_ref().map(|(login, _)| login)];
            if shared.into_iter().flatten().any(|login| login.name == owner.name) {
                return Err(wrong(format!(
                    "{} is the login of database.admin_url; guests need logins of their own: give database.url and \
                     database.reader_url names that are not taken, and harden makes them",
                    owner.name
                )));
            }
        }
        Ok(Self {
            dialect: database.dialect,
            database: name,
            reader: reader.map(|(login, _)| login).filter(|login| login.name != writer.name),
            writer,
            allow_functions: database.allow_functions.clone(),
            statement_timeout: database.statement_timeout,
            idle_timeout,
        })
    }

    /// Both logins, and whether they write.
    fn logins(&self) -> impl Iterator<Item = (&Login, bool)> {
        self.reader.iter().map(|login| (login, false)).chain([(&self.writer, true)])
    }
}

/// The login and the database in a URL.
fn login(dialect: Dialect, url: &str) -> Result<(Login, String), DbError> {
    // What the driver says of a URL may repeat the password in it.
    let unread = |_| wrong("a URL of [database] cannot be read; write it as postgres://LOGIN:PASSWORD@HOST/DATABASE");
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
        // They are written into SQL, comments and messages; nothing that needs thought there is let in.
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-.@".contains(c)) {
            return Err(wrong("logins and databases are named with letters, digits, `_`, `-`, `.` and `@`"));
        }
    }
    Ok((Login { name, password: password(url) }, database))
}

/// The drivers read it and do not tell it.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    Some(percent_decode_str(password).decode_utf8().ok()?.into_owned()).filter(|password| !password.is_empty())
}

/// Statements that belong together, and why they are there.
struct Group {
    title: &'static str,
    why: &'static str,
    sql: String,
}

/// The script, for a look or for psql and mariadb.
pub fn script(names: &Names) -> String {
    let (head, groups, tail) = match names.dialect {
        Dialect::Sqlite => return String::new(),
        Dialect::Postgres => (postgres::head(names), postgres::groups(names), postgres::tail(names)),
        Dialect::MySql => (mysql::head(names), mysql::groups(names), mysql::tail(names)),
    };
    let mut text = head;
    for Group { title, why, sql } in groups {
        text += &format!("\n-- {title}\n");
        for line in why.lines() {
            text += &format!("--   {}\n", line.trim());
        }
        text += sql.trim();
        text.push('\n');
    }
    text + &tail
}

/// Runs the script as the owner and sets the passwords that the configuration has. Tells each group as it is done.
pub async fn apply(names: &Names, admin_url: &str, done: impl FnMut(&str)) -> Result<(), DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::apply(names, admin_url, done).await,
        Dialect::MySql => mysql::apply(names, admin_url, done).await,
    }
}

/// Something that a guest could do if the gate had a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What there is, or is missing.
    pub what: String,
    /// What it would allow.
    pub allows: String,
    /// What helps.
    pub cure: Cure,
}

/// What helps against a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// `carya harden --apply`.
    Harden,
    /// Something that harden leaves to people, in their words.
    Advice(&'static str),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cure = match self.cure {
            Cure::Harden => "carya harden --apply",
            Cure::Advice(advice) => advice,
        };
        write!(f, "{}: allows {} (cure: {cure})", self.what, self.allows)
    }
}

/// Asks the server, through the guests' own logins, what they may do beyond their work. Empty on a hardened set-up.
pub async fn missing(database: &config::Database) -> Result<Vec<Finding>, DbError> {
    let names = Names::of(&config::Database { admin_url: None, ..database.clone() }, Duration::ZERO)?;
    let mut findings = Vec::new();
    if names.reader.is_none() {
        findings.push(Finding {
            what: format!("there is no login that only reads; readers use {}", names.writer.name),
            allows: "a reading handle to write, if the gate and the transaction's READ ONLY both had a hole".to_owned(),
            cure: Cure::Advice("set database.reader_url, then carya harden --apply"),
        });
    }
    let reader = database.reader_url.as_ref().filter(|_| names.reader.is_some());
    for (url, writes) in reader.map(|url| (url, false)).into_iter().chain([(&database.url, true)]) {
        findings.extend(match names.dialect {
            Dialect::Sqlite => Vec::new(),
            Dialect::Postgres => postgres::missing(&names, url, writes).await?,
            Dialect::MySql => mysql::missing(&names, url, writes).await?,
        });
    }
    Ok(findings)
}

/// A few of many, for one line.
fn listed(mut items: Vec<String>) -> String {
    const SHOWN: usize = 6;
    items.sort();
    items.dedup();
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let text = items.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

fn wrong(message: impl Into<String>) -> DbError {
    DbError::new(Kind::Other, message)
}

fn failed(error: &sqlx::Error) -> DbError {
    let kind = if matches!(error, sqlx::Error::Database(_)) { Kind::Other } else { Kind::Lost };
    DbError::new(kind, error.to_string())
}

/// Text in SQL. Backslashes are not in names, and passwords go by another way where they would matter.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
