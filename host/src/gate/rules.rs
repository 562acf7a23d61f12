//! Rules of the gate for one connection, and classes of statements.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::Dialect,
    sql::error::{DbError, Kind},
};

/// Class of a statement, by its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `SELECT`, `VALUES` or `TABLE`.
    Query,
    /// `WITH`: a query or a change.
    With,
    /// `INSERT` or `REPLACE`.
    Insert,
    /// `UPDATE`, `DELETE` or `MERGE`.
    Change,
}

/// Rules of the gate for one connection: the dialect, and facts that the server reported when the connection was
/// opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// SQLite. The gate does not check names, because SQLite's authorizer checks them.
    Sqlite,
    /// PostgreSQL, with the functions of its extensions.
    Postgres(Extensions),
    /// MySQL or MariaDB. `Some` if the login can see the database `mysql`, as logins with rights on all databases can.
    /// In this case, guests may only use the database of the connection.
    MySql(Option<OwnDatabase>),
}

/// SQL list of the extensions of PostgreSQL whose volatile functions are harmless: they only compute values.
pub(crate) const HARMLESS_EXTENSIONS: &str = "'pgcrypto', 'uuid-ossp'";

/// Functions of PostgreSQL extensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Functions that guests must not call, by name in lower case.
    pub(super) refused: BTreeMap<String, ExtensionFunction>,
    /// Names of the functions that the configuration allows, in lower case.
    pub(super) allowed: BTreeSet<String>,
}

/// A function of a PostgreSQL extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFunction {
    /// Name with its schema, as in `database.allow_functions`.
    pub full_name: String,
    /// Name of the extension.
    pub extension: String,
    /// Whether the first argument can be a row. If so, `row.function` is a call too.
    pub takes_row: bool,
}

/// The database of a MySQL or MariaDB connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDatabase {
    /// Name of the database.
    pub name: String,
    /// Whether the server distinguishes upper and lower case in names of databases (`lower_case_table_names = 0`).
    pub is_case_sensitive: bool,
}

impl OwnDatabase {
    pub(super) fn is(&self, name: &str) -> bool {
        match self.is_case_sensitive {
            true => self.name == name,
            false => self.name.to_lowercase() == name.to_lowercase(),
        }
    }
}

impl Extensions {
    /// Creates the two lists of functions. `refused` contains the functions to refuse, by name in lower case; `allowed`
    /// contains the functions that the configuration allows, as `schema.name`.
    pub fn new(refused: impl IntoIterator<Item = (String, ExtensionFunction)>, allowed: &[String]) -> Self {
        let name = |full_name: &String| match full_name.split_once('.') {
            Some(("pg_catalog", _)) | None => None,
            Some((_, name)) => Some(name.to_lowercase()),
        };
        Self { refused: refused.into_iter().collect(), allowed: allowed.iter().filter_map(name).collect() }
    }
}

impl Rules {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Rules::Sqlite => Dialect::Sqlite,
            Rules::Postgres(_) => Dialect::Postgres,
            Rules::MySql(_) => Dialect::MySql,
        }
    }
}

/// Returns the error for a statement that guests must not send.
pub(super) fn forbidden(why: impl Into<String>) -> DbError {
    DbError::new(Kind::Forbidden, why)
}
