//! `carya harden`: creates logins for guests' statements, with so few rights that a guest gains nothing if the gate has
//! a hole. The SQL is in the templates `harden/postgres/*.sql` and `harden/mysql/*.sql`. The files `check.rs` find
//! rights that a login still has and does not need.
//!
//! The owner of the database runs the script, which is idempotent and contains no passwords. A login that it creates
//! cannot connect until it has a password. [`apply`] sets the passwords of the configuration.

mod finding;
mod mysql;
mod names;
mod postgres;
mod script;

use std::time::Duration;

pub(crate) use self::{
    finding::{Finding, Remedy},
    names::Names,
};
use crate::{
    config::{self, Dialect},
    sql::error::DbError,
};

/// Returns the script as text, which an operator can read, or run with `psql` or `mariadb`. It is empty for SQLite.
pub(crate) fn script(names: &Names) -> Result<String, DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(String::new()),
        Dialect::Postgres => postgres::script(names),
        Dialect::MySql => mysql::script(names),
    }
}

/// Runs the script as the owner, and sets the passwords of the configuration. Calls `done` with a title after each
/// group of statements and after each password.
pub(crate) async fn apply(names: &Names, admin_url: &str, done: impl FnMut(&str)) -> Result<(), DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::apply(names, admin_url, done).await,
        Dialect::MySql => mysql::apply(names, admin_url, done).await,
    }
}

/// Finds rights of the logins for guests that guests do not need. Queries the server with these logins. Returns no
/// findings for a hardened database.
pub(crate) async fn find_excess_rights(database: &config::DatabaseConfig) -> Result<Vec<Finding>, DbError> {
    let names = Names::of(&config::DatabaseConfig { admin_url: None, ..database.clone() }, Duration::ZERO)?;
    let mut findings = Vec::new();
    if names.reader.is_none() {
        findings.push(Finding {
            what: format!("there is no login that only reads; readers use {}", names.writer.name),
            allows: "a reading handle to write, if the gate and the transaction's READ ONLY both had a hole".to_owned(),
            remedy: Remedy::Advice("set database.reader_url, then carya harden --apply"),
        });
    }
    let reader = database.reader_url.as_ref().filter(|_| names.reader.is_some());
    for (url, writes) in reader.map(|url| (url, false)).into_iter().chain([(&database.url, true)]) {
        findings.extend(match names.dialect {
            Dialect::Sqlite => Vec::new(),
            Dialect::Postgres => postgres::check::find_excess_rights(&names, url, writes).await?,
            Dialect::MySql => mysql::check::find_excess_rights(&names, url, writes).await?,
        });
    }
    Ok(findings)
}
