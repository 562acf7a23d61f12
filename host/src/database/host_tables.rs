//! Names of the host's own tables and functions in the application's database, out of reach of guests.

use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;

use crate::config::{self, Dialect};

/// Where the host's own tables are on a server. On PostgreSQL it is the name of a schema. MySQL cannot exclude a table
/// from a grant on its database, so there it is the suffix of a second database, as in `app_carya`.
pub(crate) const HOST_SCHEMA: &str = "carya";
/// Name of the outbox table. It is the only table of the host that a guest's transaction writes to: a durable action
/// must commit with the transaction.
pub(crate) const OUTBOX: &str = "carya_outbox";
/// Function on PostgreSQL that returns whether a session runs a statement. `carya harden` creates it in [`HOST_SCHEMA`],
/// because hardened logins cannot read `pg_stat_activity`.
pub(crate) const IS_RUNNING: &str = "carya_is_running";

/// Returns the qualified name of a table in SQL. `database` is the name of the application's database on its server.
pub(crate) fn qualified(dialect: Dialect, database: &str, table: &str) -> String {
    format!("{}{table}", qualifier(dialect, database))
}

/// Returns the [`qualifier`] for the database in `config.url`, without connecting.
pub(crate) fn qualifier_in(config: &config::Database) -> String {
    let options = MySqlConnectOptions::from_str(&config.url.replacen("mariadb://", "mysql://", 1));
    let database = options.as_ref().ok().and_then(MySqlConnectOptions::get_database).unwrap_or_default();
    qualifier(config.dialect, database)
}

/// Returns the schema or database of the host's tables in SQL, with the dot after it.
pub(crate) fn qualifier(dialect: Dialect, database: &str) -> String {
    match dialect {
        Dialect::Sqlite => String::new(),
        Dialect::Postgres => format!("{HOST_SCHEMA}."),
        Dialect::MySql => format!("`{}_{HOST_SCHEMA}`.", database.replace('`', "``")),
    }
}
