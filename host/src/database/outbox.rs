//! Actions that must not be lost: written in the transaction they belong to, deleted when they have run.
//!
//! A row is hidden for [`LEASE`] whenever somebody takes it, so that two hosts, or a host and its own clean-up, do not
//! run it at the same time; one that is killed meanwhile leaves it to be found afterwards.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Access, Connection, Database, Dialect, error::DbError, value::Value};

/// How long a taken action stays hidden from others.
pub const LEASE: Duration = Duration::from_secs(60);

/// The host's own tables are no guest's business, so on a server they live in a place of their own: a schema of this
/// name in PostgreSQL; in MySQL, which cannot take a table out of a grant on its database, a database whose name ends
/// in it.
pub const HOST_SCHEMA: &str = "carya";
/// The one table of the host's that a guest's transaction writes: its durable actions must commit with it.
pub const TABLE: &str = "carya_outbox";

/// The columns of the table. `seq` is the order in which actions are taken.
pub const fn columns(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, component TEXT NOT NULL, name TEXT NOT NULL, \
            payload TEXT NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL"
        }
        Dialect::Postgres => {
            "seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, component text NOT NULL, \
            name text NOT NULL, payload text NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL"
        }
        Dialect::MySql => {
            "seq bigint AUTO_INCREMENT PRIMARY KEY, id varchar(64) NOT NULL UNIQUE, component varchar(255) NOT NULL, \
            name varchar(255) NOT NULL, payload longtext NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL"
        }
    }
}

/// The table in the SQL of a database. `database` is its name on its server.
pub(super) fn table(dialect: Dialect, database: &str) -> String {
    match dialect {
        Dialect::Sqlite => TABLE.to_owned(),
        Dialect::Postgres => format!("{HOST_SCHEMA}.{TABLE}"),
        Dialect::MySql => format!("{}.{TABLE}", host_database(database)),
    }
}

fn host_database(database: &str) -> String {
    format!("`{}_{HOST_SCHEMA}`", database.replace('`', "``"))
}

/// One recorded action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The same for every delivery.
    pub id: String,
    /// The component that registered it and will run it.
    pub component: String,
    /// The action's name.
    pub name: String,
    /// The action's payload.
    pub payload: String,
    /// Deliveries that were begun, this one included.
    pub attempts: u32,
}

/// Makes the table if it is not there.
pub async fn create(database: &Database) -> Result<(), DbError> {
    database.ensure(database.outbox(), columns(database.dialect())).await
}

/// Records an action in the transaction that it belongs to, taken for its first delivery.
pub async fn record(connection: &mut Connection, table: &str, entry: &Entry) -> Result<(), DbError> {
    let params = vec![
        Value::Text(entry.id.clone()),
        Value::Text(entry.component.clone()),
        Value::Text(entry.name.clone()),
        Value::Text(entry.payload.clone()),
        Value::Int64(entry.attempts.into()),
        Value::Int64(millis_after(LEASE)),
    ];
    let sql = format!("INSERT INTO {table} (id, component, name, payload, attempts, due_at) VALUES (?, ?, ?, ?, ?, ?)");
    connection.execute_as_host(sql, params).await.map(drop)
}

/// Forgets an action that has run.
pub async fn done(database: &Database, id: &str) -> Result<(), DbError> {
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let sql = format!("DELETE FROM {} WHERE id = ?", database.outbox());
    connection.execute_as_host(sql, vec![Value::Text(id.to_owned())]).await?;
    connection.commit().await.map(drop)
}

/// Puts off an action whose `attempt` failed, longer each time, up to an hour.
pub async fn put_off(database: &Database, id: &str, attempt: u32) -> Result<(), DbError> {
    let wait = Duration::from_secs(1 << attempt.min(12)).min(Duration::from_secs(3600));
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let params = vec![Value::Int64(millis_after(wait)), Value::Text(id.to_owned())];
    let sql = format!("UPDATE {} SET due_at = ? WHERE id = ?", database.outbox());
    connection.execute_as_host(sql, params).await?;
    connection.commit().await.map(drop)
}

/// Takes the oldest action that is due. One at a time: the next is not to wait with its lease running.
pub async fn take_due(database: &Database) -> Result<Option<Entry>, DbError> {
    let table = database.outbox();
    let due = format!(
        "SELECT id, component, name, payload, attempts, due_at FROM {table} WHERE due_at <= ? ORDER BY seq LIMIT 1"
    );
    // Reading in a transaction of its own keeps an idle host off the write lock.
    let mut connection = database.begin_as_host(Access::ReadOnly).await?;
    let waiting = connection.query_as_host(due, vec![Value::Int64(millis_after(Duration::ZERO))]).await?;
    connection.rollback().await?;
    let Some((entry, due_at)) = waiting.into_iter().find_map(entry) else { return Ok(None) };
    let lease = format!("UPDATE {table} SET attempts = ?, due_at = ? WHERE id = ? AND due_at = ?");
    let params = vec![
        Value::Int64(entry.attempts.into()),
        Value::Int64(millis_after(LEASE)),
        Value::Text(entry.id.clone()),
        Value::Int64(due_at),
    ];
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let taken = connection.execute_as_host(lease, params).await?.rows_affected;
    connection.commit().await?;
    // Another host was quicker where nothing was changed; there may be more.
    if taken == 1 { Ok(Some(entry)) } else { Box::pin(take_due(database)).await }
}

/// A row as the delivery that is about to begin, and when it was due.
fn entry(row: Vec<Value>) -> Option<(Entry, i64)> {
    let [
        Value::Text(id),
        Value::Text(component),
        Value::Text(name),
        Value::Text(payload),
        Value::Int64(attempts),
        Value::Int64(due_at),
    ] = <[Value; 6]>::try_from(row).ok()?
    else {
        return None;
    };
    let attempts = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
    Some((Entry { id, component, name, payload, attempts }, due_at))
}

fn millis_after(wait: Duration) -> i64 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + wait;
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
