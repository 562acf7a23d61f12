//! The rule for functions that guests may call, and the part of the script that grants and revokes rights by it.

use super::{
    super::{Names, literal},
    block, identifier, taken,
};
use crate::gate::HARMLESS_EXTENSIONS;

/// Condition for functions `p`, in namespaces `n`, that no guest may call:
///
/// - Volatile functions of the server and of extensions, because they can have an effect. Exempt are some functions
///   that only compute values, those of [`TRANSACTIONAL`], and those that the host itself calls at the end of a
///   transaction.
/// - Functions that only read, but read data that is not the application's.
///
/// The owner of the application decides about its own functions. Functions that only the server can call are left
/// alone, because other roles need them to create tables and triggers.
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
              AND e.extname NOT IN ({HARMLESS_EXTENSIONS})) AND {NOT_ALLOWED})";

/// SQL list of functions whose effect ends with the transaction, or begins with its commit.
const TRANSACTIONAL: &str = "'pg_advisory_xact_lock', 'pg_advisory_xact_lock_shared', 'pg_try_advisory_xact_lock', \
    'pg_try_advisory_xact_lock_shared', 'pg_notify'";

/// Returns the condition of [`FUNCTIONS`] without the functions that the configuration allows.
pub(super) fn forbidden(names: &Names) -> String {
    let not_allowed = format!("n.nspname || '.' || p.proname <> ALL (ARRAY[{}]::text[])", allowed(names));
    FUNCTIONS
        .replace("{HARMLESS_EXTENSIONS}", HARMLESS_EXTENSIONS)
        .replace("{TRANSACTIONAL}", TRANSACTIONAL)
        .replace("{NOT_ALLOWED}", &not_allowed)
}

/// Returns an SQL list of the functions that the configuration allows.
fn allowed(names: &Names) -> String {
    let allowed: Vec<String> = names.allow_functions.iter().map(|name| literal(name)).collect();
    allowed.join(", ")
}

/// Returns SQL that revokes forbidden functions from guests, and grants those that an earlier run may have revoked.
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

/// Returns SQL that grants guests the functions of [`TRANSACTIONAL`] and those that the configuration allows, because
/// an earlier run may have revoked them.
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
