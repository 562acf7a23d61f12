//! The script for MariaDB and MySQL. Built-in functions of these servers require no rights, so grants only restrict
//! access to tables. Only the gate keeps guests from using locks, sleeps and variables.

pub(super) mod check;

use minijinja::{Value, context};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::{
    names::{Names, failed, literal, wrong},
    script::{Template, Templates},
};
use crate::{
    database::host_tables::{HOST_SCHEMA, OUTBOX, OUTBOX_ADD, OUTBOX_DONE},
    outbox,
    sql::error::DbError,
};

/// The groups of the script, in their order.
const GROUPS: [&str; 5] = ["guard.sql", "logins.sql", "limits.sql", "tables.sql", "host_tables.sql"];

const FILES: [Template; 7] = [
    ("head.sql", include_str!("mysql/head.sql")),
    ("guard.sql", include_str!("mysql/guard.sql")),
    ("logins.sql", include_str!("mysql/logins.sql")),
    ("limits.sql", include_str!("mysql/limits.sql")),
    ("tables.sql", include_str!("mysql/tables.sql")),
    ("host_tables.sql", include_str!("mysql/host_tables.sql")),
    ("tail.sql", include_str!("mysql/tail.sql")),
];

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a database name for a grant on all tables of the database, where `_` and `%` are wildcards. In other
/// statements these characters are not wildcards.
fn pattern(database: &str) -> String {
    identifier(&database.replace('_', "\\_").replace('%', "\\%"))
}

fn account(name: &str) -> String {
    format!("{}@'%'", literal(name))
}

fn host_database(names: &Names) -> String {
    format!("{}_{HOST_SCHEMA}", names.database)
}

/// Returns an SQL condition that is true if the `grantee` of a row in the catalog is a login for guests, at any host.
fn is_guest(names: &Names) -> String {
    let begins = |name: &str| {
        let begin = literal(&format!("'{name}'@"));
        format!("LEFT(grantee, CHAR_LENGTH({begin})) = {begin}")
    };
    let logins: Vec<String> = names.logins().map(|(login, _)| begins(&login.name)).collect();
    logins.join(" OR ")
}

/// Returns an SQL operator with its operand. It is true for the name of a login that must not define the procedures of
/// the outbox. Without `admin_url` the owner is unknown, so that only the logins for guests are excluded.
fn is_not_owner(names: &Names) -> String {
    match &names.owner {
        Some(owner) => format!("<> {}", literal(owner)),
        None => {
            let guests: Vec<String> = names.logins().map(|(login, _)| literal(&login.name)).collect();
            format!("IN ({})", guests.join(", "))
        }
    }
}

/// Returns the databases on which guests may have rights, as an SQL list of the names that the catalog can contain.
fn database_names(names: &Names) -> String {
    // The catalog contains the name as it is in the grant, with escaped wildcards.
    let patterns = [pattern(&names.database), pattern(&host_database(names))];
    let escaped = patterns.map(|name| literal(&name.trim_matches('`').replace('\\', "\\\\")));
    format!("{}, {}", literal(&names.database), escaped.join(", "))
}

/// Returns the templates with the values of a configuration.
fn templates(names: &Names) -> Result<Templates, DbError> {
    let login = |name: &str, writes: bool| context! { account => account(name), writes };
    let values = context! {
        database_plain => &names.database,
        database_pattern => pattern(&names.database),
        database_names => database_names(names),
        host_database => identifier(&host_database(names)),
        host_database_name => literal(&host_database(names)),
        is_guest => is_guest(names),
        is_not_owner => is_not_owner(names),
        logins => names.logins().map(|(each, writes)| login(&each.name, writes)).collect::<Vec<Value>>(),
        statement_timeout_seconds => format!("{:.3}", names.statement_timeout.as_secs_f64().max(0.001)),
        outbox => identifier(OUTBOX),
        outbox_columns => outbox::columns(names.dialect),
        outbox_add => OUTBOX_ADD,
        outbox_done => OUTBOX_DONE,
        outbox_functions => outbox::function_statements(names.dialect, &format!("{}.", identifier(&host_database(names)))),
        outbox_grants => outbox::grants(
            names.dialect,
            &format!("{}.", identifier(&host_database(names))),
            &account(&names.writer.name),
        ),
    };
    Templates::new(&FILES, values)
}

pub(super) fn script(names: &Names) -> Result<String, DbError> {
    templates(names)?.script(&GROUPS)
}

/// Runs the groups one after the other, then sets the passwords.
pub(super) async fn apply(names: &Names, admin_url: &str, mut done: impl FnMut(&str)) -> Result<(), DbError> {
    let failed = |error| failed(&error);
    let templates = templates(names)?;
    let mut admin = MySqlConnection::connect(admin_url).await.map_err(failed)?;
    // Reset the SQL mode, so that quotes and backslashes have their default meaning.
    admin.execute(sqlx::raw_sql("SET sql_mode = ''")).await.map_err(failed)?;
    for name in GROUPS {
        let group = templates.group(name)?;
        let run = admin.execute(sqlx::raw_sql(AssertSqlSafe(group.sql))).await;
        run.map_err(|error| wrong(format!("{}: {error}", group.title)))?;
        done(&group.title);
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
