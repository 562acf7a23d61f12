//! What an operator can do with the actions in the outbox: count, list, retry and remove them.

use std::time::Duration;

use super::{DEAD, FAILED, execute, query};
use crate::{
    database::Database,
    sql::{error::DbError, value::Value},
};

/// Maximum number of listed actions.
const MAX_LISTED: usize = 1000;

/// Numbers of actions in an outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Actions that will be delivered.
    pub pending: i64,
    /// Actions that have failed `max_attempts` times.
    pub dead: i64,
    /// Time since the oldest pending action was registered. Zero if there is none.
    pub oldest: Duration,
}

/// Counts the actions.
pub(crate) async fn count(database: &Database) -> Result<Counts, DbError> {
    // An action that an older version of the host has recorded has no time of registration.
    let sql = format!(
        "SELECT count(CASE WHEN state <> '{DEAD}' THEN 1 END), count(CASE WHEN state = '{DEAD}' THEN 1 END), \
         coalesce(min(CASE WHEN state <> '{DEAD}' AND registered_at > 0 THEN registered_at END), 0) FROM {}",
        database.outbox().table
    );
    let rows = query(database, sql, Vec::new()).await?;
    let Some([Value::Int64(pending), Value::Int64(dead), Value::Int64(oldest)]) = rows.first().map(Vec::as_slice)
    else {
        return Ok(Counts::default());
    };
    let age = if *oldest == 0 { 0 } else { database.outbox().millis_after(Duration::ZERO).saturating_sub(*oldest) };
    let oldest = Duration::from_millis(u64::try_from(age).unwrap_or_default());
    Ok(Counts { pending: *pending, dead: *dead, oldest })
}

/// An action, as `carya outbox` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Identifier of the action.
    pub id: String,
    /// Name of the component.
    pub component: String,
    /// Name of the action.
    pub name: String,
    /// Payload of the action.
    pub payload: String,
    /// Id of the request that registered the action. Empty if an older version of the host has recorded the action.
    pub request: String,
    /// `new`, `failed` or `dead`.
    pub state: String,
    /// Number of deliveries that were started.
    pub attempts: i64,
    /// Time of the registration, in milliseconds since 1970. 0 if an older version of the host has recorded the action.
    pub registered_at: i64,
    /// Time until the next delivery may start, or until the lease of the running delivery ends. `None` if it may start
    /// now, and for dead actions.
    pub due_in: Option<Duration>,
}

/// Returns the actions in the order of their registration, at most 1,000: the one with this id, or all, or only the dead
/// ones.
pub(crate) async fn list(database: &Database, id: Option<&str>, only_dead: bool) -> Result<Vec<Listed>, DbError> {
    let (filter, params) = match id {
        Some(id) => ("WHERE id = ?".to_owned(), vec![Value::Text(id.to_owned())]),
        None if only_dead => (format!("WHERE state = '{DEAD}'"), Vec::new()),
        None => (String::new(), Vec::new()),
    };
    let sql = format!(
        "SELECT id, component, name, payload, request, state, attempts, registered_at, due_at FROM {} {filter} \
         ORDER BY seq LIMIT {MAX_LISTED}",
        database.outbox().table
    );
    let now = database.outbox().millis_after(Duration::ZERO);
    Ok(query(database, sql, params).await?.into_iter().filter_map(|row| listed(row, now)).collect())
}

fn listed(row: Vec<Value>, now: i64) -> Option<Listed> {
    let [
        Value::Text(id),
        Value::Text(component),
        Value::Text(name),
        Value::Text(payload),
        Value::Text(request),
        Value::Text(state),
        Value::Int64(attempts),
        Value::Int64(registered_at),
        Value::Int64(due_at),
    ] = <[Value; 9]>::try_from(row).ok()?
    else {
        return None;
    };
    let due_in = u64::try_from(due_at.saturating_sub(now)).ok().filter(|left| *left > 0 && state != DEAD);
    let due_in = due_in.map(Duration::from_millis);
    Some(Listed { id, component, name, payload, request, state, attempts, registered_at, due_in })
}

/// Makes actions due now, with `max_attempts` further deliveries: those with these ids, or all dead ones if `ids` is
/// empty. Returns their number. A delivery that is running loses its lease, and its transaction is rolled back.
pub(crate) async fn retry(database: &Database, ids: &[String]) -> Result<u64, DbError> {
    // Not `new`, so that later actions of the same request do not wait for it.
    let sql = format!("UPDATE {} SET attempts = 0, state = '{FAILED}', due_at = ?", database.outbox().table);
    let now = Value::Int64(database.outbox().millis_after(Duration::ZERO));
    change(database, &sql, &[now], ids).await
}

/// Removes actions, so that they are not delivered again: those with these ids, or all dead ones if `ids` is empty.
/// Returns their number.
pub(crate) async fn drop_all(database: &Database, ids: &[String]) -> Result<u64, DbError> {
    change(database, &format!("DELETE FROM {}", database.outbox().table), &[], ids).await
}

async fn change(database: &Database, sql: &str, params: &[Value], ids: &[String]) -> Result<u64, DbError> {
    if ids.is_empty() {
        return execute(database, format!("{sql} WHERE state = '{DEAD}'"), params.to_vec()).await;
    }
    let mut changed = 0;
    for id in ids {
        let params = params.iter().cloned().chain([Value::Text(id.clone())]).collect();
        changed += execute(database, format!("{sql} WHERE id = ?"), params).await?;
    }
    Ok(changed)
}
