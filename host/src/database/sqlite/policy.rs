//! Determines which actions of SQLite's authorizer a guest's statement may take. These are pure functions:
//! [`barrier`](super::barrier) calls [`authorize`] for each action of a statement that SQLite compiles.

use std::ffi::c_int;

use libsqlite3_sys::*;

/// Maximum length of a text or blob, in bytes.
pub(super) const MAX_LENGTH: c_int = 4 << 20;

/// Returns whether a guest's statement may take an action: `SQLITE_OK`, `SQLITE_DENY`, or `SQLITE_IGNORE` for an action
/// that has no effect. All actions without an arm are refused: transactions, savepoints, `ATTACH`, `PRAGMA`, changes of
/// the schema, temporary objects, virtual tables and `ANALYZE`.
pub(super) fn authorize(action: c_int, first: &[u8], second: &[u8], writes: bool) -> c_int {
    let is_allowed = match action {
        SQLITE_SELECT | SQLITE_RECURSIVE => true,
        SQLITE_READ => !hidden(first),
        // FTS5 runs this pragma itself. The table `pragma_data_version` stays hidden.
        SQLITE_PRAGMA if first == b"data_version" => second.is_empty(),
        // SQLite runs these to read the tables of the same names. The second argument is a table or an index.
        SQLITE_PRAGMA if is_any(first, DESCRIBING_PRAGMAS) => {
            // Object-relational mappers describe all tables of `sqlite_schema` in one statement. A hidden table must not
            // make it fail, so its description has no rows.
            return if hidden(second) { SQLITE_IGNORE } else { SQLITE_OK };
        }
        SQLITE_FUNCTION => !is_any(second, FORBIDDEN_FUNCTIONS),
        SQLITE_INSERT | SQLITE_UPDATE | SQLITE_DELETE => writes && !hidden(first) && !has_prefix(first, b"sqlite_"),
        _ => false,
    };
    if is_allowed { SQLITE_OK } else { SQLITE_DENY }
}

/// Functions that load code, and functions that run for hours on two large objects.
const FORBIDDEN_FUNCTIONS: &[&[u8]] = &[b"load_extension", b"fts3_tokenizer", b"json_patch", b"jsonb_patch"];

/// Pragmas that only describe tables and indexes. Guests read them as tables, such as `pragma_table_info('items')`. The
/// gate refuses `PRAGMA` statements.
const DESCRIBING_PRAGMAS: &[&[u8]] =
    &[b"foreign_key_list", b"index_info", b"index_list", b"index_xinfo", b"table_info", b"table_list", b"table_xinfo"];

/// Returns whether a table is hidden from guests: a table of the host, or a table in which SQLite shows the state of
/// the connection or the file.
fn hidden(table: &[u8]) -> bool {
    has_prefix(table, b"carya_")
        || has_prefix(table, b"_sqlx_")
        || has_prefix(table, PRAGMA) && !is_any(&table[PRAGMA.len()..], DESCRIBING_PRAGMAS)
        || has_prefix(table, b"sqlite_temp_")
        || is_any(table, &[b"dbstat", b"sqlite_dbpage", b"sqlite_stmt", b"bytecode", b"tables_used"])
}

/// Prefix of the tables that return the rows of a pragma.
const PRAGMA: &[u8] = b"pragma_";

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix)
}

fn is_any(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_take_only_listed_actions() {
        let table: &[(c_int, &str, &str, bool, bool)] = &[
            // Action, first and second argument; whether a reader and a writer may take it. `foreign_key_list` of a hidden
            // table has no effect.
            (SQLITE_SELECT, "", "", true, true),
            (SQLITE_READ, "items", "id", true, true),
            (SQLITE_READ, "carya_outbox", "id", false, false),
            (SQLITE_READ, "_sqlx_migrations", "version", false, false),
            (SQLITE_READ, "PRAGMA_database_list", "file", false, false),
            (SQLITE_READ, "PRAGMA_table_info", "name", true, true),
            (SQLITE_READ, "pragma_table_infos", "name", false, false),
            (SQLITE_FUNCTION, "", "abs", true, true),
            (SQLITE_FUNCTION, "", "Load_Extension", false, false),
            (SQLITE_FUNCTION, "", "JSON_patch", false, false),
            (SQLITE_INSERT, "items", "", false, true),
            (SQLITE_UPDATE, "items", "id", false, true),
            (SQLITE_DELETE, "items", "", false, true),
            (SQLITE_DELETE, "sqlite_sequence", "", false, false),
            (SQLITE_DELETE, "carya_outbox", "", false, false),
            (SQLITE_TRANSACTION, "COMMIT", "", false, false),
            (SQLITE_SAVEPOINT, "BEGIN", "a", false, false),
            (SQLITE_ATTACH, "/etc/passwd", "", false, false),
            (SQLITE_PRAGMA, "query_only", "0", false, false),
            (SQLITE_PRAGMA, "database_list", "", false, false),
            (SQLITE_PRAGMA, "foreign_key_list", "items", true, true),
            (SQLITE_PRAGMA, "foreign_key_list", "carya_outbox", false, false),
            (SQLITE_PRAGMA, "data_version", "", true, true),
            (SQLITE_PRAGMA, "data_version", "1", false, false),
            (SQLITE_CREATE_TABLE, "t", "", false, false),
            (SQLITE_CREATE_TEMP_TABLE, "t", "", false, false),
            (SQLITE_CREATE_VTABLE, "t", "fts5", false, false),
            (SQLITE_DROP_TABLE, "items", "", false, false),
            (SQLITE_ALTER_TABLE, "main", "items", false, false),
            (SQLITE_ANALYZE, "items", "", false, false),
        ];
        let results = |(action, first, second, _, _): &(c_int, &str, &str, bool, bool)| {
            [false, true].map(|writes| authorize(*action, first.as_bytes(), second.as_bytes(), writes) == SQLITE_OK)
        };
        let wrong: Vec<_> = table.iter().filter(|row| results(row) != [row.3, row.4]).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(authorize(SQLITE_PRAGMA, b"table_info", b"carya_outbox", true), SQLITE_IGNORE);
    }
}
