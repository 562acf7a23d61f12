//! The script for PostgreSQL. It determines the functions that guests may call by a rule and not by a list of names: in
//! every version, all functions that can have an effect are declared volatile. [`check`] uses the same rule to find
//! remaining rights.

pub(super) mod check;

use std::time::Duration;

use minijinja::{Value, context};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{
    names::{Names, failed, literal, wrong},
    script::{Template, Templates},
};
use crate::{
    database::host_tables::{HOST_SCHEMA, IS_RUNNING, OUTBOX, OUTBOX_ADD, OUTBOX_DONE},
    gate::HARMLESS_EXTENSIONS,
    outbox,
    sql::error::DbError,
};

/// The groups of the script, in their order. [`apply`] sends each group in a message of its own, within one
/// transaction.
const GROUPS: [&str; 10] = [
    "guard.sql",
    "logins.sql",
    "settings.sql",
    "database.sql",
    "schemas.sql",
    "tables.sql",
    "host_tables.sql",
    "functions.sql",
    "views.sql",
    "languages.sql",
];

const FILES: [Template; 18] = [
    ("head.sql", include_str!("postgres/head.sql")),
    ("guard.sql", include_str!("postgres/guard.sql")),
    ("logins.sql", include_str!("postgres/logins.sql")),
    ("settings.sql", include_str!("postgres/settings.sql")),
    ("database.sql", include_str!("postgres/database.sql")),
    ("schemas.sql", include_str!("postgres/schemas.sql")),
    ("tables.sql", include_str!("postgres/tables.sql")),
    ("host_tables.sql", include_str!("postgres/host_tables.sql")),
    ("functions.sql", include_str!("postgres/functions.sql")),
    ("views.sql", include_str!("postgres/views.sql")),
    ("languages.sql", include_str!("postgres/languages.sql")),
    ("tail.sql", include_str!("postgres/tail.sql")),
    // The beginning of the blocks that only a superuser can run.
    ("superuser_only.sql", include_str!("postgres/superuser_only.sql")),
    // Conditions that the groups and `check` share.
    ("all_tables.sql", include_str!("postgres/all_tables.sql")),
    ("forbidden_function.sql", include_str!("postgres/forbidden_function.sql")),
    ("forbidden_view.sql", include_str!("postgres/forbidden_view.sql")),
    ("host_table.sql", include_str!("postgres/host_table.sql")),
    ("transactional_functions.sql", include_str!("postgres/transactional_functions.sql")),
];

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn millis(time: Duration) -> u128 {
    time.as_millis().max(1)
}

/// Returns the templates with the values of a configuration.
fn templates(names: &Names) -> Result<Templates, DbError> {
    let list = |text: fn(&str) -> String| {
        let items: Vec<String> = names.logins().map(|(login, _)| text(&login.name)).collect();
        items.join(", ")
    };
    let login = |name: &str, writes: bool| context! { identifier => identifier(name), name => literal(name), writes };
    let allowed: Vec<String> = names.allow_functions.iter().map(|name| literal(name)).collect();
    let values = context! {
        database => identifier(&names.database),
        database_name => literal(&names.database),
        database_plain => &names.database,
        guests => list(identifier),
        guest_names => list(literal),
        logins => names.logins().map(|(each, writes)| login(&each.name, writes)).collect::<Vec<Value>>(),
        writer => identifier(&names.writer.name),
        statement_timeout_ms => millis(names.statement_timeout).to_string(),
        idle_timeout_ms => millis(names.idle_timeout).to_string(),
        host_schema => HOST_SCHEMA,
        outbox => OUTBOX,
        outbox_columns => outbox::columns(names.dialect),
        outbox_upgrade => outbox::upgrade(names.dialect, &format!("{HOST_SCHEMA}.{OUTBOX}")),
        outbox_add => OUTBOX_ADD,
        outbox_done => OUTBOX_DONE,
        outbox_functions => outbox::function_statements(names.dialect, &format!("{HOST_SCHEMA}.")),
        outbox_grants => outbox::grants(names.dialect, &format!("{HOST_SCHEMA}."), &identifier(&names.writer.name)),
        is_running => IS_RUNNING,
        allowed_functions => allowed.join(", "),
        harmless_extensions => HARMLESS_EXTENSIONS,
    };
    Templates::new(&FILES, values)
}

pub(super) fn script(names: &Names) -> Result<String, DbError> {
    templates(names)?.script(&GROUPS)
}

/// Runs the groups in one transaction, then sets the passwords.
pub(super) async fn apply(names: &Names, admin_url: &str, mut done: impl FnMut(&str)) -> Result<(), DbError> {
    let failed = |error| failed(&error);
    let templates = templates(names)?;
    let mut admin = PgConnection::connect(admin_url).await.map_err(failed)?;
    let mut transaction = admin.begin().await.map_err(failed)?;
    transaction.execute("SET LOCAL client_min_messages = warning").await.map_err(failed)?;
    for name in GROUPS {
        let group = templates.group(name)?;
        let run = transaction.execute(sqlx::raw_sql(AssertSqlSafe(group.sql))).await;
        run.map_err(|error| wrong(format!("{}: {error}", group.title)))?;
        done(&group.title);
    }
    // Keep passwords out of the server's log. Only a superuser may change this setting; for another role the query must
    // not call the function, because an error would abort the transaction.
    let quiet =
        "SELECT set_config('log_statement', 'none', true) FROM pg_roles WHERE rolname = current_user AND rolsuper";
    transaction.execute(sqlx::raw_sql(quiet)).await.map_err(failed)?;
    for (login, _) in names.logins() {
        let Some(password) = &login.password else { continue };
        // Use an `E''` literal, in which a doubled backslash is one backslash regardless of
        // `standard_conforming_strings`.
        let sql =
            format!("ALTER ROLE {} PASSWORD E{}", identifier(&login.name), literal(&password.replace('\\', "\\\\")));
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(failed)?;
        done("Password of a login");
    }
    transaction.commit().await.map_err(failed)?;
    admin.close().await.map_err(failed)
}
