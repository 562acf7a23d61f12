//! Functions of the owner, by which the host writes to the outbox in a transaction of a guest. The login for guests'
//! statements has no right on the table itself.
//!
//! Each call has a secret, which only the owner can read. Therefore a guest that could call these functions in spite of
//! the gate could neither forge an action nor remove one. The functions are in plain SQL on PostgreSQL, and procedures
//! of one statement on MySQL, where the result of a `CALL` has the number of rows that the statement changed.

use std::time::Duration;

use super::execute;
use crate::{
    config::{Access, Dialect},
    database::{
        Connection, Database, TransactionOptions,
        host_tables::{OUTBOX, OUTBOX_ADD, OUTBOX_DONE, OUTBOX_SECRET},
    },
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Maximum number of attempts to create the functions. Hosts that start at the same time can disturb each other.
const MAX_ATTEMPTS: u32 = 3;

/// Code of MySQL's error for a procedure that exists.
const PROCEDURE_EXISTS: &str = "1304";

/// Columns of a new action, in the order of the parameters of [`OUTBOX_ADD`]. The last parameter is both `due_at` and
/// `registered_at`.
const COLUMNS: &str = "id, component, name, payload, request, previous, depth, attempts, due_at, registered_at";

/// Returns statements that create the functions and the table of their secret. `place` qualifies their names.
pub(crate) fn statements(dialect: Dialect, place: &str) -> Vec<String> {
    let (table, secret) = (format!("{place}{OUTBOX}"), format!("{place}{OUTBOX_SECRET}"));
    let (add, done) = (format!("{place}{OUTBOX_ADD}"), format!("{place}{OUTBOX_DONE}"));
    match dialect {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => {
            let function = |name: String, params: &str, change: &str| {
                format!(
                    "CREATE OR REPLACE FUNCTION {name}({params}) RETURNS bigint LANGUAGE sql SECURITY DEFINER \
                     SET search_path = pg_catalog, pg_temp AS \
                     'WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed'"
                )
            };
            let insert = format!(
                "INSERT INTO {table} ({COLUMNS}) SELECT $2, $3, $4, $5, $6, $7, $8, 0, $9, $9 FROM {secret} \
                 WHERE secret = $1"
            );
            let delete =
                format!("DELETE FROM {table} o USING {secret} s WHERE s.secret = $1 AND o.id = $2 AND o.due_at = $3");
            vec![
                format!("CREATE TABLE IF NOT EXISTS {secret} (id integer PRIMARY KEY, secret text NOT NULL)"),
                function(add.clone(), "text, text, text, text, text, text, text, bigint, bigint", &insert),
                function(done.clone(), "text, text, bigint", &delete),
                format!(
                    "REVOKE ALL ON FUNCTION {add}(text, text, text, text, text, text, text, bigint, bigint) FROM PUBLIC"
                ),
                format!("REVOKE ALL ON FUNCTION {done}(text, text, bigint) FROM PUBLIC"),
            ]
        }
        Dialect::MySql => {
            let procedure = |name: &str, params: &str, change: &str| {
                format!("CREATE PROCEDURE {name}({params}) MODIFIES SQL DATA SQL SECURITY DEFINER {change}")
            };
            let params = "IN p_secret varchar(64), IN p_id varchar(64), IN p_component varchar(255), \
                          IN p_name varchar(255), IN p_payload longtext, IN p_request varchar(255), \
                          IN p_previous varchar(64), IN p_depth bigint, IN p_now bigint";
            let insert = format!(
                "INSERT INTO {table} ({COLUMNS}) SELECT p_id, p_component, p_name, p_payload, p_request, p_previous, \
                 p_depth, 0, p_now, p_now FROM {secret} WHERE secret = p_secret"
            );
            let delete = format!(
                "DELETE FROM {table} WHERE id = p_id AND due_at = p_due_at \
                 AND EXISTS (SELECT 1 FROM {secret} WHERE secret = p_secret)"
            );
            let done_params = "IN p_secret varchar(64), IN p_id varchar(64), IN p_due_at bigint";
            vec![
                format!("CREATE TABLE IF NOT EXISTS {secret} (id integer PRIMARY KEY, secret varchar(64) NOT NULL)"),
                format!("DROP PROCEDURE IF EXISTS {add}"),
                procedure(&add, params, &insert),
                format!("DROP PROCEDURE IF EXISTS {done}"),
                procedure(&done, done_params, &delete),
            ]
        }
    }
}

/// Returns statements that permit a login to call the functions. `login` is quoted.
pub(crate) fn grants(dialect: Dialect, place: &str, login: &str) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => vec![
            format!("GRANT USAGE ON SCHEMA {} TO {login}", place.trim_end_matches('.')),
            format!(
                "GRANT EXECUTE ON FUNCTION \
                 {place}{OUTBOX_ADD}(text, text, text, text, text, text, text, bigint, bigint), \
                 {place}{OUTBOX_DONE}(text, text, bigint) TO {login}"
            ),
        ],
        Dialect::MySql => {
            let grant = |name| format!("GRANT EXECUTE ON PROCEDURE {place}{name} TO {login}");
            [OUTBOX_ADD, OUTBOX_DONE].map(grant).into()
        }
    }
}

/// Inserts an action. `params` are the values for the function, without the secret. Returns whether a row was inserted.
pub(super) async fn add(connection: &mut Connection, database: &Database, params: Vec<Value>) -> Result<bool, DbError> {
    if let Some(secret) = database.outbox().secret() {
        return call(connection, database, OUTBOX_ADD, secret, params).await;
    }
    let mut params = params;
    params.extend(params.last().cloned());
    let sql = format!("INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)", database.outbox().table);
    Ok(connection.execute_as_host(sql, params).await?.rows_affected == 1)
}

/// Deletes an action with an id and a time at which it is due. Returns whether a row was deleted.
pub(super) async fn done(
    connection: &mut Connection,
    database: &Database,
    params: Vec<Value>,
) -> Result<bool, DbError> {
    if let Some(secret) = database.outbox().secret() {
        return call(connection, database, OUTBOX_DONE, secret, params).await;
    }
    let sql = format!("DELETE FROM {} WHERE id = ? AND due_at = ?", database.outbox().table);
    Ok(connection.execute_as_host(sql, params).await?.rows_affected == 1)
}

/// Calls a function. Returns whether it changed a row.
async fn call(
    connection: &mut Connection,
    database: &Database,
    function: &str,
    secret: &str,
    params: Vec<Value>,
) -> Result<bool, DbError> {
    let place = place(database);
    let places = ", ?".repeat(params.len());
    let mut all = vec![Value::Text(secret.to_owned())];
    all.extend(params);
    if database.dialect() == Dialect::MySql {
        let sql = format!("CALL {place}{function}(?{places})");
        return Ok(connection.execute_as_host(sql, all).await?.rows_affected == 1);
    }
    let rows = connection.query_as_host(format!("SELECT {place}{function}(?{places})"), all).await?;
    Ok(rows == [[Value::Int64(1)]])
}

/// Returns the schema or database of the host's tables in SQL, with the dot after it.
fn place(database: &Database) -> &str {
    database.outbox().table.strip_suffix(OUTBOX).unwrap_or_default()
}

/// Prepares the calls of the functions: reads the secret as the owner, and creates the secret, the functions and the
/// rights of the guests' login where they are missing. Does nothing on SQLite, which has no logins, and without a login
/// of the owner: then the host writes to the table directly.
pub(crate) async fn install(database: &Database) {
    let outbox = database.outbox();
    if database.dialect() == Dialect::Sqlite || !outbox.has_owner || outbox.secret().is_some() {
        return;
    }
    let mut found = find(database).await;
    for attempt in 0..MAX_ATTEMPTS {
        if found.is_ok() {
            break;
        }
        // The functions are missing, or the login must not call them. Another host may create them at the same time, so
        // replace them only if they do not work.
        let created = create(database, attempt > 0).await;
        found = match (find(database).await, created) {
            (Err(_), Err(error)) => Err(error),
            (found, _) => found,
        };
        if found.is_err() {
            tokio::time::sleep(Duration::from_millis(rand::random_range(20..200))).await;
        }
    }
    match found {
        Ok(secret) => outbox.call_functions(secret),
        Err(error) => tracing::warn!(
            database = outbox.database,
            %error,
            "actions: the functions of the outbox could not be created, so the login for guests' statements writes to \
             the outbox; run `carya harden --apply`"
        ),
    }
}

/// Returns the secret, after a call of a function with the login for guests' statements.
async fn find(database: &Database) -> Result<String, DbError> {
    let mut connection = database.begin_as_host(Access::ReadOnly).await?;
    let rows = connection.query_as_host(format!("SELECT secret FROM {}{OUTBOX_SECRET}", place(database)), vec![]).await;
    connection.rollback().await?;
    let Some(Value::Text(secret)) = rows?.into_iter().flatten().next() else {
        return Err(DbError::new(Kind::Other, "the outbox has no secret"));
    };
    let mut connection = database.begin(&TransactionOptions::new(Access::ReadWrite)).await?;
    // No action has an empty id.
    let params = vec![Value::Text(String::new()), Value::Int64(0)];
    let called = call(&mut connection, database, OUTBOX_DONE, &secret, params).await;
    connection.rollback().await?;
    called.map(|_| secret)
}

/// Creates the functions and the secret, and permits the login for guests' statements to call the functions. On MySQL,
/// keeps existing functions unless `replace` is true: while one is dropped, commits of other hosts fail.
async fn create(database: &Database, replace: bool) -> Result<(), DbError> {
    let (dialect, place) = (database.dialect(), place(database));
    let login = login(database).await?;
    let all = statements(dialect, place).into_iter().chain(grants(dialect, place, &login));
    if dialect == Dialect::MySql {
        for statement in all.filter(|statement| replace || !statement.starts_with("DROP ")) {
            match database.run_ddl(statement).await {
                Err(error) if error.is_one_of(&[PROCEDURE_EXISTS]) => {}
                done => done?,
            }
        }
    } else {
        let all: Vec<_> = ["SET client_min_messages = warning".to_owned()].into_iter().chain(all).collect();
        database.run_ddl(all.join("; ")).await?;
    }
    let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let sql = format!("INSERT INTO {place}{OUTBOX_SECRET} (id, secret) VALUES (1, ?)");
    match execute(database, sql, vec![Value::Text(secret)]).await {
        // There is a secret already.
        Err(error) if error.kind == Kind::Constraint => Ok(()),
        inserted => inserted.map(drop),
    }
}

/// Returns the quoted name of the login for guests' statements.
async fn login(database: &Database) -> Result<String, DbError> {
    let is_mysql = database.dialect() == Dialect::MySql;
    // The server quotes the names: they may contain any character.
    let sql = match is_mysql {
        true => "SELECT CURRENT_USER()",
        false => "SELECT pg_catalog.quote_ident(current_user)",
    };
    let mut connection = database.begin(&TransactionOptions::new(Access::ReadWrite)).await?;
    let rows = connection.query_as_host(sql.to_owned(), vec![]).await;
    connection.rollback().await?;
    let Some(Value::Text(login)) = rows?.into_iter().flatten().next() else {
        return Err(DbError::new(Kind::Other, "the server does not report the name of the login"));
    };
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    Ok(match login.rsplit_once('@') {
        Some((name, host)) if is_mysql => format!("{}@{}", quoted(name), quoted(host)),
        _ => login,
    })
}
