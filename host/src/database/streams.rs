//! Streams of rows from one database: how many there may be at a time, and which statements the host streams.
//!
//! A streamed statement needs more round trips on a server, so a result that fits into one piece should not be streamed.
//! The host learns by the text of a statement how large its results are:
//!
//! ```text
//! unknown ----- a result of at most one piece -----> small: read in one go
//!    |                                                 |
//!    +-- a larger result --> large: streamed <---------+ a larger result, once
//! ```

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    config,
    sql::error::{DbError, Kind},
    telemetry::metrics::Tally,
};

/// Maximum number of remembered statements.
const REMEMBERED: usize = 1024;
/// Bit of an entry that is set for large results. The other bits are those of the statement's hash.
const LARGE: u64 = 1;

/// Expected size of a statement's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// The statement has not run yet.
    Unknown,
    /// At most one piece.
    Small,
    /// More than one piece, at least once.
    Large,
}

/// Hash of a statement's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatementHash(u64);

/// The streams of one database.
pub(crate) struct Streams {
    database: String,
    places: usize,
    permits: Arc<Semaphore>,
    acquire_timeout: Duration,
    /// Maximum time of a stream.
    pub(crate) timeout: Duration,
    /// Random, because guests choose the statements.
    hasher: RandomState,
    tally: Arc<Tally>,
    /// Hashes of statements, each at the index that its value determines. 0 is no entry.
    sizes: Box<[AtomicU64]>,
}

impl Streams {
    pub(super) fn new(database: &str, config: &config::DatabaseConfig, tally: Arc<Tally>) -> Self {
        let places = (config.max_connections as usize / 2).max(1);
        Self {
            database: database.to_owned(),
            places,
            permits: Arc::new(Semaphore::new(places)),
            acquire_timeout: config.acquire_timeout,
            timeout: config.stream_timeout,
            hasher: RandomState::new(),
            tally,
            sizes: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn hash(&self, sql: &str) -> StatementHash {
        StatementHash(self.hasher.hash_one(sql) & !LARGE)
    }

    /// Returns the expected size of a statement's result.
    pub(crate) fn expected(&self, statement: StatementHash) -> Size {
        match self.entry(statement).load(Relaxed) {
            entry if entry == statement.0 => Size::Small,
            entry if entry == statement.0 | LARGE => Size::Large,
            _ => Size::Unknown,
        }
    }

    /// Records whether a result had at most one piece. A statement with a large result stays large: the sizes of its
    /// results probably depend on its parameters.
    pub(crate) fn learn(&self, statement: StatementHash, is_large: bool) {
        if is_large {
            self.entry(statement).store(statement.0 | LARGE, Relaxed);
        } else if self.expected(statement) == Size::Unknown {
            self.entry(statement).store(statement.0, Relaxed);
        }
    }

    /// Takes a permit for one more stream. If there is none and `may_wait` is set, waits for at most `acquire_timeout`.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Busy`] if there is no permit.
    pub(crate) async fn admit(&self, may_wait: bool) -> Result<OwnedSemaphorePermit, DbError> {
        let waiting = if may_wait { self.acquire_timeout } else { Duration::ZERO };
        // `timeout` polls the permit before the timer, so a free permit is taken without waiting.
        match tokio::time::timeout(waiting, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                let (database, places) = (&self.database, self.places);
                let message = format!(
                    "database \"{database}\" is busy: it streams {places} responses already, as many as half of \
                     max_connections; raise max_connections"
                );
                Err(DbError::new(Kind::Busy, message).retryable())
            }
        }
    }

    /// Opens a stream, which has the permit until it is dropped.
    pub(crate) fn open(&self, permit: OwnedSemaphorePermit) -> OpenStream {
        self.tally.streams.opened();
        OpenStream { tally: self.tally.clone(), is_complete: false, _permit: permit }
    }

    fn entry(&self, statement: StatementHash) -> &AtomicU64 {
        let index = usize::try_from(statement.0 >> 32).unwrap_or_default() % REMEMBERED;
        &self.sizes[index]
    }
}

/// A stream that has not ended. Counts the stream in the metrics.
pub(crate) struct OpenStream {
    tally: Arc<Tally>,
    is_complete: bool,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    /// Counts bytes that were passed on.
    pub(crate) fn sent(&self, bytes: usize) {
        self.tally.streams.sent(bytes);
    }

    /// Ends the stream after its last row.
    pub(crate) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.tally.streams.ended(self.is_complete);
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("permits", &self.permits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(max_connections: u32) -> Streams {
        let places = (max_connections as usize / 2).max(1);
        Streams {
            database: "default".to_owned(),
            places,
            permits: Arc::new(Semaphore::new(places)),
            acquire_timeout: Duration::from_millis(20),
            timeout: Duration::from_secs(1),
            hasher: RandomState::new(),
            tally: Tally::new("default"),
            sizes: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    #[test]
    fn a_statement_with_a_large_result_stays_large() {
        let streams = streams(1);
        let statement = streams.hash("SELECT 1");
        assert_eq!(streams.expected(statement), Size::Unknown);
        streams.learn(statement, false);
        assert_eq!(streams.expected(statement), Size::Small);
        streams.learn(statement, true);
        streams.learn(statement, false);
        assert_eq!(streams.expected(statement), Size::Large);
    }

    #[tokio::test]
    async fn half_of_the_connections_stream_at_a_time() -> Result<(), DbError> {
        for (max_connections, places) in [(1, 1), (2, 1), (5, 2)] {
            let streams = streams(max_connections);
            let mut permits = Vec::new();
            for _ in 0..places {
                permits.push(streams.admit(false).await?);
            }
            for may_wait in [false, true] {
                assert_eq!(streams.admit(may_wait).await.map_err(|error| error.kind).err(), Some(Kind::Busy));
            }
            drop(permits);
            drop(streams.admit(false).await?);
        }
        Ok(())
    }
}
