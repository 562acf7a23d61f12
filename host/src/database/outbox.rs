//! Actions that must not be lost: written in the transaction they belong to, deleted when they have run.
//!
//! A row is hidden for [`LEASE`] whenever somebody takes it, so that two hosts, or a host and its own clean-up, do not
//! run it at the same time; one that is killed meanwhile leaves it to be found afterwards.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Access, Connection, Database, error::DbError, value::Value};

/// How long a taken action stays hidden from others.
pub const LEASE: Duration = Duration::from_secs(60);

const CREATE: &str = "CREATE TABLE IF NOT EXISTS carya_outbox (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    component TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL
)";

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
pub async fn create(database: &Arc<Database>) -> Result<(), DbError> {
    let mut connection = database.begin(Access::ReadWrite).await?;
    connection.execute_as_host(CREATE, Vec::new()).await?;
    connection.commit().await
}

/// Records an action in the transaction that it belongs to, taken for its first delivery.
pub async fn record(connection: &mut Connection, entry: &Entry) -> Result<(), DbError> {
    let params = vec![
        Value::Text(entry.id.clone()),
        Value::Text(entry.component.clone()),
        Value::Text(entry.name.clone()),
        Value::Text(entry.payload.clone()),
        Value::Int64(entry.attempts.into()),
        Value::Int64(millis_after(LEASE)),
    ];
    let sql = "INSERT INTO carya_outbox (id, component, name, payload, attempts, due_at) VALUES (?, ?, ?, ?, ?, ?)";
    connection.execute_as_host(sql, params).await.map(drop)
}

/// Forgets an action that has run.
pub async fn done(database: &Arc<Database>, id: &str) -> Result<(), DbError> {
    let mut connection = database.begin(Access::ReadWrite).await?;
    connection.execute_as_host("DELETE FROM carya_outbox WHERE id = ?", vec![Value::Text(id.to_owned())]).await?;
    connection.commit().await
}

/// Puts off an action whose `attempt` failed, longer each time, up to an hour.
pub async fn put_off(database: &Arc<Database>, id: &str, attempt: u32) -> Result<(), DbError> {
    let wait = Duration::from_secs(1 << attempt.min(12)).min(Duration::from_secs(3600));
    let mut connection = database.begin(Access::ReadWrite).await?;
    let params = vec![Value::Int64(millis_after(wait)), Value::Text(id.to_owned())];
    connection.execute_as_host("UPDATE carya_outbox SET due_at = ? WHERE id = ?", params).await?;
    connection.commit().await
}

/// Takes the oldest action that is due. One at a time: the next is not to wait with its lease running.
pub async fn take_due(database: &Arc<Database>) -> Result<Option<Entry>, DbError> {
    let due = "SELECT id FROM carya_outbox WHERE due_at <= ? ORDER BY seq LIMIT 1";
    let now = Value::Int64(millis_after(Duration::ZERO));
    // Reading first keeps an idle host off the write lock.
    let mut connection = database.begin(Access::ReadOnly).await?;
    let waiting = connection.query_as_host(due, vec![now.clone()]).await?;
    connection.rollback().await?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let mut connection = database.begin(Access::ReadWrite).await?;
    let take = "UPDATE carya_outbox SET attempts = attempts + 1, due_at = ?
        WHERE seq IN (SELECT seq FROM carya_outbox WHERE due_at <= ? ORDER BY seq LIMIT 1)
        RETURNING id, component, name, payload, attempts";
    let params = vec![Value::Int64(millis_after(LEASE)), now];
    let rows = connection.query_as_host(take, params).await?;
    connection.commit().await?;
    Ok(rows.into_iter().find_map(entry))
}

fn entry(row: Vec<Value>) -> Option<Entry> {
    let [Value::Text(id), Value::Text(component), Value::Text(name), Value::Text(payload), Value::Int64(attempts)] =
        <[Value; 5]>::try_from(row).ok()?
    else {
        return None;
    };
    Some(Entry { id, component, name, payload, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) })
}

fn millis_after(wait: Duration) -> i64 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + wait;
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
