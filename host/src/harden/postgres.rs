//! The script for PostgreSQL. A rule determines the functions that guests may call, not a list of names: every function
//! that can have an effect is volatile, in any version. [`check`] uses the same rule to find remaining rights.

mod check;
mod functions;

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub(super) use self::check::missing;
use super::{Group, Login, Names, failed, literal};
use crate::{
    database::host_tables::{HOST_SCHEMA, IS_RUNNING, OUTBOX},
    outbox,
    sql::error::DbError,
};

/// Condition for views `c`, in namespaces `n`, that show the server's state or other sessions.
const FORBIDDEN_VIEWS: &str = r"c.relkind = 'v' AND (
        n.nspname = 'pg_catalog' AND c.relname ~ '^pg_(stat|locks$|cursors$|prepared_|settings$|replication_|user_mappings$)'
        OR c.relname ~ '^pg_stat_statements')";

/// Condition for tables `c`, in namespaces `n`, that belong to the host, in any schema.
const HOST_TABLES: &str = r"(n.nspname = 'carya' OR c.relname ~ '^carya_' OR c.relname = '_sqlx_migrations')";

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn millis(time: Duration) -> String {
    format!("'{}ms'", time.as_millis().max(1))
}

pub(super) fn head(names: &Names) -> String {
    let database = &names.database;
    format!(
        "-- PostgreSQL: logins for the guests of carya in the database {database}.
-- Run it as the owner of the database, at best a superuser, as often as you like:
--   carya harden | psql -X -v ON_ERROR_STOP=1 -d {database}
-- It takes rights from PUBLIC in this database only. Other logins that worked by such a right lose it; GRANT it to them.

BEGIN;
SET LOCAL client_min_messages = warning;
"
    )
}

pub(super) fn tail(names: &Names) -> String {
    let passwords: String =
        names.logins().map(|(login, _)| format!("--   \\password {}\n", identifier(&login.name))).collect();
    format!(
        "
COMMIT;

-- Passwords
--   A new login lets nobody in before it has one. `carya harden --apply` sets those of the configuration; in psql:
{passwords}
-- For the server, in postgresql.conf
--   max_prepared_transactions = 0             or a guest could leave a transaction, with its locks, behind for ever
--   client_connection_check_interval = '1s'   or a statement goes on after its client is gone
"
    )
}

/// Returns the groups of the script. Each is run separately by the owner of the database.
pub(super) fn groups(names: &Names) -> Vec<Group> {
    let all: Vec<String> = names.logins().map(|(login, _)| identifier(&login.name)).collect();
    let all = all.join(", ");
    let database = identifier(&names.database);
    let group = |title, why, sql| Group { title, why, sql };
    vec![
        group(
            "Whose database, whose logins",
            "A login that has powers already serves somebody else: better to stop than to take them away.",
            guard(names),
        ),
        group("Logins", "Made if they are not there, without a password: nobody gets in yet.", logins(names)),
        group(
            "Settings of the logins",
            "What holds where the host says nothing else. A guest that could send SET could change most of them:
             they are a net, the rights below are the floor. temp_file_limit takes a superuser.",
            settings(names),
        ),
        group(
            "The database",
            "Temporary tables outlive a request on a pooled connection; a schema of one's own is a place for code.",
            format!(
                "REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON DATABASE {database} FROM {all};
GRANT CONNECT ON DATABASE {database} TO {all};"
            ),
        ),
        group(
            "Schemas",
            "Without CREATE there is no SELECT INTO, and nothing of a guest's that others might run.",
            schemas(&all),
        ),
        group(
            "Tables and sequences",
            "Rows, not definitions: no TRUNCATE, which is not undone for other snapshots, no REFERENCES, no TRIGGER.
             Sequences can be drawn from and not set. Then the same for tables made later, by whoever owns tables now.",
            tables(names, &all),
        ),
        group(
            "The host's own tables",
            "Out of guests' reach, but for INSERT of durable actions: they are recorded in the guest's transaction.
             The function tells the host whether a session that it gave up still runs.",
            host_tables(names, &all),
        ),
        group(
            "Functions",
            "Locks, sleeps, settings, large objects, notifications, SQL in strings, other sessions, other servers.
             The owner and pg_monitor keep what they had by way of PUBLIC.",
            functions::sql(names),
        ),
        group(
            "Views of the server",
            "What other sessions do, with the values in their statements. An UPDATE of pg_settings is a SET.",
            views(names),
        ),
        group(
            "Languages",
            "DO runs a program in the database: loops, SET, even COMMIT. Functions that are there still run.",
            languages(names),
        ),
    ]
}

fn block(declare: &str, body: &str) -> String {
    let declare = if declare.is_empty() { String::new() } else { format!("DECLARE {declare};\n") };
    format!("DO $carya$\n{declare}BEGIN\n{}\nEND\n$carya$;", body.trim_matches('\n'))
}

fn names_in(names: &Names) -> String {
    names.logins().map(|(login, _)| literal(&login.name)).collect::<Vec<_>>().join(", ")
}

fn guard(names: &Names) -> String {
    let (database, names) = (literal(&names.database), names_in(names));
    block(
        "powers text",
        &format!(
            "    IF current_database() <> {database} THEN
        RAISE EXCEPTION 'this is the database %, the script is for %', current_database(), {database};
    END IF;
    SELECT string_agg(DISTINCT format('%s %s', r.rolname, f.power), '; ') INTO powers
    FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (
        SELECT 'is a superuser' WHERE r.rolsuper
        UNION ALL SELECT 'may make databases' WHERE r.rolcreatedb
        UNION ALL SELECT 'may make logins' WHERE r.rolcreaterole
        UNION ALL SELECT 'may replicate' WHERE r.rolreplication
        UNION ALL SELECT 'is above row security' WHERE r.rolbypassrls
        UNION ALL SELECT 'runs this script' WHERE r.rolname = current_user
        UNION ALL SELECT 'is a member of ' || m.roleid::regrole FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid
        UNION ALL SELECT 'owns things' FROM pg_catalog.pg_shdepend d
            WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
    ) AS f(power) WHERE r.rolname IN ({names});
    IF powers IS NOT NULL THEN
        RAISE EXCEPTION 'guests need logins that have nothing else to do, but: %', powers
            USING HINT = 'Give database.url and database.reader_url names that are not taken.';
    END IF;"
        ),
    )
}

fn logins(names: &Names) -> String {
    let create = |(login, _): (&Login, bool)| {
        format!(
            "    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) THEN
        CREATE ROLE {} LOGIN NOINHERIT;
    END IF;\n",
            literal(&login.name),
            identifier(&login.name)
        )
    };
    block("", &names.logins().map(create).collect::<String>())
}

fn settings(names: &Names) -> String {
    let mut sql = String::new();
    for (login, writes) in names.logins() {
        let name = identifier(&login.name);
        for (setting, value) in [
            ("default_transaction_read_only", (if writes { "off" } else { "on" }).to_owned()),
            ("statement_timeout", millis(names.statement_timeout)),
            ("lock_timeout", millis(names.statement_timeout)),
            ("idle_in_transaction_session_timeout", millis(names.idle_timeout)),
            ("search_path", "public, pg_temp".to_owned()),
        ] {
            sql += &format!("ALTER ROLE {name} SET {setting} = {value};\n");
        }
    }
    let limits: String = names
        .logins()
        .map(|(login, _)| format!("        ALTER ROLE {} SET temp_file_limit = '256MB';\n", identifier(&login.name)))
        .collect();
    let superuser = "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    sql + &block("", &format!("    IF {superuser} THEN\n{limits}    END IF;"))
}

/// Query for the schemas that the role running the script owns.
const SCHEMAS: &str = "SELECT nspname FROM pg_catalog.pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND pg_has_role(current_user, nspowner, 'MEMBER')";

fn schemas(all: &str) -> String {
    let body = format!(
        "    FOR item IN {SCHEMAS} LOOP
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', item);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM {all}', item);
    END LOOP;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO {all};
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I', current_user);"
    );
    block("item name", &body)
}

fn tables(names: &Names, all: &str) -> String {
    let writer = identifier(&names.writer.name);
    let body = format!(
        "    FOR item, kind, ours IN
        SELECT c.oid::regclass, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            n.nspname <> 'public' OR c.relkind = 'f' OR c.relname ~ '^pg_' OR {HOST_TABLES}
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND pg_has_role(current_user, c.relowner, 'MEMBER') LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC, {all}', kind, item);
        CONTINUE WHEN ours;
        IF kind = 'SEQUENCE' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {writer}', item);
        ELSE
            EXECUTE format('GRANT SELECT ON %s TO {all}', item);
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO {writer}', item);
        END IF;
    END LOOP;
    FOR item IN SELECT current_user UNION SELECT pg_get_userbyid(c.relowner)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'MEMBER') LOOP
        later := format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public ', item);
        EXECUTE later || 'REVOKE ALL ON TABLES FROM PUBLIC, {all}';
        EXECUTE later || 'REVOKE ALL ON SEQUENCES FROM PUBLIC, {all}';
        EXECUTE later || 'GRANT SELECT ON TABLES TO {all}';
        EXECUTE later || 'GRANT INSERT, UPDATE, DELETE ON TABLES TO {writer}';
        EXECUTE later || 'GRANT USAGE ON SEQUENCES TO {writer}';
    END LOOP;"
    );
    block("item text; kind text; ours boolean; later text", &body)
}

fn host_tables(names: &Names, all: &str) -> String {
    let writer = identifier(&names.writer.name);
    format!(
        "CREATE SCHEMA IF NOT EXISTS {HOST_SCHEMA};
REVOKE ALL ON SCHEMA {HOST_SCHEMA} FROM PUBLIC, {all};
CREATE TABLE IF NOT EXISTS {HOST_SCHEMA}.{OUTBOX} (
    {}
);
REVOKE ALL ON ALL TABLES IN SCHEMA {HOST_SCHEMA} FROM PUBLIC, {all};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {HOST_SCHEMA} FROM PUBLIC, {all};
GRANT USAGE ON SCHEMA {HOST_SCHEMA} TO {all};
GRANT INSERT ON {HOST_SCHEMA}.{OUTBOX} TO {writer};
CREATE OR REPLACE FUNCTION {HOST_SCHEMA}.{IS_RUNNING}(pid integer) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(pid))';
REVOKE ALL ON FUNCTION {HOST_SCHEMA}.{IS_RUNNING}(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {HOST_SCHEMA}.{IS_RUNNING}(integer) TO {all};",
        outbox::columns(names.dialect)
    )
}

/// Returns SQL that revokes a right on each `item` of the query from PUBLIC and the guests, and grants it to the owner,
/// the current role and `pg_monitor`. Only a superuser can do this. For other roles, [`check`] reports the rights that
/// are left.
fn taken(names: &Names, right: &str, kind: &str, items: &str, held: impl Fn(&str) -> String) -> String {
    let logins: Vec<String> = names.logins().map(|(login, _)| identifier(&login.name)).collect();
    let held: Vec<String> = names.logins().map(|(login, _)| held(&literal(&login.name))).collect();
    let (logins, held) = (logins.join(", "), held.join(" OR "));
    let keep = if right == "ALL" { "SELECT" } else { right };
    let body = format!(
        "    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'passed over: only a superuser can take this from guests';
        RETURN;
    END IF;
    SELECT pg_get_userbyid(datdba) INTO owner FROM pg_catalog.pg_database WHERE datname = current_database();
    FOR item IN {items}
          AND ({held}) LOOP
        EXECUTE format('REVOKE {right} ON {kind} %s FROM PUBLIC, {logins}', item);
        EXECUTE format('GRANT {keep} ON {kind} %s TO %I, %I, pg_monitor', item, owner, current_user);
    END LOOP;"
    );
    block("owner name; item text", &body)
}

fn views(names: &Names) -> String {
    let items = format!(
        "SELECT c.oid::regclass FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE ({FORBIDDEN_VIEWS})"
    );
    taken(names, "ALL", "TABLE", &items, |login| format!("has_table_privilege({login}, c.oid, 'SELECT, UPDATE')"))
}

fn languages(names: &Names) -> String {
    let items = "SELECT quote_ident(l.lanname) FROM pg_catalog.pg_language l WHERE l.lanpltrusted";
    taken(names, "USAGE", "LANGUAGE", items, |login| format!("has_language_privilege({login}, l.oid, 'USAGE')"))
}

/// Runs the groups in one transaction, then sets the passwords.
pub(super) async fn apply(names: &Names, admin_url: &str, mut done: impl FnMut(&str)) -> Result<(), DbError> {
    let failed = |error| failed(&error);
    let mut admin = PgConnection::connect(admin_url).await.map_err(failed)?;
    let mut transaction = admin.begin().await.map_err(failed)?;
    transaction.execute("SET LOCAL client_min_messages = warning").await.map_err(failed)?;
    for group in groups(names) {
        let run = transaction.execute(sqlx::raw_sql(AssertSqlSafe(group.sql))).await;
        run.map_err(|error| super::wrong(format!("{}: {error}", group.title)))?;
        done(group.title);
    }
    // Keeps passwords out of the server's log. Only for a superuser: an error would abort the transaction.
    let quiet =
        "SELECT set_config('log_statement', 'none', true) FROM pg_roles WHERE rolname = current_user AND rolsuper";
    transaction.execute(sqlx::raw_sql(quiet)).await.map_err(failed)?;
    for (login, _) in names.logins() {
        let Some(password) = &login.password else { continue };
        // An escape string, so that a doubled backslash is one backslash for any `standard_conforming_strings`.
        let sql =
            format!("ALTER ROLE {} PASSWORD E{}", identifier(&login.name), literal(&password.replace('\\', "\\\\")));
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(failed)?;
        done("Password of a login");
    }
    transaction.commit().await.map_err(failed)?;
    admin.close().await.map_err(failed)
}
