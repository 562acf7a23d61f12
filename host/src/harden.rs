//! `carya harden`: renders or runs an SQL script that creates the database logins with which the host runs guests'
//! statements. These logins have so few rights that a guest gains nothing if the gate, the host's check of SQL text,
//! wrongly accepts a statement.
//!
//! The script is rendered from the templates `harden/postgres/*.sql` or `harden/mysql/*.sql`. It is idempotent and
//! contains no passwords. The owner of the database runs it. A new login cannot connect until its password is set:
//! [`apply`] runs the script and sets the passwords that the configuration contains.
//!
//! `harden/postgres/check.rs` and `harden/mysql/check.rs` find unneeded rights that a login still has.

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

/// Runs the script with the login of the owner in `admin_url`, and sets the passwords that the configuration contains.
/// Calls `done` with the title of each group of statements after the group, and with a fixed text after each password.
pub(crate) async fn apply(names: &Names, admin_url: &str, done: impl FnMut(&str)) -> Result<(), DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::apply(names, admin_url, done).await,
        Dialect::MySql => mysql::apply(names, admin_url, done).await,
    }
}

/// Connects with each login that the host uses for guests' statements, and finds the rights of this login that guests
/// do not need. Returns no findings for a hardened database.
pub(crate) async fn find_excess_rights(database: &config::DatabaseConfig) -> Result<Vec<Finding>, DbError> {
    let names = Names::of(database, Duration::ZERO)?;
    let mut findings = Vec::new();
    if names.reader.is_none() {
        findings.push(Finding {
            what: format!("there is no login that only reads; `reader` handles use {}", names.writer.name),
            allows: "a `reader` handle to write, if neither the gate nor READ ONLY refuses the statement".to_owned(),
            remedy: Remedy::Advice("set database.reader_url, then run carya harden --apply"),
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
