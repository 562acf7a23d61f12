//! One server: started, stopped and killed, and the way to it. Does not know whether it is a primary or a replica.

use std::{sync::OnceLock, time::Instant};

use super::{
    super::{PATIENCE, Result, client::Client},
    Engine,
    installed::Installation,
    supervisor::Supervisor,
};

/// A server of either engine, running or not. Dropping it ends it.
pub struct Server {
    pub engine: Engine,
    pub supervisor: Supervisor,
}

impl Server {
    /// A server that was not started yet, with a copy of what another initialized.
    pub async fn new(engine: Engine, installation: &Installation, origin: &Self) -> Result<Self> {
        let server = Self { engine, supervisor: Supervisor::new(engine, installation, password())? };
        server.supervisor.order(format!("adopt {}", origin.supervisor.folder.display())).await?;
        Ok(server)
    }

    /// The origin of others' data. It is never started itself.
    pub async fn origin(engine: Engine, installation: &Installation) -> Result<Self> {
        let server = Self { engine, supervisor: Supervisor::new(engine, installation, password())? };
        server.supervisor.order("initialize").await?;
        Ok(server)
    }

    /// Starts it and waits until it lets clients in.
    pub async fn start(&self) -> Result {
        self.supervisor.order("start").await?;
        let patient_until = Instant::now() + PATIENCE;
        let client = self.client(self.engine.system_database())?;
        while let Err(error) = client.connect().await {
            // It waits a little, and fails with the log of a server that has ended.
            self.supervisor.order("alive").await?;
            if Instant::now() > patient_until {
                return Err(format!("{} does not let us in: {error}", self.engine).into());
            }
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&self) -> Result {
        self.supervisor.order("stop").await
    }

    /// Kills it on the spot, with all of its processes.
    pub async fn kill(&self) -> Result {
        self.supervisor.order("crash").await
    }

    /// To one of its databases, as superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as(if self.engine == Engine::Postgres { "postgres" } else { "root" }, database)
    }

    /// The same as another login. All have the same password.
    pub fn url_as(&self, login: &str, database: &str) -> String {
        let (scheme, plain) = match self.engine {
            Engine::Postgres => ("postgres", "sslmode=disable"),
            _ => ("mysql", "ssl-mode=disabled"),
        };
        let (password, port) = (password(), self.supervisor.port);
        format!("{scheme}://{login}:{password}@127.0.0.1:{port}/{database}?{plain}")
    }

    /// Another client's way to one of its databases, as superuser.
    pub fn client(&self, database: &str) -> Result<Client> {
        Client::new(&self.url(database))
    }
}

impl Engine {
    /// The database that every server has.
    pub(super) fn system_database(self) -> &'static str {
        if self == Self::Postgres { "postgres" } else { "mysql" }
    }
}

/// Of all logins of this test process: the ports are open to everyone on this machine.
pub fn password() -> &'static str {
    static PASSWORD: OnceLock<String> = OnceLock::new();
    PASSWORD.get_or_init(|| format!("{:016x}", rand::random::<u64>()))
}
