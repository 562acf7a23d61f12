//! A replica that `carya test` simulates on the server of the primary. It reads the database of the primary, and so has
//! all commits, until a test makes it lag or vanish. The code that chooses a server for a read cannot distinguish it from
//! a real replica.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use serde::Deserialize;

use super::session::{ServerSession, SessionId};
use crate::sql::{
    Position,
    error::{DbError, Kind},
};

/// State of the replicas of a database in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReplicaState {
    /// The replicas have all commits.
    Current,
    /// The replicas receive no further commits.
    Lagging,
    /// The connections to the replicas break, and no further ones are accepted.
    Gone,
}

/// Data that a simulated replica has.
#[derive(Debug, Clone, Default)]
pub(super) enum Data {
    /// The data of the primary.
    #[default]
    Current,
    /// The data of an earlier time.
    Past(Arc<Past>),
    /// The replica cannot be reached.
    Gone,
}

/// The data of a database at an earlier time.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) position: Position,
    /// Name for [`ServerSession::read_past`].
    pub(super) name: String,
    /// PostgreSQL: the session with the open transaction that keeps the data.
    pub(super) _keeper: ServerSession,
}

/// A simulated replica.
#[derive(Debug, Default)]
pub(super) struct SimulatedReplica(Mutex<Simulation>);

#[derive(Debug, Default)]
struct Simulation {
    data: Data,
    /// Sessions that the pool has opened since the last change of `data`.
    sessions: Vec<SessionId>,
}

impl SimulatedReplica {
    /// Replaces the data. Returns the previous data, and the sessions that may still read it.
    pub(super) fn replace(&self, data: Data) -> (Data, Vec<SessionId>) {
        let Simulation { data: previous, sessions } =
            mem::replace(&mut *self.lock(), Simulation { data, sessions: Vec::new() });
        (previous, sessions)
    }

    /// Returns the earlier data that new sessions read. `None`: the data of the primary.
    ///
    /// # Errors
    ///
    /// Returns an error if the replica is gone.
    pub(super) fn past(&self) -> Result<Option<Arc<Past>>, DbError> {
        match &self.lock().data {
            Data::Current => Ok(None),
            Data::Past(past) => Ok(Some(past.clone())),
            Data::Gone => Err(gone()),
        }
    }

    /// Returns the position of a replica that lags.
    pub(super) fn position(&self) -> Option<Position> {
        match &self.lock().data {
            Data::Past(past) => Some(past.position.clone()),
            Data::Current | Data::Gone => None,
        }
    }

    /// Records a session of the pool.
    ///
    /// # Errors
    ///
    /// Returns an error if the replica has vanished while the session was opened.
    pub(super) fn record(&self, session: SessionId) -> Result<(), DbError> {
        let mut simulation = self.lock();
        if matches!(simulation.data, Data::Gone) {
            return Err(gone());
        }
        simulation.sessions.push(session);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Simulation> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn gone() -> DbError {
    DbError::new(Kind::Lost, "the test has made the replica vanish")
}
