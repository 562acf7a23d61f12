//! The right of a host to run an action. While the action runs, the host renews the lease, so that a lease may be
//! shorter than an action.

use std::{future::Future, pin::pin, time::Duration};

use super::execute;
use crate::{
    database::{Database, Outbox},
    sql::{error::DbError, value::Value},
};

/// Number of renewals within the length of a lease.
const RENEWALS: u32 = 3;

/// Maximum time that an action which has ended waits for a renewal that has begun.
const RENEWAL_TIMEOUT: Duration = Duration::from_millis(250);

/// The lease of an action. It is valid as long as the row of the action has `due_at`.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    id: String,
    due_at: i64,
    length: Duration,
}

impl Lease {
    /// Returns a lease that begins now. The caller writes `due_at` to the row.
    pub(super) fn new(id: String, outbox: &Outbox) -> Self {
        Self { id, due_at: outbox.millis_after(outbox.lease), length: outbox.lease }
    }

    /// Returns the id of the action.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the end of the lease, in milliseconds since 1970.
    pub(crate) fn due_at(&self) -> i64 {
        self.due_at
    }

    /// Runs `work`, and renews the lease until `work` ends. Cancels `work` and returns `None` if another delivery has
    /// taken the action.
    pub(crate) async fn hold<T>(&mut self, database: &Database, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return Some(output),
                () = tokio::time::sleep(self.length / RENEWALS) => {}
            }
            let (id, due_at, length) = (self.id.clone(), self.due_at, self.length);
            let mut renewal = pin!(renew(database, id, due_at, length));
            let (output, renewed) = tokio::select! {
                biased;
                output = &mut work => {
                    // Without the result of the renewal, `due_at` could be outdated, and the host would roll the
                    // action back. On SQLite the renewal may wait for the transaction of the action itself.
                    let renewed = tokio::time::timeout(RENEWAL_TIMEOUT, renewal).await;
                    (Some(output), renewed.unwrap_or(Ok(Some(due_at))))
                }
                renewed = &mut renewal => (None, renewed),
            };
            match renewed {
                Ok(Some(renewed)) => self.due_at = renewed,
                Ok(None) => return None,
                Err(error) => tracing::warn!(id = self.id, %error, "the lease of an action could not be renewed"),
            }
            if output.is_some() {
                return output;
            }
        }
    }
}

/// Renews a lease that ends at `due_at`. Returns its new end, or `None` if another delivery has taken the action.
async fn renew(database: &Database, id: String, due_at: i64, length: Duration) -> Result<Option<i64>, DbError> {
    let renewed = database.outbox().millis_after(length);
    let sql = format!("UPDATE {} SET due_at = ? WHERE id = ? AND due_at = ?", database.outbox().table);
    let params = vec![Value::Int64(renewed), Value::Text(id), Value::Int64(due_at)];
    Ok((execute(database, sql, params).await? == 1).then_some(renewed))
}
