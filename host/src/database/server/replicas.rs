//! The replicas of a primary: which of them is well, how far it has come, and which one a read goes to.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use deadpool::managed::Pool;

use super::{Server, connection::Connection, link::Opener};
use crate::{
    config,
    database::{
        Position, Terms,
        error::{DbError, Kind},
    },
};

/// Positions of the primary that are remembered, to tell how long a replica is behind.
const MEMORY: usize = 120;
/// How often a replica is asked again while a read waits for it.
const POLL: Duration = Duration::from_millis(5);

/// All replicas of one primary.
#[derive(Debug)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    /// How long a read waits for a position before it goes to the primary.
    wait: Duration,
    max_lag: Duration,
}

#[derive(Debug)]
struct Replica {
    pool: Pool<Opener>,
    is_well: AtomicBool,
    /// How far it had come when it was last asked.
    position: Mutex<Option<Position>>,
    in_flight: Arc<AtomicUsize>,
}

/// One of the transactions that a replica is busy with.
#[derive(Debug)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Replicas {
    pub(super) fn new(config: &config::Database) -> Result<Self, DbError> {
        let replica = |url: &String| {
            Ok(Replica {
                pool: super::pool(url, config)?,
                // Until the first check has said otherwise.
                is_well: AtomicBool::new(true),
                position: Mutex::default(),
                in_flight: Arc::default(),
            })
        };
        let all = config.replicas.iter().map(replica).collect::<Result<_, DbError>>()?;
        Ok(Self { all, wait: config.replica_wait, max_lag: config.replica_max_lag })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Their pools, in the order of the configuration.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool<Opener>> {
        self.all.iter().map(|replica| &replica.pool)
    }

    /// Begins on the replica that has least to do and has come as far as the terms ask; none if there is none.
    pub(super) async fn begin(&self, server: &Arc<Server>, terms: &Terms) -> Option<Connection> {
        let deadline = Instant::now() + self.wait;
        loop {
            for replica in self.by_load() {
                if !replica.covers(server, terms.after.as_ref()).await {
                    continue;
                }
                let in_flight = replica.count();
                match server.begin_on(&replica.pool, terms).await {
                    Ok(mut connection) => {
                        connection.count(in_flight);
                        return Some(connection);
                    }
                    Err(error) => replica.failed(&error),
                }
            }
            if terms.after.is_none() || Instant::now() >= deadline || self.by_load().is_empty() {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn by_load(&self) -> Vec<&Replica> {
        let mut well: Vec<&Replica> = self.all.iter().filter(|replica| replica.is_well.load(Relaxed)).collect();
        well.sort_by_key(|replica| replica.in_flight.load(Relaxed));
        well
    }

    /// Looks at the replicas in the background, for as long as the server is there.
    pub(super) fn watch(&self, server: &Arc<Server>, interval: Duration) {
        if !self.is_empty() {
            tokio::spawn(watch(Arc::downgrade(server), interval));
        }
    }

    pub(super) fn close(&self) {
        for replica in &self.all {
            replica.pool.close();
        }
    }
}

impl Replica {
    fn count(&self) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.in_flight.clone())
    }

    /// Whether it has come as far as this, by what is known or by asking it.
    async fn covers(&self, server: &Arc<Server>, wanted: Option<&Position>) -> bool {
        let Some(wanted) = wanted else { return true };
        let covers = |known: &Option<Position>| known.as_ref().is_some_and(|known| known.covers(wanted));
        if covers(&self.position.lock().unwrap_or_else(PoisonError::into_inner)) {
            return true;
        }
        match self.ask(server).await {
            Ok(position) => covers(&Some(position)),
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    async fn ask(&self, server: &Arc<Server>) -> Result<Position, DbError> {
        let position = server.position(&self.pool, true).await?;
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = Some(position.clone());
        Ok(position)
    }

    fn failed(&self, error: &DbError) {
        if self.is_well.swap(false, Relaxed) {
            let server = self.pool.manager().host();
            tracing::warn!(server, %error, "a replica cannot be used; reads go elsewhere until it can");
        }
    }

    fn is_well_again(&self) {
        if !self.is_well.swap(true, Relaxed) {
            tracing::info!(server = self.pool.manager().host(), "a replica is used again");
        }
    }
}

async fn watch(server: Weak<Server>, interval: Duration) {
    // Where the primary was, and when.
    let mut history: VecDeque<(Instant, Position)> = VecDeque::with_capacity(MEMORY);
    while let Some(server) = server.upgrade() {
        if let Ok(Ok(position)) = tokio::time::timeout(interval, server.position(&server.writers, false)).await {
            if history.len() == MEMORY {
                history.pop_front();
            }
            history.push_back((Instant::now(), position));
        }
        for replica in &server.replicas.all {
            match tokio::time::timeout(interval, replica.ask(&server)).await {
                Ok(Ok(position)) => {
                    let behind = history.iter().find(|(_, was)| !position.covers(was)).map(|(when, _)| when.elapsed());
                    match behind {
                        Some(lag) if lag > server.replicas.max_lag => {
                            replica.failed(&DbError::new(Kind::Lost, format!("it is {lag:.1?} behind")));
                        }
                        _ => replica.is_well_again(),
                    }
                }
                Ok(Err(error)) => replica.failed(&error),
                Err(_) => replica.failed(&DbError::new(Kind::Lost, "it does not answer")),
            }
        }
        drop(server);
        tokio::time::sleep(interval).await;
    }
}
