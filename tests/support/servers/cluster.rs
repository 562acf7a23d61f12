//! A primary with its replica, and new databases on them. This module never stops or kills a server.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;

use super::{
    super::{Result, client::Client, eventually},
    Engine,
    installed::{Installation, mysql},
    server::{Server, password},
};

/// A primary and its replica, which replicates by streaming (PostgreSQL: a hot standby with a slot) or by GTID
/// (MariaDB).
pub struct Cluster {
    pub engine: Engine,
    pub(super) primary: Server,
    pub(super) replica: Server,
    databases: AtomicU32,
}

impl Cluster {
    pub(super) async fn start(engine: Engine, installation: &Installation) -> Result<Self> {
        let origin = origin(engine, installation).await?;
        let server = || Server::new(engine, installation, origin);
        let (primary, replica) = tokio::try_join!(server(), server())?;
        let port = primary.supervisor.port;
        replica.supervisor.order(format!("follow {port}")).await?;
        primary.start().await?;
        let cluster = Self { engine, primary, replica, databases: AtomicU32::new(0) };
        if engine == Engine::Postgres {
            // The standby requests this slot as soon as it starts, so the slot must exist before.
            cluster.primary()?.texts("SELECT pg_create_physical_replication_slot('replica', true)::text").await?;
            cluster.replica.start().await?;
        } else {
            cluster.replica.start().await?;
            let password = password();
            let follow = if mysql().is_some() {
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
                     SOURCE_USER = 'root', SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1, \
                     SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1"
                )
            } else {
                format!(
                    "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', \
                     MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
                )
            };
            cluster.replica()?.execute(&format!("{follow}; START REPLICA")).await?;
        }
        cluster.synchronize().await?;
        Ok(cluster)
    }

    /// Returns the URL of a database on the primary, with a superuser's login.
    pub fn primary_url(&self, database: &str) -> String {
        self.primary.url(database)
    }

    /// Returns the URL of a database on the replica, with a superuser's login.
    pub fn replica_url(&self, database: &str) -> String {
        self.replica.url(database)
    }

    /// Returns a superuser's client of the primary, on the system database.
    pub fn primary(&self) -> Result<Client> {
        self.primary.client(self.engine.system_database())
    }

    /// Returns a superuser's client of the replica, on the system database.
    pub fn replica(&self) -> Result<Client> {
        self.replica.client(self.engine.system_database())
    }

    /// Creates an empty database with a unique name, and waits until the replica has it.
    pub async fn database(&self) -> Result<TestDatabase<'_>> {
        let name = self.create_database().await?;
        self.synchronize().await?;
        Ok(TestDatabase { cluster: self, name })
    }

    /// Creates an empty database with a unique name on the primary, and returns the name.
    pub async fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.primary()?.execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    /// Waits until the replica shows everything that the primary committed before this call.
    pub async fn synchronize(&self) -> Result {
        let first = |texts: Vec<String>| texts.into_iter().next().unwrap_or_default();
        let (reached, wanted) = match self.engine {
            Engine::Postgres => {
                let wanted = first(self.primary()?.texts("SELECT pg_current_wal_flush_lsn()").await?);
                (format!("SELECT pg_last_wal_replay_lsn() >= '{wanted}'"), wanted)
            }
            _ if mysql().is_some() => {
                let wanted = first(self.primary()?.texts("SELECT @@global.gtid_executed").await?);
                (format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{wanted}', 1) = 0"), wanted)
            }
            _ => {
                let wanted = first(self.primary()?.texts("SELECT @@gtid_binlog_pos").await?);
                (format!("SELECT MASTER_GTID_WAIT('{wanted}', 0) = 0"), wanted)
            }
        };
        let mut replica = self.replica()?.connect().await?;
        let what = format!("{}: the replica has reached {wanted}", self.engine);
        eventually(&what, async || Ok(replica.number(&reached).await? == 1)).await
    }
}

/// Returns the server whose data all servers of an engine copy. Its data is initialized once in a test process, because
/// the initialization takes longer than all other steps together.
async fn origin(engine: Engine, installation: &Installation) -> Result<&'static Server> {
    static POSTGRES: OnceCell<Server> = OnceCell::const_new();
    static MARIADB: OnceCell<Server> = OnceCell::const_new();
    let once = if engine == Engine::Postgres { &POSTGRES } else { &MARIADB };
    once.get_or_try_init(|| Server::origin(engine, installation)).await
}

/// An empty database of a test, on the primary and its replica.
pub struct TestDatabase<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

impl TestDatabase<'_> {
    /// Returns the URL of this database on the primary, with a superuser's login.
    pub fn primary_url(&self) -> String {
        self.cluster.primary_url(&self.name)
    }

    /// Returns the URL of this database on the replica, with a superuser's login.
    pub fn replica_url(&self) -> String {
        self.cluster.replica_url(&self.name)
    }

    /// Returns a superuser's client of this database on the primary.
    pub fn primary(&self) -> Result<Client> {
        self.cluster.primary.client(&self.name)
    }

    /// Returns a superuser's client of this database on the replica.
    pub fn replica(&self) -> Result<Client> {
        self.cluster.replica.client(&self.name)
    }

    /// Creates a login that can connect and has no other privileges, on the primary and the replica. Logins belong to
    /// the whole server, so the name of the database is the prefix of the login's name.
    pub async fn create_login(&self, name: &str) -> Result<Login> {
        let Self { cluster, name: database } = self;
        let (name, password) = (format!("{database}_{name}"), password());
        let sql = match cluster.engine {
            Engine::Postgres => format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"),
            _ => format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{password}'"),
        };
        self.primary()?.execute(&sql).await?;
        cluster.synchronize().await?;
        let primary_url = cluster.primary.url_as(&name, database);
        let replica_url = cluster.replica.url_as(&name, database);
        Ok(Login { name, primary_url, replica_url })
    }
}

/// A login without privileges. MariaDB refuses its connection to the database until a privilege in that database is
/// granted to the login.
#[derive(Debug)]
pub struct Login {
    /// Name for a `GRANT`. On MariaDB the statement must append `@'127.0.0.1'`.
    pub name: String,
    pub primary_url: String,
    pub replica_url: String,
}
