//! The SQL dialects of databases.

/// SQL dialect of a database, which its URL determines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// An SQLite file, which the host opens itself.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A MySQL or MariaDB server.
    MySql,
}

/// The dialect of a database server: every [`Dialect`] except SQLite, which runs inside the host.
///
/// It has no `PartialEq`: each decision is a `match`, so that the compiler reports all decisions that a new dialect needs.
#[derive(Debug, Clone, Copy)]
pub enum ServerDialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

impl Dialect {
    /// Returns the name of the product, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
            Dialect::MySql => "MySQL",
        }
    }

    /// Returns the dialect of a server, or `None` for SQLite.
    pub fn server(self) -> Option<ServerDialect> {
        match self {
            Dialect::Sqlite => None,
            Dialect::Postgres => Some(ServerDialect::Postgres),
            Dialect::MySql => Some(ServerDialect::MySql),
        }
    }
}
