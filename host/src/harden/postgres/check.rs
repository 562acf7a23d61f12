//! Finds rights of a login in PostgreSQL that guests do not need. The login itself runs a list of queries on the
//! catalog. Each query has a text for the actions that the rights in its result allow. The queries change nothing, and
//! share the rules for functions and views with the script.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::templates;
use crate::{
    harden::{
        finding::{Finding, Remedy, listed},
        names::{Names, failed},
        script::Templates,
    },
    sql::error::DbError,
};

/// Subject of a query.
#[derive(Clone, Copy, PartialEq)]
enum About {
    Both,
    Reader,
    Writer,
    /// The server, and not a login. The query runs for one login only.
    Server,
}

/// A query on the catalog that returns names. If it returns at least one name, the names are reported as a finding.
struct Question {
    about: About,
    /// Text that precedes the names in the finding.
    what: &'static str,
    sql: &'static str,
    allows: &'static str,
    remedy: Remedy,
}

const OTHER_LOGIN: Remedy = Remedy::Advice("name another login in [database], then carya harden --apply");
const SUPERUSER: Remedy = Remedy::Advice("carya harden --apply, with a superuser's admin_url");
const POSTGRESQL_CONF: Remedy = Remedy::Advice("set it in postgresql.conf");
const OWNER: Remedy = Remedy::Advice("REVOKE it from PUBLIC and from the login, unless guests are meant to have it");

const QUESTIONS: [Question; 24] = [
    Question {
        about: About::Both,
        what: "connects with",
        sql: "SELECT name || ' = ' || current_setting(name) FROM (VALUES ('standard_conforming_strings', 'off'),
            ('backslash_quote', 'on')) AS f(name, wrong) WHERE current_setting(name) = wrong",
        allows: "other clients to read a literal as a statement; the host resets it for its own sessions",
        remedy: Remedy::Advice("ALTER ROLE .. RESET and ALTER DATABASE .. RESET this setting, or set it in postgresql.conf"),
    },
    Question {
        about: About::Both,
        what: "has attributes",
        sql: "SELECT f.word FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (VALUES ('SUPERUSER', r.rolsuper),
                ('CREATEDB', r.rolcreatedb), ('CREATEROLE', r.rolcreaterole), ('REPLICATION', r.rolreplication),
                ('BYPASSRLS', r.rolbypassrls)) AS f(word, has) WHERE r.rolname = current_user AND f.has",
        allows: "every other limit to be bypassed",
        remedy: OTHER_LOGIN,
    },
    Question {
        about: About::Both,
        what: "is a member of",
        sql: "SELECT rolname FROM pg_catalog.pg_roles
            WHERE rolname <> current_user AND pg_has_role(current_user, oid, 'MEMBER')",
        allows: "SET ROLE and everything that these roles may do; with pg_read_server_files, pg_write_server_files and \
                 pg_execute_server_program files and programs of the server, with pg_write_all_data every table",
        remedy: OTHER_LOGIN,
    },
    Question {
        about: About::Both,
        what: "owns",
        sql: "SELECT CASE WHEN dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
                THEN pg_describe_object(classid, objid, objsubid) ELSE 'things in another database' END
            FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND deptype = 'o'
              AND refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)",
        allows: "them to be changed and dropped, and privileges on them to be granted",
        remedy: OTHER_LOGIN,
    },
    Question {
        about: About::Both,
        what: "has on the database the privileges",
        sql: "SELECT word FROM (VALUES ('CREATE'), ('TEMPORARY')) AS f(word)
            WHERE has_database_privilege(current_database(), word)",
        allows: "temporary tables that the next request on the connection finds, and new schemas with new functions",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Both,
        what: "may CREATE in the schemas",
        sql: "SELECT nspname FROM pg_catalog.pg_namespace WHERE has_schema_privilege(oid, 'CREATE')",
        allows: "SELECT INTO, and tables and functions that shadow those of the application",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Reader,
        what: "may write to",
        sql: "SELECT c.oid::regclass::text FROM {% include 'all_tables.sql' %} AND (has_any_column_privilege(c.oid, 'INSERT, UPDATE')
                OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE'))",
        allows: "writes through a `reader` handle once the transaction is not READ ONLY",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Writer,
        what: "may write to the server's tables",
        sql: "SELECT c.oid::regclass::text FROM {% include 'all_tables.sql' %} AND n.nspname IN ('pg_catalog', 'information_schema')
              AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')",
        allows: "settings to be changed by UPDATE, for this and later requests",
        remedy: SUPERUSER,
    },
    Question {
        about: About::Both,
        what: "may TRUNCATE, REFERENCE or TRIGGER on",
        sql: "SELECT c.oid::regclass::text FROM {% include 'all_tables.sql' %} AND (has_table_privilege(c.oid, 'TRUNCATE, REFERENCES, TRIGGER')
                OR has_any_column_privilege(c.oid, 'REFERENCES'))",
        allows: "tables to be emptied and locked, or new code to run in other transactions",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Both,
        what: "may use the host's tables",
        sql: "SELECT c.oid::regclass::text FROM {% include 'all_tables.sql' %} AND ({% include 'host_table.sql' %})
              AND (has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                OR has_table_privilege(c.oid, 'DELETE, TRUNCATE, TRIGGER'))",
        allows: "actions of other requests to be read, forged and deleted, and migrations to be marked as not applied",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Reader,
        what: "may call functions of the outbox",
        sql: "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname = 'carya' AND p.proname IN ('carya_outbox_add', 'carya_outbox_done')
              AND has_function_privilege(p.oid, 'EXECUTE')",
        allows: "actions to be forged by a guest that knows the secret of the outbox",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Writer,
        what: "lacks the functions of the outbox",
        sql: "SELECT 'carya.' || f.name FROM (VALUES ('carya_outbox_add'), ('carya_outbox_done')) AS f(name)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname = 'carya' AND p.proname = f.name AND p.prosecdef AND p.proowner = n.nspowner
                  AND has_function_privilege(p.oid, 'EXECUTE'))",
        allows: "requests with at-least-once actions to fail, since the login has no right on the outbox itself",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Both,
        what: "may set sequences",
        sql: "SELECT oid::regclass::text FROM pg_catalog.pg_class
            WHERE CASE relkind WHEN 'S' THEN has_sequence_privilege(oid, 'UPDATE') END",
        allows: "numbers to be assigned twice, which no rollback undoes",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Reader,
        what: "may draw from sequences",
        sql: "SELECT oid::regclass::text FROM pg_catalog.pg_class
            WHERE CASE relkind WHEN 'S' THEN has_sequence_privilege(oid, 'USAGE') END",
        allows: "a write that no rollback undoes",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Both,
        what: "may read",
        sql: "SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE {% include 'forbidden_view.sql' %} AND has_table_privilege(c.oid, 'SELECT')",
        allows: "other requests' statements to be read, with the values in them",
        remedy: SUPERUSER,
    },
    Question {
        about: About::Both,
        what: "may use the languages",
        sql: "SELECT lanname FROM pg_catalog.pg_language WHERE lanpltrusted AND has_language_privilege(oid, 'USAGE')",
        allows: "DO statements with loops, SET and COMMIT, and new functions in schemas where the login may CREATE",
        remedy: SUPERUSER,
    },
    Question {
        about: About::Both,
        what: "may call functions that run as their owner",
        sql: "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND n.nspname <> 'pg_catalog' AND p.prorettype <> 'trigger'::regtype
              AND p.prorettype <> 'event_trigger'::regtype
              AND NOT (n.nspname = 'carya' AND p.proowner = n.nspowner
                AND p.proname IN ('carya_is_running', 'carya_outbox_add', 'carya_outbox_done'))
              AND has_function_privilege(p.oid, 'EXECUTE')
              AND has_schema_privilege(n.oid, 'USAGE')",
        allows: "everything that these functions do, with the privileges of their owner",
        remedy: OWNER,
    },
    Question {
        about: About::Both,
        what: "lacks the function",
        sql: "SELECT 'carya.carya_is_running' WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname = 'carya' AND p.proname = 'carya_is_running')
              AND NOT has_function_privilege('pg_catalog.pg_stat_get_activity(integer)', 'EXECUTE')",
        allows: "statements that the server does not end to stay unnoticed, so that more than max_connections run",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Both,
        what: "may call functions in languages that are not trusted",
        sql: "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_language l ON l.oid = p.prolang
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c') AND has_function_privilege(p.oid, 'EXECUTE')
              AND has_schema_privilege(n.oid, 'USAGE')",
        allows: "access to files and programs of the server's machine",
        remedy: OWNER,
    },
    Question {
        about: About::Both,
        what: "may reach other servers by",
        sql: "SELECT fdwname::text FROM pg_catalog.pg_foreign_data_wrapper
                WHERE has_foreign_data_wrapper_privilege(oid, 'USAGE')
            UNION ALL SELECT srvname FROM pg_catalog.pg_foreign_server WHERE has_server_privilege(oid, 'USAGE')
            UNION ALL SELECT oid::regclass::text FROM pg_catalog.pg_class
                WHERE relkind = 'f' AND has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE')",
        allows: "work outside of the host's transaction",
        remedy: OWNER,
    },
    Question {
        about: About::Both,
        what: "has no limit by",
        sql: "SELECT name FROM (VALUES ('statement_timeout', '0'), ('lock_timeout', '0'),
                ('idle_in_transaction_session_timeout', '0'), ('temp_file_limit', '-1')) AS f(name, none)
            WHERE current_setting(name) = none",
        allows: "statements, locks and files on the server without a limit where the host sets none",
        remedy: Remedy::Advice("carya harden --apply; for temp_file_limit with a superuser's admin_url"),
    },
    Question {
        about: About::Reader,
        what: "is not set to",
        sql: "SELECT 'default_transaction_read_only' WHERE current_setting('default_transaction_read_only') <> 'on'",
        allows: "a transaction without READ ONLY to write",
        remedy: Remedy::Harden,
    },
    Question {
        about: About::Server,
        what: "max_prepared_transactions is",
        sql: "SELECT current_setting('max_prepared_transactions') WHERE current_setting('max_prepared_transactions') <> '0'",
        allows: "PREPARE TRANSACTION: a transaction and its locks that stay when their connection is gone",
        remedy: POSTGRESQL_CONF,
    },
    Question {
        about: About::Server,
        what: "client_connection_check_interval is",
        sql: "SELECT '0, better is 1s' WHERE current_setting('client_connection_check_interval', true) = '0'",
        allows: "a statement to go on when the host has closed its connection",
        remedy: POSTGRESQL_CONF,
    },
];

/// Groups of forbidden functions, the beginnings of their names, and the actions that each group allows. A function
/// belongs to the first group that matches; the last group matches every name.
const POWERS: [(&str, &[&str], &str); 11] = [
    ("locks", &["pg_advisory", "pg_try_advisory"], "locks that other requests wait for and no rollback undoes"),
    ("sleeps", &["pg_sleep"], "a connection to be held without work"),
    ("settings", &["set_config", "setseed"], "READ ONLY, limits and search_path to be changed for later requests too"),
    ("large objects", &["lo"], "data outside of all tables and their privileges"),
    ("other sessions", &["pg_terminate_", "pg_cancel_"], "other requests to be ended"),
    ("messages", &["pg_notify", "pg_logical_emit"], "messages to other sessions"),
    (
        "SQL in strings",
        &["query_to_", "cursor_to_", "table_to_", "schema_to_", "database_to_", "ts_stat", "ts_rewrite"],
        "statements that the gate has not seen",
    ),
    ("other servers", &["dblink", "postgres_fdw"], "work outside of the host's transaction"),
    (
        "statistics",
        &["pg_stat_", "pg_lock_", "pg_show_", "pg_prepared_", "pg_cursor"],
        "statements of other sessions to be read",
    ),
    (
        "sequences",
        &["setval", "currval", "lastval"],
        "values of an earlier request to be read, or numbers to be assigned twice",
    ),
    ("other functions with effects", &[""], "effects that no rollback undoes"),
];

/// Returns findings for rights of a login that guests do not need.
pub(in crate::harden) async fn find_excess_rights(
    names: &Names,
    url: &str,
    writes: bool,
) -> Result<Vec<Finding>, DbError> {
    let failed = |error| failed(&error);
    let templates = templates(names)?;
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let login: String =
        sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut connection).await.map_err(failed)?;
    let mut findings = Vec::new();
    for question in QUESTIONS.iter().filter(|question| question.about.fits(writes)) {
        let names = ask(&mut connection, &templates, question.sql).await?;
        if names.is_empty() {
            continue;
        }
        // A superuser has all rights, so further findings would add nothing.
        let all = names.iter().any(|name| name == "SUPERUSER");
        let who = if question.about == About::Server { String::new() } else { format!("{login} ") };
        findings.push(Finding {
            what: format!("{who}{} {}", question.what, listed(names)),
            allows: question.allows.to_owned(),
            remedy: question.remedy,
        });
        if all {
            return Ok(findings);
        }
    }
    let functions = "SELECT DISTINCT p.proname::text FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE ({% include 'forbidden_function.sql' %}) AND has_function_privilege(p.oid, 'EXECUTE')
          AND has_schema_privilege(n.oid, 'USAGE') ORDER BY 1";
    let mut functions = ask(&mut connection, &templates, functions).await?;
    for (power, beginnings, allows) in POWERS {
        let fits = |name: &mut String| beginnings.iter().any(|beginning| name.starts_with(beginning));
        let names: Vec<String> = functions.extract_if(.., fits).collect();
        if !names.is_empty() {
            findings.push(Finding {
                what: format!("{login} may call functions ({power}): {}", listed(names)),
                allows: allows.to_owned(),
                remedy: SUPERUSER,
            });
        }
    }
    connection.close().await.map_err(failed)?;
    Ok(findings)
}

impl About {
    fn fits(self, writes: bool) -> bool {
        match self {
            About::Both => true,
            About::Reader => !writes,
            About::Writer | About::Server => writes,
        }
    }
}

/// Runs a query that returns names. The query may include the conditions that the script uses.
async fn ask(connection: &mut PgConnection, templates: &Templates, sql: &str) -> Result<Vec<String>, DbError> {
    let sql = templates.render_text(&format!("SELECT name::text FROM ({sql}) AS found(name)"))?;
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(|error| failed(&error))
}
