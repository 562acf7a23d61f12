//! Saves and empties a PostgreSQL database. Keeps extensions, the grants on the schema, and the host's own schema
//! `carya`.

use std::{path::Path, process::Command};

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgConnectOptions};

use super::Error;
use crate::config;

const OTHERS: &str = "
    SELECT format('%s (%s, process %s)', usename, coalesce(nullif(application_name, ''), 'no name'), pid)
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// SQL that drops all other schemas, and all objects in the current schema, in one transaction. Members of extensions
/// stay.
const EMPTY: &str = "
    DO $$
    DECLARE statement text;
    BEGIN
        FOR statement IN
            SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace n
            WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'carya', current_schema())
              AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid AND deptype = 'e')
        LOOP EXECUTE statement; END LOOP;
        FOR statement IN
            SELECT format('DROP %s IF EXISTS %s CASCADE',
                CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                    WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, format('%I.%I', current_schema(), relname))
            FROM pg_class c
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
              AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
                AND deptype IN ('e', 'i', 'a'))
        LOOP EXECUTE statement; END LOOP;
        FOR statement IN
            SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc p
            WHERE pronamespace = current_schema()::regnamespace
              AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
        LOOP EXECUTE statement; END LOOP;
        FOR statement IN
            SELECT format('DROP TYPE IF EXISTS %I.%I CASCADE', current_schema(), typname) FROM pg_type t
            WHERE typnamespace = current_schema()::regnamespace
              AND (typtype IN ('e', 'd', 'r') OR typtype = 'c' AND EXISTS (
                SELECT FROM pg_class WHERE pg_class.oid = typrelid AND relkind = 'c'))
              AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
        LOOP EXECUTE statement; END LOOP;
    END $$";

/// Options of a URL, with the variables from which `pg_dump` reads them.
const OPTIONS: [(&str, &str); 5] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("application_name", "PGAPPNAME"),
];

/// Returns the other sessions in this database. Every login can see all of them.
pub(super) async fn others(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(OTHERS).fetch_all(connection).await
}

/// Returns the command that saves the database of a URL to a file.
pub(super) fn dump(url: &str, file: &Path) -> Result<Command, Error> {
    let options: PgConnectOptions = url.parse()?;
    let mut command = Command::new("pg_dump");
    command.arg("--no-password").arg("--file").arg(file);
    command.arg("--port").arg(options.get_port().to_string()).arg("--username").arg(options.get_username());
    match options.get_socket() {
        Some(socket) => command.arg("--host").arg(socket),
        None => command.arg("--host").arg(options.get_host()),
    };
    for (option, variable) in OPTIONS {
        command.envs(config::option_of_url(url, option).map(|value| (variable, value)));
    }
    // Not as an argument: every user can read the arguments of a process.
    command.env("PGPASSWORD", config::password_of(url)).args(options.get_database());
    Ok(command)
}

pub(super) async fn empty(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(EMPTY)).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dump_uses_the_options_of_the_url() -> Result<(), Error> {
        let url = "postgres://ann:secret@db/items?sslmode=require&sslrootcert=%2Fetc%2Fca.pem";
        let command = dump(url, Path::new("saved.sql"))?;
        let variables: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        for (name, value) in [("PGSSLMODE", "require"), ("PGSSLROOTCERT", "/etc/ca.pem"), ("PGPASSWORD", "secret")] {
            assert!(variables.contains(&(name.as_ref(), value.as_ref())), "{name}: {variables:?}");
        }
        assert_eq!(variables.len(), 3);
        Ok(())
    }
}
