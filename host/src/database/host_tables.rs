//! Names of the host's own tables and functions, which guests must not use. They are in the application's database or,
//! on MySQL, in a second database.

use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;

use crate::{
    config::{self, Dialect},
    sql::error::DbError,
};

/// On PostgreSQL, the schema of the host's own tables. On MySQL, these tables are in a second database, such as
/// `app_carya`, and this is the suffix of its name: MySQL cannot exclude a table from a grant on a whole database.
pub(crate) const HOST_SCHEMA: &str = "carya";
/// Name of the outbox table. It is the only table of the host to which the host writes in a guest's transaction: a
/// durable action must commit with the transaction.
pub(crate) const OUTBOX: &str = "carya_outbox";
/// Name of the table with the secret that [`OUTBOX_ADD`] and [`OUTBOX_DONE`] require. Only the owner reads it.
pub(crate) const OUTBOX_SECRET: &str = "carya_outbox_secret";
/// Function of the owner that inserts a row into the outbox. On MySQL it is a procedure.
pub(crate) const OUTBOX_ADD: &str = "carya_outbox_add";
/// Function of the owner that deletes the row of a delivered action from the outbox. On MySQL it is a procedure.
pub(crate) const OUTBOX_DONE: &str = "carya_outbox_done";
/// Function on PostgreSQL that returns whether a session still exists. `carya harden` creates it in [`HOST_SCHEMA`],
/// because hardened logins have no access to `pg_stat_activity` and its functions.
pub(crate) const IS_RUNNING: &str = "carya_is_running";

/// Returns the qualified name of a table in SQL. `database` is the name of the application's database on its server.
pub(crate) fn qualified(dialect: Dialect, database: &str, table: &str) -> String {
    format!("{}{table}", qualifier(dialect, database))
}

/// Returns the [`qualifier`] for the database in `config.url`, without connecting.
pub(crate) fn qualifier_in(config: &config::DatabaseConfig) -> String {
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

/// Adds the remedy to the error of a login without the right to create a table of the host.
pub(crate) fn with_remedy(error: DbError, table: &str) -> DbError {
    let remedy = match (error.code.as_deref(), table.split_once('.')) {
        // MySQL: the login has no rights on the second database, as after `GRANT ALL ON app.*`.
        (Some("1044"), Some((database, _))) => {
            let account = error.message.split(' ').find(|word| word.contains("'@'")).unwrap_or("this login");
            // In a grant `_` and `%` are wildcards.
            let pattern = database.replace('_', r"\_").replace('%', r"\%");
            format!(
                "the host's own tables are in the database {database}, apart from those of guests: run \
                 GRANT ALL ON {pattern}.* TO {account} as an administrator, or set admin_url to a login that may create \
                 the database"
            )
        }
        (Some("1142" | "42501"), _) => {
            "run `carya harden --apply`, or set admin_url to a login that may create tables".to_owned()
        }
        _ => return error,
    };
    DbError { message: format!("{}; {remedy}", error.message), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::error::Kind;

    #[test]
    fn the_remedy_of_a_login_for_one_database_is_a_grant() {
        let message = "Access denied for user 'shop'@'10.0.0.%' to database 'my_shop_carya'";
        let error = DbError { code: Some("1044".to_owned()), ..DbError::new(Kind::Forbidden, message) };
        let found = with_remedy(error, "`my_shop_carya`.carya_outbox").message;
        assert!(found.starts_with(message), "{found}");
        assert!(found.contains(r"run GRANT ALL ON `my\_shop\_carya`.* TO 'shop'@'10.0.0.%' as an"), "{found}");
    }
}
