//! The replicas of a primary: their health, their positions, and the choice of a replica for a read.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use deadpool::{Status, managed::Pool};

use super::{
    connection::Connection,
    opener::Opener,
    pool,
    session::SessionId,
    simulated::{Data, SimulatedReplica},
};
use crate::{
    config,
    database::{hand_over::CountGuard, options::TransactionOptions},
    sql::{
        Position,
        error::{DbError, Kind},
    },
    task,
};

/// Maximum time for one check of a server's position.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two checks of the replicas while a read waits for one of them.
const POLL: Duration = Duration::from_millis(5);

/// All replicas of one primary.
#[derive(Debug)]
pub(super) struct Replicas {
    primary: Pool<Opener>,
    all: Vec<Replica>,
    /// Maximum time that a read waits for a replica to reach a position. After that the read goes to the primary.
    wait: Duration,
    max_lag: Duration,
}

#[derive(Debug)]
struct Replica {
    pool: Pool<Opener>,
    is_healthy: AtomicBool,
    /// Position at the last check.
    position: Mutex<Option<Position>>,
    in_flight: Arc<AtomicUsize>,
}

impl Replicas {
    pub(super) fn new(
        name: &str,
        primary: Pool<Opener>,
        config: &config::DatabaseConfig,
    ) -> Result<Arc<Self>, DbError> {
        let replica = |url: &String| {
            let opener = Opener::new(url, config)?.of_database(name).of_replica(config.simulate_replicas);
            Ok(Replica {
                pool: pool::of_opener(opener, config)?,
                // Assume that the replica works until the first check.
                is_healthy: AtomicBool::new(true),
                position: Mutex::default(),
                in_flight: Arc::default(),
            })
        };
        let all = config.replicas.iter().map(replica).collect::<Result<_, DbError>>()?;
        Ok(Arc::new(Self { primary, all, wait: config.replica_wait, max_lag: config.replica_max_lag }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the pools of the replicas, in the order of the configuration.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool<Opener>> {
        self.all.iter().map(|replica| &replica.pool)
    }

    /// Begins a transaction on the least busy healthy replica that has reached the position in `options`. Waits for at
    /// most `replica_wait` until a replica has reached the position. Returns `None` if no replica can be used.
    pub(super) async fn begin(&self, options: &TransactionOptions) -> Option<Connection> {
        let deadline = Instant::now() + self.wait;
        loop {
            for replica in self.by_load() {
                if !replica.covers(options.after.as_ref(), deadline).await {
                    continue;
                }
                let in_flight = CountGuard::new(&replica.in_flight);
                match pool::begin(&replica.pool, options).await {
                    Ok(mut connection) => {
                        connection.count(in_flight);
                        return Some(connection);
                    }
                    Err(error) => replica.set_unhealthy(&error),
                }
            }
            if options.after.is_none() || Instant::now() >= deadline || self.by_load().is_empty() {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn by_load(&self) -> Vec<&Replica> {
        let mut healthy: Vec<&Replica> = self.all.iter().filter(|replica| replica.is_healthy.load(Relaxed)).collect();
        healthy.sort_by_key(|replica| replica.in_flight.load(Relaxed));
        healthy
    }

    /// Replaces the data of simulated replicas.
    pub(super) async fn simulate(&self, data: &Data) -> Result<(), DbError> {
        // The previous data stays readable until the pool has closed its idle connections.
        let (_previous, sessions): (Vec<_>, Vec<_>) =
            self.all.iter().filter_map(|replica| replica.simulate(data)).unzip();
        let ended = match data {
            Data::Gone => self.end(sessions.into_iter().flatten()).await,
            Data::Current | Data::Past(_) => Ok(()),
        };
        self.pools().for_each(pool::retire);
        ended
    }

    /// Ends sessions of simulated replicas, so that connections in use break. The login of the primary is the same, and
    /// so has the right to do that.
    async fn end(&self, sessions: impl Iterator<Item = SessionId>) -> Result<(), DbError> {
        let mut session = self.primary.manager().connect().await?;
        for id in sessions {
            match session.run_batch(id.kill()).await {
                // MySQL: the session has ended.
                Err(error) if error.is_one_of(&["1094"]) => {}
                ended => ended?,
            }
        }
        Ok(())
    }

    /// Starts a task that checks the replicas until they are closed or dropped.
    pub(super) fn watch(self: &Arc<Self>, interval: Duration) {
        if !self.is_empty() {
            let replicas = Arc::downgrade(self);
            tokio::spawn(task::persist("replicas", move || watch(replicas.clone(), interval)));
        }
    }

    pub(super) fn close(&self) {
        for replica in &self.all {
            replica.pool.close();
        }
    }
}

impl Replica {
    /// Returns whether the replica has reached the `wanted` position. Queries the replica if its last known position
    /// does not cover `wanted`.
    async fn covers(&self, wanted: Option<&Position>, deadline: Instant) -> bool {
        let Some(wanted) = wanted else { return true };
        let covers = |known: &Option<Position>| known.as_ref().is_some_and(|known| known.covers(wanted));
        if covers(&self.position.lock().unwrap_or_else(PoisonError::into_inner)) {
            return true;
        }
        match tokio::time::timeout_at(deadline.into(), self.query_position()).await {
            Ok(Ok(position)) => covers(&Some(position)),
            Ok(Err(error)) => {
                self.set_unhealthy(&error);
                false
            }
            Err(_) => false,
        }
    }

    async fn query_position(&self) -> Result<Position, DbError> {
        let simulated = self.pool.manager().simulated.as_ref();
        let past = || simulated.and_then(SimulatedReplica::position);
        let reported = match past() {
            Some(position) => position,
            // The server of a simulated replica is the primary.
            None => pool::position(&self.pool, simulated.is_none()).await?,
        };
        let mut known = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        // The replica may have begun to lag since the query. Under the lock, so that `simulate` forgets an earlier result.
        let position = past().unwrap_or(reported);
        *known = Some(position.clone());
        Ok(position)
    }

    /// Replaces the data of a simulated replica. Returns the previous data, and the sessions that may still read it.
    fn simulate(&self, data: &Data) -> Option<(Data, Vec<SessionId>)> {
        let replaced = self.pool.manager().simulated.as_ref()?.replace(data.clone());
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if !matches!(data, Data::Gone) {
            self.set_healthy();
        }
        Some(replaced)
    }

    fn set_unhealthy(&self, error: &DbError) {
        let Status { size, max_size, available, .. } = self.pool.status();
        // If all connections are lent, the failure may be a busy replica's timeout. On a broken replica the lent
        // connections fail too, and each of them leaves the pool.
        let is_busy = available == 0 && size >= max_size;
        if !is_busy && self.is_healthy.swap(false, Relaxed) {
            let server = self.pool.manager().host();
            tracing::warn!(server, %error, "a replica cannot be used; reads go to other servers until it recovers");
        }
    }

    fn set_healthy(&self) {
        if !self.is_healthy.swap(true, Relaxed) {
            tracing::info!(server = self.pool.manager().host(), "a replica is used again");
        }
    }
}

/// Positions of the primary, with the times at which they were read.
#[derive(Debug, Default)]
struct History(VecDeque<(Instant, Position)>);

impl History {
    /// Adds a position of the primary, and removes positions that are not needed to detect a lag of more than
    /// `max_lag`.
    fn add(&mut self, now: Instant, position: Position, max_lag: Duration) {
        self.0.push_back((now, position));
        while self.0.get(1).is_some_and(|(when, _)| now.duration_since(*when) > max_lag) {
            self.0.pop_front();
        }
    }

    /// Returns how far a replica at `position` was behind the primary when the host last read the primary's position.
    /// While the primary is unreachable, the lag does not grow.
    fn lag(&self, position: &Position) -> Duration {
        let missing = self.0.iter().find(|(_, was)| !position.covers(was));
        let latest = self.0.back();
        missing.zip(latest).map_or(Duration::ZERO, |((since, _), (latest, _))| latest.duration_since(*since))
    }
}

async fn watch(replicas: Weak<Replicas>, interval: Duration) {
    let mut history = History::default();
    while let Some(replicas) = replicas.upgrade().filter(|replicas| !replicas.primary.is_closed()) {
        let max_lag = replicas.max_lag;
        if let Ok(Ok(position)) = tokio::time::timeout(CHECK_TIMEOUT, pool::position(&replicas.primary, false)).await {
            history.add(Instant::now(), position, max_lag);
        }
        for replica in &replicas.all {
            match tokio::time::timeout(CHECK_TIMEOUT, replica.query_position()).await {
                Ok(Ok(position)) => match history.lag(&position) {
                    lag if lag > max_lag => {
                        replica.set_unhealthy(&DbError::new(
                            Kind::Lost,
                            format!("the replica is {lag:.1?} behind the primary"),
                        ));
                    }
                    _ => replica.set_healthy(),
                },
                Ok(Err(error)) => replica.set_unhealthy(&error),
                Err(_) => {
                    replica.set_unhealthy(&DbError::new(Kind::Lost, "the replica did not report its position in time"))
                }
            }
        }
        drop(replicas);
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_the_lag_at_any_rate_of_checks() {
        let (begin, max_lag) = (Instant::now(), Duration::from_secs(10));
        let mut history = History::default();
        for step in 0..5000 {
            let now = begin + Duration::from_millis(10) * step;
            history.add(now, Position::Lsn(u64::from(step)), max_lag);
        }
        assert!(history.0.len() < 1010, "{} are remembered", history.0.len());
        let table = [(4999, 0), (4998, 0), (4997, 10), (4899, 990), (4000, 9980), (3999, 9990)];
        for (reached, millis) in table {
            assert_eq!(history.lag(&Position::Lsn(reached)), Duration::from_millis(millis), "{reached}");
        }
        assert!(history.lag(&Position::Lsn(3990)) > max_lag && history.lag(&Position::Lsn(0)) > max_lag);
    }
}
