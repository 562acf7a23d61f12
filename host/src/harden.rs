//! `carya harden`: logins for guests' statements with so few rights that a hole in the gate gains nothing. The SQL is in
//! templates, `harden/postgres/*.sql` and `harden/mysql/*.sql`; the files `check.rs` look for the rights that are left.
//!
//! The owner of the database runs the script, which is idempotent and contains no passwords. A login that it creates
//! cannot connect until it has a password. [`apply`] sets the passwords of the configuration.

mod finding;
mod mysql;
mod names;
mod postgres;
mod script;

use std::time::Duration;

pub use self::{
    finding::{Finding, Remedy},
    names::{Login, Names},
};
use crate::{
    config::{self, Dialect},
    sql::error::DbError,
};

/// Returns the script, to be read, or to be run with `psql` or `mariadb`.
pub fn script(names: &Names) -> Result<String, DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(String::new()),
        Dialect::Postgres => postgres::script(names),
        Dialect::MySql => mysql::script(names),
    }
}

/// Runs the script as the owner, and sets the passwords of the configuration. Calls `done` with the title of each group
/// that is done.
pub async fn apply(names: &Names, admin_url: &str, done: impl FnMut(&str)) -> Result<(), DbError> {
    match names.dialect {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => postgres::apply(names, admin_url, done).await,
        Dialect::MySql => mysql::apply(names, admin_url, done).await,
    }
}

/// Queries the server through the logins of guests for powers beyond their work. Returns no findings for a hardened
/// database.
pub async fn find_excess_rights(database: &config::Database) -> Result<Vec<Finding>, DbError> {
    let names = Names::of(&config::Database { admin_url: None, ..database.clone() }, Duration::ZERO)?;
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
