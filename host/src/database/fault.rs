//! Faults of commits and replicas on demand, for the tests of an application. A fault produces the state of the database
//! and the error that the real fault would produce; everything above this module cannot distinguish them.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde::Deserialize;

use super::{Connection, Database, Engine, ReplicaState};
use crate::sql::{
    Position,
    error::{DbError, Kind},
};

/// A fault of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The commit conflicts with another transaction, so nothing is committed.
    Conflict,
    /// The database refuses the commit, so nothing is committed.
    Failure,
    /// The changes are committed, and the connection is lost before the answer.
    LostAfterCommit,
    /// The connection is lost before the commit, so nothing is committed.
    LostBeforeCommit,
}

/// The faults of the next commits on a database.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Whether there is a fault, so that other commits need no lock.
    are_due: AtomicBool,
    due: Mutex<VecDeque<Fault>>,
}

impl Faults {
    /// Adds a fault for each of the next `times` commits.
    pub(crate) fn add(&self, fault: Fault, times: usize) {
        self.lock().extend(std::iter::repeat_n(fault, times));
        self.are_due.store(true, Relaxed);
    }

    /// Removes the fault of the commit that begins now.
    pub(crate) fn take(&self) -> Option<Fault> {
        if !self.are_due.load(Relaxed) {
            return None;
        }
        let mut due = self.lock();
        let fault = due.pop_front();
        self.are_due.store(!due.is_empty(), Relaxed);
        fault
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.due.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Database {
    /// Returns the faults of the next commits.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Changes the state of the replicas. `carya test` simulates them; see `DatabaseConfig::simulate_replicas`.
    pub(crate) async fn set_replicas(&self, state: ReplicaState) -> Result<(), DbError> {
        let refuse = |message| Err(DbError::new(Kind::Other, message));
        match &self.engine {
            Engine::Sqlite(_) => refuse("an SQLite file has no replicas"),
            Engine::Server(server) if !server.has_replicas() => {
                refuse("there are no replicas in the configuration; add the key `replicas`")
            }
            Engine::Server(server) => server.simulate_replicas(state).await,
        }
    }
}

impl Connection {
    /// Commits with a fault.
    pub(crate) async fn commit_with(self, fault: Fault) -> Result<Option<Position>, DbError> {
        match fault {
            Fault::LostAfterCommit => drop(self.commit().await?),
            Fault::Conflict | Fault::Failure | Fault::LostBeforeCommit => self.rollback().await?,
        }
        let (kind, message) = match fault {
            Fault::Conflict => (Kind::Conflict, "a conflict with another transaction, which the test requested"),
            Fault::Failure => (Kind::Other, "a failure of the commit, which the test requested"),
            Fault::LostAfterCommit | Fault::LostBeforeCommit => {
                (Kind::Lost, "the connection was lost during the commit, which the test requested")
            }
        };
        Err(DbError::new(kind, message))
    }
}
