//! A database server: pools of connections for writers, readers, each replica and the host's own tables. This module
//! chooses the pool for a transaction; the SQL of a dialect is in `postgres` and `mysql`.

mod abandoned;
mod catalogue;
pub(super) mod connection;
mod opener;
mod pool;
mod replicas;
pub(super) mod runaway;
pub(super) mod session;
pub(super) mod simulated;
pub(super) mod transaction;

use std::{sync::Arc, time::Duration};

use deadpool::managed::Pool;

use self::{
    catalogue::Catalogue,
    connection::Connection,
    opener::Opener,
    pool::{acquire, close_idle, retire},
    replicas::Replicas,
    session::ServerSession,
    simulated::{Data, Past, ReplicaState},
    transaction::TransactionStatus,
};
use super::{hand_over::close_forgotten, host_tables, options::TransactionOptions, pool::connections};
use crate::{
    config::{self, Access, Dialect},
    sql::error::{DbError, Kind},
    task,
    telemetry::metrics::{Connections, Tally, Target},
};

/// Maximum time to look up the outcome of a commit that the server did not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);

/// A primary and its replicas.
#[derive(Debug)]
pub(super) struct Server {
    dialect: Dialect,
    writers: Pool<Opener>,
    readers: Pool<Opener>,
    /// Pool for the host's own tables. Uses the login of `admin_url` if it is set.
    host: Pool<Opener>,
    replicas: Arc<Replicas>,
    /// Completes the errors of violated constraints.
    catalogue: Arc<Catalogue>,
    pub(super) tally: Arc<Tally>,
}

impl Server {
    /// Connects to the primary. If the primary is unreachable and there are replicas, logs a warning and serves reads
    /// only.
    pub(super) async fn open(name: &str, config: &config::DatabaseConfig) -> Result<Self, DbError> {
        let writers = pool::create(name, &config.url, config)?;
        // Create a separate pool even for the same URL as `writers`, so that readers take no connections from writers.
        let own = |url: &Option<String>| match url {
            Some(url) => pool::create(name, url, config),
            None => Ok(writers.clone()),
        };
        let owner = Opener::new(config.admin_url.as_ref().unwrap_or(&config.url), config)?.of_database(name);
        let server = Self {
            dialect: config.dialect,
            catalogue: Arc::new(Catalogue::new(owner, writers.manager().database())),
            readers: own(&config.reader_url)?,
            host: own(&config.admin_url)?,
            replicas: Replicas::new(name, writers.clone(), config)?,
            writers,
            tally: Tally::new(name),
        };
        if let Err(error) = acquire(&server.writers).await {
            if !server.has_replicas() {
                return Err(error);
            }
            tracing::warn!(database = name, %error, "no connection to the primary; the host serves only reads for now");
        }
        server.replicas.watch(config.replica_check);
        for (name, pool) in server.pools(config) {
            let (look, runaways) = (connections(pool), pool.manager().runaways.clone());
            server.tally.watch(name, move || Connections { runaway: runaways.count(), ..look() });
            let pool = Arc::new(pool.weak());
            let close = move || close_forgotten(pool.clone(), |pooled| pooled.open.is_open());
            tokio::spawn(task::persist("pool", close));
        }
        Ok(server)
    }

    /// Returns each pool once, with its name. Without `reader_url` or `admin_url`, `readers` or `host` is a clone of
    /// `writers` and is left out.
    fn pools(&self, config: &config::DatabaseConfig) -> impl Iterator<Item = (String, &Pool<Opener>)> {
        let readers = config.reader_url.is_some().then_some(("readers".to_owned(), &self.readers));
        let host = config.admin_url.is_some().then_some(("host".to_owned(), &self.host));
        let own = [("writers".to_owned(), &self.writers)].into_iter().chain(readers).chain(host);
        own.chain(self.replicas.pools().enumerate().map(|(index, pool)| (format!("replica {}", index + 1), pool)))
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the qualified name of one of the host's own tables in SQL.
    pub(super) fn host_table(&self, table: &str) -> String {
        host_tables::qualified(self.dialect, self.writers.manager().database(), table)
    }

    pub(super) fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Changes the state of simulated replicas.
    pub(super) async fn simulate_replicas(&self, state: ReplicaState) -> Result<(), DbError> {
        let data = match state {
            ReplicaState::Current => Data::Current,
            ReplicaState::Gone => Data::Gone,
            ReplicaState::Lagging => {
                let mut session = self.connect().await?;
                // The position is not later than the data. A commit between the two is in the data, and reads with its
                // position go to the primary.
                let position = session.position(false).await?;
                // On MySQL, the new data replaces that of the last lag, which no replica must be reading.
                self.replicas.simulate(&Data::Current).await?;
                let writers = self.writers.manager();
                let name = session.keep_data(writers.database(), writers.login()).await?;
                Data::Past(Arc::new(Past { position, name, _keeper: session }))
            }
        };
        self.replicas.simulate(&data).await
    }

    /// Begins a transaction: a write on the primary; a read on a replica that satisfies `options`, or on the primary if
    /// there is no such replica.
    pub(super) async fn begin(&self, options: &TransactionOptions) -> Result<Connection, DbError> {
        if options.access == Access::ReadWrite {
            self.tally.count_transaction(Target::Primary);
            let connection = pool::begin(&self.writers, options).await?;
            return Ok(connection.with_catalogue(self.catalogue.clone()));
        }
        if !options.primary
            && let Some(connection) = self.replicas.begin(options).await
        {
            self.tally.count_transaction(Target::Replica);
            return Ok(connection);
        }
        self.tally.count_transaction(Target::Primary);
        pool::begin(&self.readers, options).await
    }

    pub(super) async fn begin_as_host(&self, access: Access) -> Result<Connection, DbError> {
        pool::begin(&self.host, &TransactionOptions::new(access)).await
    }

    /// Returns whether a transaction is committed, as soon as the server is reachable. Returns `None` if the server
    /// does not know the outcome, or after [`RESOLVE_TIMEOUT`].
    pub(super) async fn resolve(&self, transaction: &str) -> Option<bool> {
        let query = async {
            loop {
                if let Ok(pooled) = acquire(&self.writers).await {
                    match Connection::idle(pooled, self.writers.clone()).outcome(transaction).await {
                        Ok(TransactionStatus::Committed) => return Some(true),
                        Ok(TransactionStatus::RolledBack) => return Some(false),
                        Ok(TransactionStatus::Unknown) => return None,
                        Ok(TransactionStatus::Running) => {}
                        // This connection was opened before the server failed, and so were the other idle connections.
                        Err(error) if error.kind == Kind::Lost => close_idle(&self.writers),
                        Err(error) => {
                            tracing::warn!(%error, "the server cannot report the outcome of a commit");
                            return None;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(RESOLVE_TIMEOUT, query).await.ok().flatten()
    }

    /// Opens a connection for the host with the owner's login, outside the pools.
    pub(super) async fn connect(&self) -> Result<ServerSession, DbError> {
        self.host.manager().connect().await
    }

    pub(super) fn renew_connections(&self) {
        self.catalogue.clear();
        for pool in self.replicas.pools().chain([&self.writers, &self.readers, &self.host]) {
            retire(pool);
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
pub(super) async fn connect(url: &str, config: &config::DatabaseConfig) -> Result<ServerSession, DbError> {
    Opener::new(url, config)?.connect().await
}
