//! A cluster of a test's own, which it may stop, kill and hold back.

use std::ops::Deref;

use super::{super::Result, Cluster, Engine, installed::Installation};

/// A primary and a replica that nobody else uses. Dropping it ends both.
pub struct Pair(Cluster);

impl Deref for Pair {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl Pair {
    /// `None` where the engine is not installed, and for SQLite.
    pub async fn start(engine: Engine) -> Result<Option<Self>> {
        let Some(installation) = Installation::of(engine) else { return Ok(None) };
        Ok(Some(Self(Cluster::start(engine, installation).await?)))
    }

    /// Kills the primary on the spot, with all of its processes. What it has committed stays.
    pub async fn kill_primary(&self) -> Result {
        self.primary.kill().await
    }

    /// Starts the primary again after it was stopped or killed: the same port, the same data.
    pub async fn start_primary(&self) -> Result {
        self.primary.start().await
    }

    /// Asks the primary to end, and waits until it has. It cuts off its clients.
    pub async fn stop_primary(&self) -> Result {
        self.primary.stop().await
    }

    /// Stops the primary if it is running and starts it.
    pub async fn restart_primary(&self) -> Result {
        self.stop_primary().await?;
        self.start_primary().await
    }

    /// Kills the replica on the spot, with all of its processes.
    pub async fn kill_replica(&self) -> Result {
        self.replica.kill().await
    }

    /// Asks the replica to end, and waits until it has.
    pub async fn stop_replica(&self) -> Result {
        self.replica.stop().await
    }

    /// Starts the replica again after it was stopped or killed. It follows the primary from where it was.
    pub async fn start_replica(&self) -> Result {
        self.replica.start().await
    }

    /// Lets the replica answer, but show nothing new.
    pub async fn pause_replica(&self) -> Result {
        match self.engine {
            Engine::Postgres => {
                let replica = self.replica()?;
                replica.execute("SELECT pg_wal_replay_pause()").await?;
                // Asked for is not done: replay goes on to the end of its record.
                while replica.texts("SELECT pg_get_wal_replay_pause_state()").await? != ["paused"] {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Ok(())
            }
            _ => self.replica()?.execute("STOP SLAVE SQL_THREAD").await,
        }
    }

    /// Lets a paused replica go on.
    pub async fn resume_replica(&self) -> Result {
        match self.engine {
            Engine::Postgres => self.replica()?.execute("SELECT pg_wal_replay_resume()").await,
            _ => self.replica()?.execute("START SLAVE SQL_THREAD").await,
        }
    }
}
