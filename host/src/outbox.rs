//! Durable actions. The transaction that registers an action inserts a row for it. The transaction of the action itself
//! deletes the row, as its last statement, so the effects of an action in the database happen exactly once.
//!
//! A host that takes a row hides it from other deliveries by a [`Lease`], so that no two hosts, and no two tasks of one
//! host, run its action at the same time. If the host is killed while the action runs, the row becomes visible again
//! when the lease ends. The deletion is fenced by the lease: if another delivery has taken the row meanwhile, the
//! deletion removes no row, and the host rolls the transaction back.

mod functions;
mod lease;
mod operate;
mod table;

use std::time::Duration;

pub(crate) use self::{
    functions::{grants, install, statements as function_statements},
    lease::Lease,
    operate::{Listed, count, drop_all, list, retry},
    table::{columns, create, is_created, upgrade},
};
use crate::{
    config::Access,
    database::{Connection, Database},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

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
    /// Id of the request that registered the action.
    pub request: String,
    /// Number of actions in the chain of registrations that ends with this action. A request registers actions of
    /// depth 1.
    pub depth: u8,
}

/// An action that this host has taken.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The action.
    pub entry: Entry,
    /// Number of this delivery, from 1.
    pub attempt: u32,
    /// Right of this host to run the action.
    pub lease: Lease,
}

/// `state` of an action until its first delivery has ended.
const NEW: &str = "new";
/// `state` of an action that has failed and will be delivered again.
const FAILED: &str = "failed";
/// `state` of an action that will not be delivered again.
const DEAD: &str = "dead";
/// `due_at` of a dead action.
const NEVER: i64 = i64::MAX;

/// Message of the error of a delivery that has lost its lease.
const LEASE_LOST: &str = "the lease of the action was lost: another delivery has taken the action, or it was removed";

/// Inserts actions in the transaction that registers them, in their order. They are due at once.
pub(crate) async fn record(
    connection: &mut Connection,
    database: &Database,
    entries: Vec<Entry>,
) -> Result<(), DbError> {
    let now = database.outbox().millis_after(Duration::ZERO);
    let mut previous = String::new();
    for Entry { id, component, name, payload, request, depth } in entries {
        let texts = [&id, &component, &name, &payload, &request, &previous].map(|text| Value::Text(text.clone()));
        let mut params: Vec<_> = texts.into_iter().collect();
        params.extend([Value::Int64(depth.into()), Value::Int64(now)]);
        if !functions::add(connection, database, params).await? {
            let message = "the action could not be recorded: the secret of the outbox has changed; restart the host";
            return Err(DbError::new(Kind::Other, message));
        }
        previous = id;
    }
    Ok(())
}

/// Deletes an action in the transaction of its delivery.
///
/// # Errors
///
/// Returns an error if the lease is lost. The caller must then roll the transaction back.
pub(crate) async fn complete(connection: &mut Connection, database: &Database, lease: &Lease) -> Result<(), DbError> {
    let params = vec![Value::Text(lease.id().to_owned()), Value::Int64(lease.due_at())];
    if functions::done(connection, database, params).await? {
        return Ok(());
    }
    Err(DbError::new(Kind::Other, LEASE_LOST))
}

/// Returns whether an error is that of [`complete`] without a lease.
pub(crate) fn is_lease_lost(error: &DbError) -> bool {
    error.message == LEASE_LOST
}

/// Postpones an action after its delivery number `attempt` failed. Returns whether the action is dead, because it has
/// failed at least `max_attempts` times.
pub(crate) async fn put_off(database: &Database, lease: &Lease, attempt: u32) -> Result<bool, DbError> {
    let outbox = database.outbox();
    let is_dead = attempt >= outbox.max_attempts;
    let (state, due_at) = if is_dead { (DEAD, NEVER) } else { (FAILED, outbox.millis_after(back_off(attempt))) };
    let sql = format!("UPDATE {} SET due_at = ?, state = ? WHERE id = ? AND due_at = ?", outbox.table);
    let params = vec![
        Value::Int64(due_at),
        Value::Text(state.to_owned()),
        Value::Text(lease.id().to_owned()),
        Value::Int64(lease.due_at()),
    ];
    execute(database, sql, params).await?;
    Ok(is_dead)
}

/// Returns the pause after delivery number `attempt` failed: a random time between 50 % and 100 % of 2^`attempt`
/// seconds, at most one hour. The random part keeps the actions of an outage from running at the same time again.
fn back_off(attempt: u32) -> Duration {
    let longest = Duration::from_secs(1 << attempt.min(12)).min(Duration::from_secs(3600));
    longest.mul_f64(rand::random_range(0.5..1.0))
}

/// Takes an action that is due, the one that has been due for the longest time. The first delivery of an action waits
/// for the first delivery of the action that the same request registered before it.
///
/// Takes only one action: the lease of a second one would run out while the first one runs.
pub(crate) async fn take_due(database: &Database) -> Result<Option<Delivery>, DbError> {
    let outbox = database.outbox();
    let table = &outbox.table;
    // The end of a delivery deletes the earlier action or sets its state.
    let due = format!(
        "SELECT id, component, name, payload, request, depth, attempts, due_at FROM {table} action WHERE due_at <= ? \
         AND NOT EXISTS (SELECT 1 FROM {table} earlier WHERE earlier.id = action.previous \
         AND earlier.state = '{NEW}') ORDER BY due_at, seq LIMIT 1"
    );
    let take = format!("UPDATE {table} SET attempts = ?, due_at = ? WHERE id = ? AND due_at = ?");
    loop {
        // A read-only transaction first: an idle host must not take the write lock.
        let waiting = query(database, due.clone(), vec![Value::Int64(outbox.millis_after(Duration::ZERO))]).await?;
        let Some((entry, attempts, due_at)) = waiting.into_iter().find_map(entry) else { return Ok(None) };
        let attempt = attempts + 1;
        let lease = Lease::new(entry.id.clone(), outbox);
        let params = vec![
            Value::Int64(attempt),
            Value::Int64(lease.due_at()),
            Value::Text(entry.id.clone()),
            Value::Int64(due_at),
        ];
        // If no row changed, another delivery has taken this action. Look for the next one.
        if execute(database, take.clone(), params).await? == 1 {
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            return Ok(Some(Delivery { entry, attempt, lease }));
        }
    }
}

/// Converts a row to an action, the number of its deliveries so far, and the time at which it is due.
fn entry(row: Vec<Value>) -> Option<(Entry, i64, i64)> {
    let [
        Value::Text(id),
        Value::Text(component),
        Value::Text(name),
        Value::Text(payload),
        Value::Text(request),
        Value::Int64(depth),
        Value::Int64(attempts),
        Value::Int64(due_at),
    ] = <[Value; 8]>::try_from(row).ok()?
    else {
        return None;
    };
    let depth = u8::try_from(depth).unwrap_or(u8::MAX);
    // An older host has recorded no request.
    let request = if request.is_empty() { id.clone() } else { request };
    Some((Entry { id, component, name, payload, request, depth }, attempts, due_at))
}

/// Runs a query in a read-only transaction of its own. Returns its rows.
async fn query(database: &Database, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
    let mut connection = database.begin_as_host(Access::ReadOnly).await?;
    let rows = connection.query_as_host(sql, params).await?;
    connection.rollback().await?;
    Ok(rows)
}

/// Runs a statement in a transaction of its own. Returns the number of changed rows.
async fn execute(database: &Database, sql: String, params: Vec<Value>) -> Result<u64, DbError> {
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let changed = connection.execute_as_host(sql, params).await?.rows_affected;
    connection.commit().await?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour_and_half_of_it_is_random() {
        for (attempt, seconds) in [(1, 2), (2, 4), (5, 32), (11, 2048), (12, 3600), (20, 3600), (u32::MAX, 3600)] {
            let longest = Duration::from_secs(seconds);
            let pauses: Vec<_> = (0..100).map(|_| back_off(attempt)).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..longest).contains(pause)), "{attempt}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{attempt}");
        }
    }
}
