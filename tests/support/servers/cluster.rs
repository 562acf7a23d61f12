//! A primary and its replica, and fresh databases on them. Stops and hurts nothing.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{
    super::{PATIENCE, Result, client::Client},
    Engine,
    installed::Installation,
    server::{Server, password},
};

/// A primary and its replica, which follows by streaming (PostgreSQL, a hot standby with a slot) or by GTID (MariaDB).
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
            // The standby asks for it as soon as it runs.
            cluster.primary()?.texts("SELECT pg_create_physical_replication_slot('replica', true)::text").await?;
            cluster.replica.start().await?;
        } else {
            cluster.replica.start().await?;
            let follow = format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', \
                 MASTER_PASSWORD = '{}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1; START SLAVE",
                password()
            );
            cluster.replica()?.execute(&follow).await?;
        }
        cluster.synchronize().await?;
        Ok(cluster)
    }

    /// To a database of the primary, as superuser.
    pub fn primary_url(&self, database: &str) -> String {
        self.primary.url(database)
    }

    /// To a database of the replica, as superuser.
    pub fn replica_url(&self, database: &str) -> String {
        self.replica.url(database)
    }

    /// The primary as a superuser sees it, in the database that every server has.
    pub fn primary(&self) -> Result<Client> {
        self.primary.client(self.engine.system_database())
    }

    /// The replica as a superuser sees it, in the database that every server has.
    pub fn replica(&self) -> Result<Client> {
        self.replica.client(self.engine.system_database())
    }

    /// Makes an empty database with a name of its own, and waits until the replica has it.
    pub async fn database(&self) -> Result<TestDatabase<'_>> {
        let name = self.create_database().await?;
        self.synchronize().await?;
        Ok(TestDatabase { cluster: self, name })
    }

    /// Makes an empty database with a name of its own on the primary, and tells the name.
    pub async fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.primary()?.execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    /// Waits until the replica shows everything that was committed on the primary before this call.
    pub async fn synchronize(&self) -> Result {
        let first = |texts: Vec<String>| texts.into_iter().next().unwrap_or_default();
        let (reached, wanted) = match self.engine {
            Engine::Postgres => {
                let wanted = first(self.primary()?.texts("SELECT pg_current_wal_flush_lsn()").await?);
                (format!("SELECT pg_last_wal_replay_lsn() >= '{wanted}'"), wanted)
            }
            _ => {
                let wanted = first(self.primary()?.texts("SELECT @@gtid_binlog_pos").await?);
                (format!("SELECT MASTER_GTID_WAIT('{wanted}', 0) = 0"), wanted)
            }
        };
        let patient_until = Instant::now() + PATIENCE;
        let mut replica = self.replica()?.connect().await?;
        while replica.number(&reached).await? != 1 {
            if Instant::now() > patient_until {
                return Err(format!("{}: the replica did not get to {wanted}", self.engine).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Initialized once in a test process and copied for each server, since it takes longer than all the rest.
async fn origin(engine: Engine, installation: &Installation) -> Result<&'static Server> {
    static POSTGRES: OnceCell<Server> = OnceCell::const_new();
    static MARIADB: OnceCell<Server> = OnceCell::const_new();
    let once = if engine == Engine::Postgres { &POSTGRES } else { &MARIADB };
    once.get_or_try_init(|| Server::origin(engine, installation)).await
}

/// An empty database of one's own, on the primary and its replica.
pub struct TestDatabase<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

impl TestDatabase<'_> {
    /// To it on the primary, as superuser.
    pub fn primary_url(&self) -> String {
        self.cluster.primary_url(&self.name)
    }

    /// To it on the replica, as superuser.
    pub fn replica_url(&self) -> String {
        self.cluster.replica_url(&self.name)
    }

    /// It on the primary as a superuser sees it.
    pub fn primary(&self) -> Result<Client> {
        self.cluster.primary.client(&self.name)
    }

    /// It on the replica as a superuser sees it.
    pub fn replica(&self) -> Result<Client> {
        self.cluster.replica.client(&self.name)
    }

    /// Makes a login which may do nothing but come in, on the primary and the replica. Its name begins with this
    /// database's, because logins are the whole server's.
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

/// A login without rights. MariaDB lets it into its database once it has been granted something there.
#[derive(Debug)]
pub struct Login {
    /// As `GRANT` wants it, on MariaDB followed by `@'127.0.0.1'`.
    pub name: String,
    pub primary_url: String,
    pub replica_url: String,
}
