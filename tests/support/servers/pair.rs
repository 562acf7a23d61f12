//! A cluster for a single test, which may stop, kill and pause its servers.

use std::ops::Deref;

use super::{
    super::{Result, eventually},
    Cluster, Engine,
    installed::Installation,
};

/// A primary and a replica that no other test uses. Dropping the value ends both servers.
pub struct Pair(Cluster);

impl Deref for Pair {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl Pair {
    /// Starts a pair. Returns `None` for SQLite and for an engine that is not installed.
    pub async fn start(engine: Engine) -> Result<Option<Self>> {
        let Some(installation) = Installation::of(engine) else { return Ok(None) };
        Ok(Some(Self(Cluster::start(engine, installation).await?)))
    }

    /// Kills all processes of the primary with SIGKILL. Committed data survives.
    pub async fn kill_primary(&self) -> Result {
        self.primary.kill().await
    }

    /// Starts the primary again after it was stopped or killed, with the same port and the same data.
    pub async fn start_primary(&self) -> Result {
        self.primary.start().await
    }

    /// Shuts down the primary and waits until it has ended. The shutdown closes all client connections.
    pub async fn stop_primary(&self) -> Result {
        self.primary.stop().await
    }

    /// Shuts down the primary if it is running, and starts it.
    pub async fn restart_primary(&self) -> Result {
        self.stop_primary().await?;
        self.start_primary().await
    }

    /// Kills all processes of the replica with SIGKILL.
    pub async fn kill_replica(&self) -> Result {
        self.replica.kill().await
    }

    /// Shuts down the replica and waits until it has ended.
    pub async fn stop_replica(&self) -> Result {
        self.replica.stop().await
    }

    /// Starts the replica again after it was stopped or killed. Replication continues from its last position.
    pub async fn start_replica(&self) -> Result {
        self.replica.start().await
    }

    /// Stops the replay of changes. The replica still executes queries, but shows no new data.
    pub async fn pause_replica(&self) -> Result {
        match self.engine {
            Engine::Postgres => {
                let replica = self.replica()?;
                replica.execute("SELECT pg_wal_replay_pause()").await?;
                // The function only requests the pause: replay continues to the end of the current record.
                let state = "SELECT pg_get_wal_replay_pause_state()";
                eventually("the replay is paused", async || Ok(replica.texts(state).await? == ["paused"])).await
            }
            _ => self.replica()?.execute("STOP REPLICA SQL_THREAD").await,
        }
    }

    /// Resumes the replay of changes.
    pub async fn resume_replica(&self) -> Result {
        match self.engine {
            Engine::Postgres => self.replica()?.execute("SELECT pg_wal_replay_resume()").await,
            _ => self.replica()?.execute("START REPLICA SQL_THREAD").await,
        }
    }
}
