//! The table of the outbox: its columns, and the upgrade of a table that an older version of the host has created.

use crate::{config::Dialect, database::Database, sql::error::DbError};

/// Columns that tables of version 0.1.0 lack.
const NEWER: &str = "request, depth, previous, state, registered_at";

/// Returns the definitions of the columns. Times are in milliseconds since 1970, by the clocks of the hosts.
///
/// - `seq` orders the actions of one request.
/// - `due_at` is the time from which a host may take the action. While a delivery runs, it is the end of its lease.
/// - `previous` is the id of the action that the same request registered before, or empty.
/// - `state` is `new`, `failed` or `dead`.
pub(crate) const fn columns(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, component TEXT NOT NULL, name TEXT NOT NULL, \
            payload TEXT NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL, \
            request TEXT NOT NULL DEFAULT '', depth INTEGER NOT NULL DEFAULT 1, previous TEXT NOT NULL DEFAULT '', \
            state TEXT NOT NULL DEFAULT 'new', registered_at INTEGER NOT NULL DEFAULT 0"
        }
        Dialect::Postgres => {
            "seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, component text NOT NULL, \
            name text NOT NULL, payload text NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL, \
            request text NOT NULL DEFAULT '', depth bigint NOT NULL DEFAULT 1, previous text NOT NULL DEFAULT '', \
            state text NOT NULL DEFAULT 'new', registered_at bigint NOT NULL DEFAULT 0"
        }
        Dialect::MySql => {
            "seq bigint AUTO_INCREMENT PRIMARY KEY, id varchar(64) NOT NULL UNIQUE, component varchar(255) NOT NULL, \
            name varchar(255) NOT NULL, payload longtext NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL, \
            request varchar(255) NOT NULL DEFAULT '', depth bigint NOT NULL DEFAULT 1, \
            previous varchar(64) NOT NULL DEFAULT '', state varchar(8) NOT NULL DEFAULT 'new', \
            registered_at bigint NOT NULL DEFAULT 0, KEY carya_outbox_due (due_at)"
        }
    }
}

/// Returns statements that add what a table of an older version lacks. On MySQL they fail if the table has a part of it.
pub(crate) fn upgrade(dialect: Dialect, table: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!(
            "BEGIN IMMEDIATE; ALTER TABLE {table} ADD COLUMN request TEXT NOT NULL DEFAULT ''; \
             ALTER TABLE {table} ADD COLUMN depth INTEGER NOT NULL DEFAULT 1; \
             ALTER TABLE {table} ADD COLUMN previous TEXT NOT NULL DEFAULT ''; \
             ALTER TABLE {table} ADD COLUMN state TEXT NOT NULL DEFAULT 'new'; \
             ALTER TABLE {table} ADD COLUMN registered_at INTEGER NOT NULL DEFAULT 0; {}; COMMIT",
            index(table)
        ),
        Dialect::Postgres => format!(
            "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS request text NOT NULL DEFAULT '', \
             ADD COLUMN IF NOT EXISTS depth bigint NOT NULL DEFAULT 1, \
             ADD COLUMN IF NOT EXISTS previous text NOT NULL DEFAULT '', \
             ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'new', \
             ADD COLUMN IF NOT EXISTS registered_at bigint NOT NULL DEFAULT 0; {}",
            index(table)
        ),
        Dialect::MySql => format!(
            "ALTER TABLE {table} ADD COLUMN request varchar(255) NOT NULL DEFAULT '', \
             ADD COLUMN depth bigint NOT NULL DEFAULT 1, ADD COLUMN previous varchar(64) NOT NULL DEFAULT '', \
             ADD COLUMN state varchar(8) NOT NULL DEFAULT 'new', ADD COLUMN registered_at bigint NOT NULL DEFAULT 0, \
             ADD KEY carya_outbox_due (due_at)"
        ),
    }
}

/// Returns the statement that creates the index by which deliveries find actions. MySQL has it in the definition of the
/// table.
fn index(table: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS carya_outbox_due ON {table} (due_at)")
}

/// Returns whether this version of the host, or an earlier one that has been upgraded, has created the outbox.
pub(crate) async fn is_created(database: &Database) -> Result<bool, DbError> {
    database.has_columns(&database.outbox().table, NEWER).await
}

/// Creates the outbox if it does not exist, and upgrades the outbox of an older version.
pub(crate) async fn create(database: &Database) -> Result<(), DbError> {
    let (table, dialect) = (&database.outbox().table, database.dialect());
    if is_created(database).await? {
        return Ok(());
    }
    database.ensure(table, columns(dialect)).await?;
    if is_created(database).await? {
        // The table is new. Without the index the host works too, so a failure that a second host causes does not
        // matter.
        return match dialect {
            Dialect::MySql => Ok(()),
            Dialect::Sqlite | Dialect::Postgres => database.run_ddl(index(table)).await,
        };
    }
    match database.run_ddl(upgrade(dialect, table)).await {
        // Another host may upgrade the table at the same time.
        Err(error) if !is_created(database).await? => Err(error),
        _ => Ok(()),
    }
}
