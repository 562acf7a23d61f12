//! The rule for functions that guests may call, and the part of the script that grants and revokes by it.

use super::{
    super::{Names, literal},
    block, identifier, taken,
};
use crate::database::postgres::extensions::HARMLESS;

/// Functions `p`, in namespaces `n`, that no guest calls: those of the server and of extensions that can have an
/// effect, but for a few that only make values, that last no longer than the transaction, or that the host itself calls at
/// the end of a transaction; and those that only read, but read what is not the application's.
/// A function of the application is its owner's decision. Those that only the server itself can call stay as they are:
/// others need them to make tables and triggers.
const FUNCTIONS: &str = r"p.prorettype::regtype::text !~ '(trigger|handler|internal)$'
    AND 'internal'::regtype <> ALL (p.proargtypes) AND (
        n.nspname = 'pg_catalog' AND p.provolatile = 'v' AND p.proname NOT IN ('array_sample', 'array_shuffle',
            'clock_timestamp', 'gen_random_uuid', 'nextval', 'pg_advisory_unlock_all', 'pg_control_checkpoint',
            'pg_current_wal_insert_lsn', 'pg_current_xact_id', 'pg_is_in_recovery', 'pg_last_wal_replay_lsn', 'pg_xact_status',
            {TRANSACTIONAL}, 'random', 'random_normal', 'timeofday', 'uuidv4', 'uuidv7')
        OR n.nspname = 'pg_catalog' AND p.proname ~ '^(pg_stat_get_|pg_(cursor|prepared_statement|show_all_settings|listening_channels|get_replication_slots|get_functiondef|tablespace_databases)$|txid_current|(table|schema|database)_to_xml)'
        OR p.provolatile = 'v' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::regclass
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
              AND e.extname NOT IN ({HARMLESS})) AND {NOT_ALLOWED})";

/// Functions whose effect ends with the transaction, or begins with its commit, as a list in SQL.
const TRANSACTIONAL: &str = "'pg_advisory_xact_lock', 'pg_advisory_xact_lock_shared', 'pg_try_advisory_xact_lock', \
    'pg_try_advisory_xact_lock_shared', 'pg_notify'";

/// The same without functions that the configuration allows.
pub(super) fn forbidden(names: &Names) -> String {
    let not_allowed = format!("n.nspname || '.' || p.proname <> ALL (ARRAY[{}]::text[])", allowed(names));
    FUNCTIONS
        .replace("{HARMLESS}", HARMLESS)
        .replace("{TRANSACTIONAL}", TRANSACTIONAL)
        .replace("{NOT_ALLOWED}", &not_allowed)
}

/// The functions that the configuration allows, as a list in SQL.
fn allowed(names: &Names) -> String {
    let allowed: Vec<String> = names.allow_functions.iter().map(|name| literal(name)).collect();
    allowed.join(", ")
}

/// Takes forbidden functions from guests, and gives them those that an earlier run may have taken.
pub(super) fn sql(names: &Names) -> String {
    let items = format!(
        "SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE ({})",
        forbidden(names)
    );
    let taken = taken(names, "EXECUTE", "ROUTINE", &items, |login| {
        format!("has_function_privilege({login}, p.oid, 'EXECUTE')")
    });
    format!("{taken}\n{}", given(names))
}

/// Gives guests the functions that end with the transaction and those that the configuration allows: an earlier run may
/// have taken them.
fn given(names: &Names) -> String {
    let logins: Vec<String> = names.logins().map(|(login, _)| identifier(&login.name)).collect();
    let held: Vec<String> = names
        .logins()
        .map(|(login, _)| format!("has_function_privilege({}, p.oid, 'EXECUTE')", literal(&login.name)))
        .collect();
    let body = format!(
        "    FOR item IN SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE (n.nspname = 'pg_catalog' AND p.proname IN ({TRANSACTIONAL})
            OR n.nspname <> 'pg_catalog' AND n.nspname || '.' || p.proname = ANY (ARRAY[{}]::text[]))
          AND NOT ({}) LOOP
        BEGIN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO {}', item);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING '% is not given: only its owner or a superuser can', item;
        END;
    END LOOP;",
        allowed(names),
        held.join(" AND "),
        logins.join(", ")
    );
    block("item text", &body)
}
