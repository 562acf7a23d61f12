//! The script for MariaDB and MySQL. Their built-in functions require no rights, so grants only restrict the tables.
//! The gate alone keeps guests from locks, sleeps and variables.

mod check;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

pub(super) use self::check::missing;
use super::{Group, Names, failed, literal};
use crate::{
    database::host_tables::{HOST_SCHEMA, OUTBOX},
    outbox,
    sql::error::DbError,
};

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a database name for a grant on all of its tables, where `_` and `%` are wildcards. In other statements they
/// are not.
fn pattern(database: &str) -> String {
    identifier(&database.replace('_', "\\_").replace('%', "\\%"))
}

fn account(name: &str) -> String {
    format!("{}@'%'", literal(name))
}

fn host_database(names: &Names) -> String {
    format!("{}_{HOST_SCHEMA}", names.database)
}

pub(super) fn head(names: &Names) -> String {
    let database = &names.database;
    format!(
        "-- MariaDB and MySQL: logins for the guests of carya in the database {database}.
-- Run it as a login that may make logins and databases, as often as you like:
--   carya harden | mariadb
-- While it runs the logins are without rights for a moment: a grant is no part of a transaction here.
"
    )
}

pub(super) fn tail(names: &Names) -> String {
    let passwords: String = names
        .logins()
        .map(|(login, _)| format!("--   ALTER USER {} IDENTIFIED BY '...' ACCOUNT UNLOCK;\n", account(&login.name)))
        .collect();
    format!(
        "
-- Passwords
--   A new login is locked. `carya harden --apply` sets the passwords of the configuration; by hand:
{passwords}
-- For the server, in its configuration
--   local_infile = 0   or the server may ask its clients, the host among them, for files
"
    )
}

/// Returns the groups of the script.
pub(super) fn groups(names: &Names) -> Vec<Group> {
    let group = |title, why, sql| Group { title, why, sql };
    vec![
        group(
            "Whose logins",
            "A login that has powers already serves somebody else: better to stop than to take them away.
             There is no IF outside of programs, so the script stops at a column that is not there.",
            guard(names),
        ),
        group(
            "Logins",
            "Made if they are not there, locked: nobody gets in yet.",
            each(names, |name, _| format!("CREATE USER IF NOT EXISTS {} ACCOUNT LOCK;\n", account(name))),
        ),
        group(
            "Limits of the logins",
            "MariaDB ends their statements; MySQL has no such limit for a login, there the host's alone counts.",
            each(names, |name, _| {
                let seconds = names.statement_timeout.as_secs_f64().max(0.001);
                format!("GRANT USAGE ON *.* TO {} /*M! WITH MAX_STATEMENT_TIME {seconds:.3} */;\n", account(name))
            }),
        ),
        group(
            "Tables",
            "Rows of this database, those of tables made later included, and nothing else: no FILE, no LOCK TABLES, no
             CREATE TEMPORARY TABLES, no EXECUTE, nothing that is made, altered or dropped: that would also commit.",
            each(names, |name, writes| {
                let (account, database) = (account(name), pattern(&names.database));
                let rights = if writes { "SELECT, INSERT, UPDATE, DELETE" } else { "SELECT" };
                format!(
                    "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account};
GRANT {rights} ON {database}.* TO {account};\n"
                )
            }),
        ),
        group(
            "The host's own tables",
            "In a database of their own, for no table can be taken out of the grants above. Guests' logins have only
             INSERT of durable actions: they are recorded in the guest's transaction.",
            host_tables(names),
        ),
    ]
}

fn each(names: &Names, sql: impl Fn(&str, bool) -> String) -> String {
    names.logins().map(|(login, writes)| sql(&login.name, writes)).collect()
}

fn guard(names: &Names) -> String {
    let accounts: Vec<String> = names
        .logins()
        .map(|(login, _)| {
            let begins = literal(&format!("'{}'@", login.name));
            format!("LEFT(grantee, CHAR_LENGTH({begins})) = {begins}")
        })
        .collect();
    let ours = accounts.join(" OR ");
    let databases = [pattern(&names.database), pattern(&host_database(names))];
    // The catalog contains the name as it is in the grant, with escaped wildcards.
    let databases = databases.map(|name| literal(&name.trim_matches('`').replace('\\', "\\\\"))).join(", ");
    let plain = literal(&names.database);
    format!(
        "SET @carya = (SELECT COUNT(*) FROM information_schema.user_privileges
    WHERE privilege_type <> 'USAGE' AND ({ours}));
SET @carya = @carya + (SELECT COUNT(*) FROM information_schema.schema_privileges
    WHERE table_schema NOT IN ({plain}, {databases}) AND ({ours}));
SET @carya = IF(@carya = 0, 'DO 0', 'SELECT `logins for guests that have other powers: name new ones`');
PREPARE carya FROM @carya;
EXECUTE carya;
DEALLOCATE PREPARE carya;"
    )
}

fn host_tables(names: &Names) -> String {
    let (database, table) = (identifier(&host_database(names)), identifier(OUTBOX));
    let writer = account(&names.writer.name);
    format!(
        "CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS {database}.{table} (
    {}
) ENGINE=InnoDB;
GRANT INSERT ON {database}.{table} TO {writer};",
        outbox::columns(names.dialect)
    )
}

/// Runs the groups one after the other, then sets the passwords.
pub(super) async fn apply(names: &Names, admin_url: &str, mut done: impl FnMut(&str)) -> Result<(), DbError> {
    let failed = |error| failed(&error);
    let mut admin = MySqlConnection::connect(admin_url).await.map_err(failed)?;
    // Gives quotes and backslashes a defined meaning.
    admin.execute(sqlx::raw_sql("SET sql_mode = ''")).await.map_err(failed)?;
    for group in groups(names) {
        let run = admin.execute(sqlx::raw_sql(AssertSqlSafe(group.sql))).await;
        run.map_err(|error| super::wrong(format!("{}: {error}", group.title)))?;
        done(group.title);
    }
    for (login, _) in names.logins() {
        let Some(password) = &login.password else { continue };
        let (account, password) = (account(&login.name), literal(&password.replace('\\', "\\\\")));
        let sql = format!("ALTER USER {account} IDENTIFIED BY {password} ACCOUNT UNLOCK");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(failed)?;
        done("Password of a login");
    }
    admin.close().await.map_err(failed)
}
