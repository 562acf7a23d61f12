//! Durable actions. The transaction that registers an action inserts a row for it, and the host deletes the row after
//! the action has succeeded.
//!
//! A host that takes a row hides it from other deliveries for [`LEASE`], so that no two hosts, and no two tasks of one
//! host, run its action at the same time. If the host is killed while the action runs, the row becomes visible again
//! when the lease ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    config::{Access, Dialect},
    database::{Connection, Database},
    sql::{error::DbError, value::Value},
};

/// Time for which a taken action is hidden from other deliveries.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Returns the column definitions of the outbox. Actions are taken in the order of `seq`.
pub(crate) const fn columns(dialect: Dialect) -> &'static str {
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

/// A recorded action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Identifier of the action, the same for every delivery.
    pub id: String,
    /// Name of the component that registered the action and runs it.
    pub component: String,
    /// Name of the action.
    pub name: String,
    /// Payload of the action.
    pub payload: String,
    /// Number of deliveries that were started, including the current one.
    pub attempts: u32,
}

/// Creates the outbox if it does not exist.
pub(crate) async fn create(database: &Database) -> Result<(), DbError> {
    database.ensure(database.outbox(), columns(database.dialect())).await
}

/// Inserts an action in the transaction that registers it. The action is leased to this host for its first delivery.
pub(crate) async fn record(connection: &mut Connection, table: &str, entry: &Entry) -> Result<(), DbError> {
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

/// Deletes an action that has succeeded.
pub(crate) async fn done(database: &Database, id: &str) -> Result<(), DbError> {
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let sql = format!("DELETE FROM {} WHERE id = ?", database.outbox());
    connection.execute_as_host(sql, vec![Value::Text(id.to_owned())]).await?;
    connection.commit().await.map(drop)
}

/// Postpones an action after its delivery number `attempt` failed, by 2^`attempt` seconds, at most one hour.
pub(crate) async fn put_off(database: &Database, id: &str, attempt: u32) -> Result<(), DbError> {
    let wait = Duration::from_secs(1 << attempt.min(12)).min(Duration::from_secs(3600));
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let params = vec![Value::Int64(millis_after(wait)), Value::Text(id.to_owned())];
    let sql = format!("UPDATE {} SET due_at = ? WHERE id = ?", database.outbox());
    connection.execute_as_host(sql, params).await?;
    connection.commit().await.map(drop)
}

/// Takes the oldest action that is due. Takes only one: the lease of a second action would expire while the first one
/// runs.
pub(crate) async fn take_due(database: &Database) -> Result<Option<Entry>, DbError> {
    let table = database.outbox();
    let due = format!(
        "SELECT id, component, name, payload, attempts, due_at FROM {table} WHERE due_at <= ? ORDER BY seq LIMIT 1"
    );
    // A read-only transaction first: an idle host must not take the write lock.
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
    // If no row changed, another delivery has taken this action. Look for the next one.
    if taken == 1 { Ok(Some(entry)) } else { Box::pin(take_due(database)).await }
}

/// Converts a row to the entry of the delivery that is about to start, and the time at which it was due.
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
