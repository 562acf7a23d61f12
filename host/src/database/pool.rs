//! Functions for the pools of all engines.

use std::time::Duration;

use deadpool::{
    Status,
    managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType},
};

use crate::{
    sql::error::{DbError, Kind},
    telemetry::metrics::Connections,
};

/// Converts the error of a pool that lent no connection. `database` is the name of the pool's database. `keys` are the
/// configuration keys with which the pool would have had a free connection.
pub(super) fn not_lent<M: Manager<Error = DbError>>(
    pool: &Pool<M>,
    error: PoolError<DbError>,
    database: &str,
    keys: &str,
) -> DbError {
    let (Status { size, max_size, .. }, waited) = (pool.status(), pool.timeouts().wait.unwrap_or_default());
    match error {
        PoolError::Backend(error) => error,
        // `size` does not include connections that are being opened. Callers wait for these too.
        PoolError::Timeout(TimeoutType::Wait) if size >= max_size => {
            let connections =
                if max_size == 1 { "the connection".to_owned() } else { format!("each of the {max_size} connections") };
            let message = format!(
                "database \"{database}\" is busy: {connections} in its pool stayed in use for {waited:?}; raise {keys}"
            );
            DbError::new(Kind::Busy, message).retryable()
        }
        PoolError::Timeout(_) => {
            let message = format!(
                "database \"{database}\": no connection was opened within {waited:?}; check that it can be \
                 reached, or raise acquire_timeout"
            );
            DbError::new(Kind::Lost, message).retryable()
        }
        other => DbError::new(Kind::Lost, format!("database \"{database}\": no connection: {other}")),
    }
}

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
