//! Functions for the pools of all engines.

use std::time::Duration;

use deadpool::{
    Status,
    managed::{Manager, Metrics, Object, Pool, RecycleError, RecycleResult},
};

use crate::{sql::error::DbError, telemetry::metrics::Connections};

/// Returns whether a connection was lent before and may therefore have prepared statements.
pub(super) fn was_lent<M: Manager>(object: &Object<M>) -> bool {
    Object::metrics(object).recycle_count > 0
}

/// Returns a function that counts the connections of a pool for the metrics.
pub(super) fn connections<M: Manager + 'static>(pool: &Pool<M>) -> impl Fn() -> Connections + Send + Sync + 'static
where
    M::Type: Send,
{
    let pool = pool.clone();
    move || {
        let Status { size, available, waiting, .. } = pool.status();
        Connections { used: size.saturating_sub(available), idle: available, waiting, runaway: 0 }
    }
}

/// Returns an error if a connection must not be lent again, because it was opened before the last change of the schema
/// (`is_current` is false) or is older than `max_lifetime`. With `echo`, logs that the connection is lent.
pub(super) fn lend_again(
    is_current: bool,
    metrics: &Metrics,
    max_lifetime: Duration,
    echo: bool,
) -> RecycleResult<DbError> {
    if !is_current {
        return Err(RecycleError::message("older than the schema"));
    }
    if metrics.age() > max_lifetime {
        return Err(RecycleError::message("older than max_lifetime"));
    }
    if echo {
        tracing::info!(target: "carya::pool", lent = metrics.recycle_count, "connection lent");
    }
    Ok(())
}
