//! Names that guests must not use in statements, in groups with a common reason. The module `gate::place` determines in
//! which position a statement uses a name, and refuses the statement if the name is refused in this position.
//!
//! The engine's own barrier (logins with few rights, read-only transactions) also refuses most of these names.
//! But an engine cannot deny a login some functions, such as MariaDB's built-in functions: only this list refuses them.

use crate::config::ServerDialect;

/// Positions in which a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The name is refused everywhere.
    Anywhere,
    /// The name is refused as the name of a called function: before an opening parenthesis.
    Called,
    /// The function must only be called through a `writer` handle. A call through a `reader` handle is refused.
    CalledThroughWriter,
    /// A call of the function with an argument is refused, except in `INSERT` and `UPDATE`.
    CalledWithArgument,
}

/// Names that are refused for the same reason.
#[derive(Debug)]
pub(super) struct Group {
    /// Positions in which the names are refused.
    pub(super) place: Place,
    /// Reason, for the error message, which is "NAME REASON". For [`Place::CalledThroughWriter`] the message is "REASON
    /// need a writer", so the reason is a plural noun.
    pub(super) why: &'static str,
    /// Names in lower case. A name that ends in `*` is a prefix.
    names: &'static [&'static str],
}

use Place::{Anywhere, Called, CalledThroughWriter, CalledWithArgument};

#[rustfmt::skip]
const POSTGRES: &[Group] = &[
    Group { place: Anywhere, why: "belongs to the host", names: &["carya_*", "_sqlx_*"] },
    Group {
        place: Anywhere,
        why: "shows other sessions",
        names: &[
            "pg_stat_*", "pg_statio_*", "pg_locks", "pg_cursors", "pg_prepared_statements", "pg_prepared_xacts",
            "pg_replication_*", "pg_backend_memory_contexts", "pg_shmem_allocations",
        ],
    },
    Group {
        place: Anywhere,
        why: "shows or changes settings",
        names: &[
            "pg_settings", "pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings", "pg_db_role_setting",
            "pg_config",
        ],
    },
    Group {
        place: Anywhere,
        why: "contains secrets",
        names: &[
            "pg_authid", "pg_shadow", "pg_user_mapping", "pg_user_mappings", "_pg_user_mappings",
            "user_mapping_options", "pg_foreign_server", "foreign_server_options", "_pg_foreign_servers",
            "pg_subscription",
        ],
    },
    Group {
        place: Anywhere,
        why: "contains rows of all tables, including those of the host",
        names: &["pg_statistic*", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_toast*", "pg_largeobject*"],
    },
    Group {
        place: Called,
        why: "accesses large objects, which can read and write files of the server; store bytes in a bytea column",
        names: &[
            "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_lseek",
            "lo_lseek64", "lo_manage", "lo_oid", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate",
            "lo_truncate64", "lo_unlink", "loread", "lowrite",
        ],
    },
    Group {
        place: Called,
        why: "runs SQL that is built from its arguments; the host cannot check this SQL",
        names: &[
            "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "table_to_xml", "table_to_xmlschema",
            "table_to_xml_and_xmlschema", "schema_to_xml", "schema_to_xmlschema", "schema_to_xml_and_xmlschema",
            "database_to_xml", "database_to_xmlschema", "database_to_xml_and_xmlschema", "cursor_to_xml",
            "cursor_to_xmlschema", "cursor_to_xml_and_xmlschema", "ts_stat", "ts_rewrite", "crosstab", "crosstab2", "crosstab3",
            "crosstab4", "crosstabn", "crosstab_hash", "connectby", "xpath_table",
        ],
    },
    Group { place: Called, why: "accesses other databases", names: &["dblink*", "postgres_fdw_*"] },
    Group {
        place: CalledThroughWriter,
        why: "locks that other transactions wait for",
        names: &[
            "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock",
            "pg_try_advisory_xact_lock_shared",
        ],
    },
    Group { place: CalledThroughWriter, why: "notifications, which the commit sends,", names: &["pg_notify"] },
    Group {
        place: Called,
        why: "takes or releases a lock that outlives the transaction; call pg_advisory_xact_lock through a writer",
        names: &["pg_advisory_*", "pg_try_advisory_*"],
    },
    Group {
        place: Called,
        why: "reads or changes state of the connection, which outlives the transaction",
        names: &["set_config", "current_setting", "setseed", "set_limit"],
    },
    Group {
        place: Called,
        why: "returns a value of an earlier request, or has an effect that survives a rollback; use RETURNING",
        names: &["currval", "lastval", "setval"],
    },
    Group { place: Called, why: "assigns a transaction number even in a query; call pg_current_xact_id_if_assigned", names: &["txid_current"] },
    Group {
        place: Called,
        why: "is for maintenance of the server",
        names: &[
            "binary_upgrade_*", "brin_desummarize_range", "brin_summarize_new_values", "brin_summarize_range",
            "gin_clean_pending_list", "get_raw_page", "heap_page_items", "bt_index_check", "bt_index_parent_check",
            "bt_metap", "bt_multi_page_stats", "bt_page_items", "bt_page_stats", "verify_heapam", "currtid2",
            "autoprewarm_dump_now", "autoprewarm_start_worker", "pgrowlocks", "heap_force_freeze", "heap_force_kill",
        ],
    },
    Group {
        place: Called,
        why: "changes the schema",
        names: &["addgeometrycolumn", "dropgeometrycolumn", "dropgeometrytable", "updategeometrysrid", "populate_geometry_columns"],
    },
    Group {
        place: Called,
        why: "is not one of the PostgreSQL functions that guests may call",
        names: &["pg_*"],
    },
];

/// Functions of PostgreSQL with the prefix `pg_` that guests may call. The other functions sleep, send signals, lock,
/// notify, read files, control replication or show other sessions, and each version adds more.
#[rustfmt::skip]
const POSTGRES_CALLS: &[&str] = &[
    "pg_backend_pid", "pg_char_to_encoding", "pg_client_encoding", "pg_collation_for", "pg_collation_is_visible",
    "pg_column_compression", "pg_column_size", "pg_current_snapshot", "pg_current_xact_id_if_assigned",
    "pg_database_size", "pg_describe_object", "pg_encoding_to_char", "pg_function_is_visible", "pg_get_constraintdef",
    "pg_get_expr", "pg_get_function_arguments", "pg_get_function_identity_arguments", "pg_get_function_result",
    "pg_get_indexdef", "pg_get_keywords", "pg_get_partkeydef", "pg_get_serial_sequence", "pg_get_triggerdef",
    "pg_get_userbyid", "pg_get_viewdef", "pg_has_role", "pg_indexes_size", "pg_input_is_valid", "pg_is_in_recovery",
    "pg_lsn", "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree", "pg_relation_size", "pg_size_bytes",
    "pg_size_pretty", "pg_snapshot_xip", "pg_snapshot_xmax", "pg_snapshot_xmin", "pg_table_is_visible",
    "pg_table_size", "pg_total_relation_size", "pg_trigger_depth", "pg_type_is_visible", "pg_typeof",
    "pg_visible_in_snapshot", "pg_wal_lsn_diff",
];

#[rustfmt::skip]
const MYSQL: &[Group] = &[
    Group { place: Anywhere, why: "belongs to the host", names: &["carya_*", "_sqlx_*"] },
    Group {
        place: Called,
        why: "takes or reports locks, which outlive the transaction; lock a row with SELECT .. FOR UPDATE",
        names: &[
            "get_lock", "release_lock", "release_all_locks", "is_free_lock", "is_used_lock",
            "service_get_read_locks", "service_get_write_locks", "service_release_locks", "version_tokens_*",
        ],
    },
    Group {
        place: Called,
        why: "only waits",
        names: &[
            "sleep", "benchmark", "master_pos_wait", "source_pos_wait", "master_gtid_wait",
            "wait_for_executed_gtid_set", "wait_until_sql_thread_after_gtids", "wsrep_sync_wait_*",
        ],
    },
    Group {
        place: Called,
        why: "can run for hours on long texts, and no timeout interrupts it; replace the text in the guest",
        names: &["replace"],
    },
    Group { place: Called, why: "accesses files and programs", names: &["load_file", "sys_exec", "sys_eval", "sys_get", "sys_set"] },
    Group {
        place: Called,
        why: "controls the server",
        names: &[
            "asynchronous_connection_failover_*", "group_replication_*", "keyring_aws_rotate_cmk",
            "keyring_aws_rotate_keys", "keyring_hashicorp_update_config", "keyring_key_fetch", "keyring_key_generate",
            "keyring_key_length_fetch", "keyring_key_remove", "keyring_key_store", "keyring_key_type_fetch",
            "audit_log_encryption_password_get", "audit_log_encryption_password_set", "audit_log_filter_flush",
            "audit_log_filter_remove_filter", "audit_log_filter_remove_user", "audit_log_filter_set_filter",
            "audit_log_filter_set_user", "audit_log_read", "audit_log_read_bookmark", "audit_log_rotate",
            "audit_log_session_filter_id",
        ],
    },
    Group {
        place: Called,
        why: "returns a result of an earlier request, or has an effect that survives a rollback",
        names: &["setval", "lastval", "found_rows"],
    },
    Group {
        place: CalledWithArgument,
        why: "sets a value that a later request could read",
        names: &["last_insert_id"],
    },
];

/// Views of `information_schema` that guests may read on MySQL and MariaDB: they describe tables. The other views show
/// other sessions, settings, and earlier statements of this connection.
#[rustfmt::skip]
const MYSQL_VIEWS: &[&str] = &[
    "character_sets", "check_constraints", "collation_character_set_applicability", "collations", "columns",
    "key_column_usage", "keywords", "parameters", "partitions", "referential_constraints", "routines", "schemata",
    "statistics", "table_constraints", "tables", "triggers", "views",
];

/// Returns whether `name` equals `expected` regardless of case. `expected` must be in lower case.
pub(super) fn is(name: &str, expected: &str) -> bool {
    matches(expected, name)
}

/// Returns whether a database of MySQL or MariaDB belongs to the server itself.
pub(super) fn is_server_schema(name: &str) -> bool {
    ["mysql", "performance_schema", "sys"].iter().any(|schema| matches(schema, name))
}

/// Returns whether a name belongs to PostgreSQL's catalogs.
pub(super) fn is_catalog(name: &str) -> bool {
    matches("pg_*", name) || matches("information_schema", name)
}

/// Returns whether guests may read a view of `information_schema` on MySQL and MariaDB.
pub(super) fn may_view(name: &str) -> bool {
    MYSQL_VIEWS.iter().any(|view| matches(view, name))
}

/// Returns the group that contains a name, or `None` if guests may use the name in every position.
pub(super) fn find(dialect: ServerDialect, name: &str) -> Option<&'static Group> {
    let (filter, groups, allowed_calls) = match dialect {
        ServerDialect::Postgres => (&POSTGRES_FILTER, POSTGRES, POSTGRES_CALLS),
        ServerDialect::MySql => (&MYSQL_FILTER, MYSQL, &[][..]),
    };
    if !filter.may_contain(name.as_bytes()) {
        return None;
    }
    let group = groups.iter().find(|group| group.names.iter().any(|pattern| matches(pattern, name)))?;
    let is_allowed = group.place == Called && allowed_calls.iter().any(|call| matches(call, name));
    (!is_allowed).then_some(group)
}

/// Returns whether a name matches a pattern of [`Group::names`]. A non-ASCII letter in the name matches every letter of
/// the pattern, because servers convert some non-ASCII letters to ASCII when they compare names.
fn matches(pattern: &str, name: &str) -> bool {
    let (letters, prefix) = match pattern.as_bytes() {
        [start @ .., b'*'] => (start, true),
        whole => (whole, false),
    };
    match name.as_bytes().get(..letters.len()) {
        Some(start) if prefix || name.len() == letters.len() => {
            start.eq_ignore_ascii_case(letters) || !name.is_ascii() && matches_folded(letters, prefix, name)
        }
        Some(_) => !name.is_ascii() && matches_folded(letters, prefix, name),
        None => false,
    }
}

#[cold]
fn matches_folded(letters: &[u8], prefix: bool, name: &str) -> bool {
    let mut found = name.chars();
    let same = |wanted: &u8| {
        found.next().is_some_and(|letter| !letter.is_ascii() || letter.eq_ignore_ascii_case(&char::from(*wanted)))
    };
    letters.iter().all(same) && (prefix || found.next().is_none())
}

/// Bloom filter of a dialect's names: it contains all names that were added, and a few more. Nearly all words of
/// statements are in no group, and the filter excludes most of them with two lookups.
struct Filter {
    /// One bit for each complete name, chosen by its length and its first, third and last letter.
    wholes: [u64; 64],
    /// One bit for each prefix, chosen by its first three letters.
    starts: [u64; 64],
}

static POSTGRES_FILTER: Filter = Filter::new(POSTGRES);
static MYSQL_FILTER: Filter = Filter::new(MYSQL);

impl Filter {
    const fn new(groups: &[Group]) -> Self {
        let mut filter = Self { wholes: [0; 64], starts: [0; 64] };
        let mut group = 0;
        while group < groups.len() {
            let names = groups[group].names;
            let mut name = 0;
            while name < names.len() {
                let letters = names[name].as_bytes();
                match letters[letters.len() - 1] {
                    b'*' => {
                        let (row, bit) = Self::start(letters);
                        filter.starts[row] |= bit;
                    }
                    _ => {
                        let (row, bit) = Self::whole(letters);
                        filter.wholes[row] |= bit;
                    }
                }
                name += 1;
            }
            group += 1;
        }
        filter
    }

    const fn whole(letters: &[u8]) -> (usize, u64) {
        Self::place([letters[0], letters[2], letters[letters.len() - 1], letters.len() as u8])
    }

    const fn start(letters: &[u8]) -> (usize, u64) {
        Self::place([letters[0], letters[1], letters[2], 0])
    }

    /// Returns a row of the filter and a bit in this row. Uses only the last five bits of each letter, which are the
    /// same in upper and lower case.
    const fn place(letters: [u8; 4]) -> (usize, u64) {
        let mixed = (u32::from_le_bytes(letters) & 0x1f1f_1f1f).wrapping_mul(0x9e37_79b1) >> 20;
        ((mixed >> 6) as usize, 1 << (mixed & 63))
    }

    fn may_contain(&self, letters: &[u8]) -> bool {
        if letters.len() < 3 {
            return false;
        }
        let ((row, bit), (start, start_bit)) = (Self::whole(letters), Self::start(letters));
        self.wholes[row] & bit != 0 || self.starts[start] & start_bit != 0 || !letters.is_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_alphabet() {
        let table: &[(ServerDialect, bool, &[&str])] = &[
            (
                ServerDialect::Postgres,
                true,
                &["pg_sleep", "PG_SLEEP", "carya_outbox", "CARYA_", "pg_anything", "lo_import", "pg_stat_x"],
            ),
            (ServerDialect::MySql, true, &["get_lock", "GET_LOC\u{212a}", "slëep", "_SQLX_migrations", "ſleep"]),
            (ServerDialect::Postgres, false, ORDINARY),
            (ServerDialect::MySql, false, ORDINARY),
        ];
        const ORDINARY: &[&str] =
            &["", "a", "pg", "carya", "select", "pg_typeof", "PG_Size_Pretty", "lower", "größe", "sleeps", "é"];
        let wrong: Vec<_> = table
            .iter()
            .flat_map(|(dialect, expected, names)| names.iter().map(move |name| (*dialect, *expected, *name)))
            .filter(|(dialect, expected, name)| find(*dialect, name).is_some() != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(is_server_schema("MySQL") && !is_server_schema("mysql2"));
        assert!(may_view("Tables") && !may_view("processlist") && !may_view("processlıst"));
    }

    #[test]
    fn every_name_passes_the_filter() {
        let mut wrong = Vec::new();
        for (groups, filter) in [(POSTGRES, &POSTGRES_FILTER), (MYSQL, &MYSQL_FILTER)] {
            for name in groups.iter().flat_map(|group| group.names) {
                let passes = filter.may_contain(name.to_uppercase().trim_end_matches('*').as_bytes());
                if !passes || name.to_lowercase() != **name {
                    wrong.push(name);
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
