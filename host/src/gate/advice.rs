//! Alternatives to the statements that the gate refuses by their first word.

use crate::config::Dialect;

const TRANSACTION: &str = "the host begins and ends the transaction: it commits after a success response, and rolls back after \
    `mark-rollback`, an error response or a failed statement";
const SAVEPOINT: &str = "write SAVEPOINT name, RELEASE name or ROLLBACK TO name, through a writer";
const SETTINGS: &str = "settings belong to the host and its configuration";
const SCHEMA: &str = "put changes of the schema into a migration";
const MAINTENANCE: &str = "run maintenance outside the host, with the owner's login";
const PREPARED: &str = "send the statement itself, with `?` for its parameters; the host keeps it prepared";
const CURSORS: &str = "read rows in parts with LIMIT and a condition on the last key";
const BULK: &str = "insert rows with `execute-batch` of the writer";
const PLAN: &str = "run it from another client; `echo = true` in [database] logs each statement with its duration";
const CALL: &str = "call a function in a query: SELECT f(..)";

/// Returns the alternative to a statement that begins with `word`, if there is one.
pub(super) fn instead_of(dialect: Dialect, word: &str) -> Option<&'static str> {
    let (describe, upsert) = match dialect {
        Dialect::Sqlite => (
            "read sqlite_schema, or the columns of a table: SELECT name, type FROM pragma_table_info('items')",
            "write INSERT .. ON CONFLICT .. DO UPDATE",
        ),
        Dialect::Postgres => (
            "read the catalog: SELECT column_name, data_type FROM information_schema.columns",
            "write INSERT .. ON CONFLICT .. DO UPDATE",
        ),
        Dialect::MySql => (
            "read information_schema: SELECT column_name, data_type FROM information_schema.columns",
            "write INSERT .. ON DUPLICATE KEY UPDATE",
        ),
    };
    let advice = match &*word.to_ascii_uppercase() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "XA" => TRANSACTION,
        "SAVEPOINT" | "RELEASE" => SAVEPOINT,
        "SET" | "RESET" | "DISCARD" => SETTINGS,
        "SHOW" | "DESCRIBE" | "DESC" | "HELP" | "PRAGMA" => describe,
        "EXPLAIN" => PLAN,
        "CREATE" | "ALTER" | "DROP" | "RENAME" | "COMMENT" | "GRANT" | "REVOKE" => SCHEMA,
        "TRUNCATE" => "delete the rows: DELETE FROM table",
        "REPLACE" | "MERGE" => upsert,
        "TABLE" => "write SELECT * FROM table",
        "VACUUM" | "ANALYZE" | "REINDEX" | "OPTIMIZE" | "CLUSTER" | "CHECKPOINT" | "REFRESH" | "FLUSH" => MAINTENANCE,
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => PREPARED,
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" | "HANDLER" => CURSORS,
        "COPY" | "LOAD" => BULK,
        "CALL" | "DO" => CALL,
        "LOCK" | "UNLOCK" => "lock rows with SELECT .. FOR UPDATE",
        "NOTIFY" => "call pg_notify through a writer; the commit sends it",
        "LISTEN" | "UNLISTEN" => "register an action with `after-commit`",
        "ATTACH" | "DETACH" | "USE" => "configure another database as [database.NAME]",
        _ => return None,
    };
    Some(advice)
}
