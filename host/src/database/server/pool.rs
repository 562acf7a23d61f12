//! Pools of connections to one server: lends a connection to a transaction, or to a query of the host.

use std::time::Instant;

use deadpool::managed::{Manager, Object, Pool, QueueMode};

use super::{connection::Connection, opener::Opener};
use crate::{
    config,
    database::{
        options::{Mode, TransactionOptions},
        pool::{not_lent, was_lent},
    },
    sql::{
        Position,
        error::{DbError, Kind},
    },
};

/// Creates a pool of the database `name` for the login in `url`. Opens no connection.
pub(super) fn create(name: &str, url: &str, config: &config::DatabaseConfig) -> Result<Pool<Opener>, DbError> {
    of_opener(Opener::new(url, config)?.of_database(name), config)
}

/// Creates a pool for the server and the login of `opener`. Opens no connection.
pub(super) fn of_opener(opener: Opener, config: &config::DatabaseConfig) -> Result<Pool<Opener>, DbError> {
    Pool::builder(opener)
        .max_size(config.max_connections as usize)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(Some(config.acquire_timeout))
        .create_timeout(Some(config.acquire_timeout))
        // The server process of the connection that was used last has the warmest caches.
        .queue_mode(QueueMode::Lifo)
        .build()
        .map_err(|error| DbError::new(Kind::Other, error.to_string()))
}

/// Takes a connection out of the pool, or opens one.
pub(super) async fn acquire(pool: &Pool<Opener>) -> Result<Object<Opener>, DbError> {
    let keys = "max_connections or acquire_timeout";
    pool.get().await.map_err(|error| not_lent(pool, error, &pool.manager().name, keys))
}

/// Closes the idle connections of the pool.
pub(super) fn close_idle(pool: &Pool<Opener>) {
    drop(pool.retain(|_, _| false));
}

/// Closes the idle connections of the pool, and those in use when they are returned.
pub(super) fn retire(pool: &Pool<Opener>) {
    pool.manager().schema_epoch.renew();
    close_idle(pool);
}

/// Begins a transaction on a connection of the pool. An idle connection may be broken, and then probably all idle
/// connections of the pool are. In that case a second attempt is safe, because no statement of the transaction has run.
pub(super) async fn begin(pool: &Pool<Opener>, options: &TransactionOptions) -> Result<Connection, DbError> {
    let (mode, since) = (Mode { access: options.access, isolation: options.isolation }, Instant::now());
    // While this caller waits, a COMMIT may begin a transaction for it.
    let waiting = pool.manager().next_writers.wait(mode);
    let mut pooled = acquire(pool).await?;
    drop(waiting);
    let was_lent = was_lent(&pooled);
    if was_lent && options.fresh_connection {
        // Replace only this connection; the pool keeps its other connections.
        *pooled = pool.manager().create().await?;
        return Ok(Connection::begin(pooled, pool.clone(), mode, since).await?.newly_opened());
    }
    match Connection::begin(pooled, pool.clone(), mode, since).await {
        Err(error) if was_lent && error.kind == Kind::Lost => {
            close_idle(pool);
            Connection::begin(acquire(pool).await?, pool.clone(), mode, since).await
        }
        begun => begun,
    }
}

/// Returns the position that the server has reached.
pub(super) async fn position(pool: &Pool<Opener>, of_replica: bool) -> Result<Position, DbError> {
    let position = Connection::idle(acquire(pool).await?, pool.clone()).position(of_replica).await;
    if position.is_err() {
        close_idle(pool);
    }
    position
}
