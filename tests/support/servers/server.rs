//! A single database server: starts, stops and kills it, and returns its URLs. This module does not distinguish primary
//! and replica.

use std::{sync::OnceLock, time::Instant};

use super::{
    super::{PATIENCE, Result, client::Client},
    Engine,
    installed::{Installation, mysql},
    supervisor::Supervisor,
};

/// A server of either engine, running or not. Dropping the value ends the server.
pub struct Server {
    pub engine: Engine,
    pub supervisor: Supervisor,
}

impl Server {
    /// Creates a server with a copy of the data of `origin`. The server is not started yet.
    pub async fn new(engine: Engine, installation: &Installation, origin: &Self) -> Result<Self> {
        let server = Self { engine, supervisor: Supervisor::new(engine, installation, password())? };
        server.supervisor.order(format!("adopt {}", origin.supervisor.folder.display())).await?;
        Ok(server)
    }

    /// Initializes the data that other servers copy. This server itself is never started.
    pub async fn origin(engine: Engine, installation: &Installation) -> Result<Self> {
        let server = Self { engine, supervisor: Supervisor::new(engine, installation, password())? };
        server.supervisor.order("initialize").await?;
        Ok(server)
    }

    /// Starts the server and waits until it accepts connections.
    pub async fn start(&self) -> Result {
        self.supervisor.order("start").await?;
        let patient_until = Instant::now() + PATIENCE;
        let client = self.client(self.engine.system_database())?;
        while let Err(error) = client.connect().await {
            // `alive` waits 30 ms, and fails with the server's log if the server has ended.
            self.supervisor.order("alive").await?;
            if Instant::now() > patient_until {
                return Err(format!("{} does not let us in: {error}", self.engine).into());
            }
        }
        Ok(())
    }

    /// Shuts down the server and waits until it has ended.
    pub async fn stop(&self) -> Result {
        self.supervisor.order("stop").await
    }

    /// Kills all processes of the server with SIGKILL.
    pub async fn kill(&self) -> Result {
        self.supervisor.order("crash").await
    }

    /// Returns the URL of a database, with a superuser's login.
    pub fn url(&self, database: &str) -> String {
        self.url_as(if self.engine == Engine::Postgres { "postgres" } else { "root" }, database)
    }

    /// Returns the URL of a database with another login. All logins have the same password.
    pub fn url_as(&self, login: &str, database: &str) -> String {
        let (scheme, plain) = match self.engine {
            Engine::Postgres => ("postgres", "sslmode=disable"),
            // Logins of MySQL need TLS for their password.
            _ if mysql().is_some() => ("mysql", "ssl-mode=required"),
            _ => ("mysql", "ssl-mode=disabled"),
        };
        let (password, port) = (password(), self.supervisor.port);
        format!("{scheme}://{login}:{password}@127.0.0.1:{port}/{database}?{plain}")
    }

    /// Returns a superuser's client of a database.
    pub fn client(&self, database: &str) -> Result<Client> {
        Client::new(&self.url(database))
    }
}

impl Engine {
    /// Returns the name of the database that every server has.
    pub(super) fn system_database(self) -> &'static str {
        if self == Self::Postgres { "postgres" } else { "mysql" }
    }
}

/// Returns the password of all logins in this test process. It is random, since every user of the machine can connect
/// to the ports.
pub fn password() -> &'static str {
    static PASSWORD: OnceLock<String> = OnceLock::new();
    PASSWORD.get_or_init(|| format!("{:016x}", rand::random::<u64>()))
}
