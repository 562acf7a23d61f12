//! A database server: pools of connections for writers, readers, each replica and the host's own tables. This module
//! chooses the pool for a transaction; the SQL of a dialect is in `postgres` and `mysql`.

mod connection;
mod link;
mod opener;
mod replicas;
mod runaway;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use deadpool::managed::{Manager, Object, Pool, PoolError, QueueMode, TimeoutType};

pub(super) use self::{
    connection::Connection,
    link::{Answer, End, Link, Mode, Outcome, Times},
    runaway::Sent,
};
use self::{
    opener::{Left, Opener},
    replicas::Replicas,
};
use super::{Limits, Terms, close_forgotten, connections, host_tables, was_lent};
use crate::{
    config::{self, Access, Dialect},
    sql::{
        Position,
        error::{DbError, Kind},
    },
    task,
    telemetry::metrics::{Connections, Tally, Target},
};

/// Maximum time to look up the outcome of a commit that got no answer.
const RESOLVE: Duration = Duration::from_secs(3);

/// A primary and its replicas.
#[derive(Debug)]
pub(super) struct Server {
    dialect: Dialect,
    writers: Pool<Opener>,
    readers: Pool<Opener>,
    /// Uses the login of `admin_url` if there is one.
    host: Pool<Opener>,
    replicas: Replicas,
    limits: Limits,
    tally: Arc<Tally>,
    outbox: String,
    /// Number of callers that wait for a connection and would take over a transaction of [`Mode::NEXT`].
    in_line: Arc<AtomicUsize>,
}

/// Guard that increments the counter and decrements it on drop.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Server {
    /// Connects to the primary. If the primary is unreachable and there are replicas, logs a warning and serves reads
    /// only.
    pub(super) async fn open(name: &str, config: &config::Database) -> Result<Arc<Self>, DbError> {
        let writers = pool(&config.url, config)?;
        let own = |url: &Option<String>| match url {
            Some(url) => pool(url, config),
            None => Ok(writers.clone()),
        };
        let server = Arc::new(Self {
            dialect: config.dialect,
            readers: own(&config.reader_url)?,
            host: own(&config.admin_url)?,
            replicas: Replicas::new(config)?,
            outbox: host_tables::qualified(config.dialect, writers.manager().database(), host_tables::OUTBOX),
            writers,
            limits: Limits::new(config),
            tally: Tally::new(name),
            in_line: Arc::default(),
        });
        if let Err(error) = acquire(&server.writers).await {
            if !server.has_replicas() {
                return Err(error);
            }
            tracing::warn!(database = name, %error, "the primary cannot be reached; only reads are served for now");
        }
        server.replicas.watch(&server, config.replica_check);
        for (name, pool) in server.pools(config) {
            let (look, runaways) = (connections(pool), pool.manager().runaways.clone());
            server.tally.watch(name, move || Connections { runaway: runaways.count(), ..look() });
            let pool = Arc::new(pool.weak());
            let close = move || close_forgotten(pool.clone(), |slot| !matches!(slot.left, Left::Nothing));
            tokio::spawn(task::persist("pool", close));
        }
        Ok(server)
    }

    /// Returns each pool once, with its name. Without `reader_url` or `admin_url`, `readers` or `host` is a clone of
    /// `writers` and is left out.
    fn pools(&self, config: &config::Database) -> impl Iterator<Item = (String, &Pool<Opener>)> {
        let readers = config.reader_url.is_some().then_some(("readers".to_owned(), &self.readers));
        let host = config.admin_url.is_some().then_some(("host".to_owned(), &self.host));
        let own = [("writers".to_owned(), &self.writers)].into_iter().chain(readers).chain(host);
        own.chain(self.replicas.pools().enumerate().map(|(index, pool)| (format!("replica {}", index + 1), pool)))
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn outbox(&self) -> &str {
        &self.outbox
    }

    pub(super) fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Begins a transaction: a write on the primary, a read on a replica that satisfies `terms`, or else on the
    /// primary.
    pub(super) async fn begin(self: &Arc<Self>, terms: &Terms) -> Result<Connection, DbError> {
        if terms.access == Access::ReadWrite {
            self.tally.begin(Target::Primary);
            return self.begin_on(&self.writers, terms).await;
        }
        if !terms.primary
            && let Some(connection) = self.replicas.begin(self, terms).await
        {
            self.tally.begin(Target::Replica);
            return Ok(connection);
        }
        self.tally.begin(Target::Primary);
        self.begin_on(&self.readers, terms).await
    }

    pub(super) async fn begin_as_host(self: &Arc<Self>, access: Access) -> Result<Connection, DbError> {
        self.begin_on(&self.host, &Terms::new(access)).await
    }

    /// Begins a transaction on a connection of `pool`. An idle connection may have died, probably with all others of
    /// the pool. In that case a second attempt is safe: no statement of the transaction has run.
    async fn begin_on(self: &Arc<Self>, pool: &Pool<Opener>, terms: &Terms) -> Result<Connection, DbError> {
        let (mode, since) = (Mode { access: terms.access, isolation: terms.isolation }, Instant::now());
        // While this caller waits, a commit may begin a transaction for it; see `want_next`.
        let in_line = (mode == Mode::NEXT).then(|| Counted::one(&self.in_line));
        let mut object = acquire(pool).await?;
        drop(in_line);
        let kept = was_lent(&object);
        if kept && terms.anew {
            // Only this connection is replaced; the others of the pool stay in use.
            *object = pool.manager().create().await?;
            return Ok(Connection::begin(object, self.clone(), mode, since).await?.made_anew());
        }
        match Connection::begin(object, self.clone(), mode, since).await {
            Err(error) if kept && error.kind == Kind::Lost => {
                drop(pool.retain(|_, _| false));
                Connection::begin(acquire(pool).await?, self.clone(), mode, since).await
            }
            begun => begun,
        }
    }

    /// Returns whether all `waiting` callers would take over a transaction of [`Mode::NEXT`].
    fn want_next(&self, waiting: usize) -> bool {
        waiting > 0 && self.in_line.load(Relaxed) >= waiting
    }

    /// Returns the position that the server of `pool` has reached.
    async fn position(self: &Arc<Self>, pool: &Pool<Opener>, of_replica: bool) -> Result<Position, DbError> {
        let mut connection = Connection::idle(acquire(pool).await?, self.clone());
        let position = connection.position(of_replica).await;
        if position.is_err() {
            drop(pool.retain(|_, _| false));
        }
        position
    }

    /// Returns whether a transaction is committed, as soon as the server is reachable. Returns `None` if the server
    /// does not know, or after [`RESOLVE`].
    pub(super) async fn resolve(self: &Arc<Self>, transaction: &str) -> Option<bool> {
        let ask = async {
            loop {
                if let Ok(slot) = acquire(&self.writers).await {
                    match Connection::idle(slot, self.clone()).outcome(transaction).await {
                        Ok(Outcome::Committed) => return Some(true),
                        Ok(Outcome::RolledBack) => return Some(false),
                        Ok(Outcome::Unknown) => return None,
                        Ok(Outcome::Running) => {}
                        // The connection is older than the failure, and so are the other idle ones.
                        Err(error) if error.kind == Kind::Lost => drop(self.writers.retain(|_, _| false)),
                        Err(error) => {
                            tracing::warn!(%error, "the server does not tell what became of a commit");
                            return None;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(RESOLVE, ask).await.ok().flatten()
    }

    /// Opens a connection for the host with the owner's login, outside the pools.
    pub(super) async fn connect(&self) -> Result<Link, DbError> {
        self.host.manager().connect().await
    }

    pub(super) fn renew_connections(&self) {
        for pool in self.replicas.pools().chain([&self.writers, &self.readers, &self.host]) {
            pool.manager().vintage.renew();
            drop(pool.retain(|_, _| false));
        }
    }

    pub(super) fn close(&self) {
        self.replicas.close();
        for pool in [&self.writers, &self.readers, &self.host] {
            pool.close();
        }
    }
}

/// Opens a connection outside the pools with the login in `url`.
pub(super) async fn connect(url: &str, config: &config::Database) -> Result<Link, DbError> {
    Opener::new(url, config)?.connect().await
}

fn pool(url: &str, config: &config::Database) -> Result<Pool<Opener>, DbError> {
    Pool::builder(Opener::new(url, config)?)
        .max_size(config.max_connections as usize)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(Some(config.acquire_timeout))
        .create_timeout(Some(config.acquire_timeout))
        // The server process of the connection that was used last has the warmest caches.
        .queue_mode(QueueMode::Lifo)
        .build()
        .map_err(|error| DbError::new(Kind::Other, error.to_string()))
}

async fn acquire(pool: &Pool<Opener>) -> Result<Object<Opener>, DbError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(TimeoutType::Create) => {
            DbError::new(Kind::Lost, "no connection was made within database.acquire_timeout").retryable()
        }
        PoolError::Timeout(_) => DbError::new(Kind::Lost, "no connection became free in time").retryable(),
        other => DbError::new(Kind::Lost, format!("no connection: {other}")),
    })
}
