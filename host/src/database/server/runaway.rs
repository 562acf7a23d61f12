//! Sessions that the host has abandoned because their statement timed out or its client disconnected. The host watches
//! each abandoned session until the server has ended it.
//!
//! A server ends a statement at the points where its code checks for interrupts. Some functions run for minutes without
//! such a check (PostgreSQL: `translate`, `strpos`, `LIKE` on long texts; MariaDB: `LOCATE`, `REGEXP_REPLACE`), and
//! neither a timeout nor `KILL` stops them. To bound the number of server processes, an abandoned session keeps its
//! place in the pool: it continues to count towards `max_connections`. The states of an abandoned session are:
//!
//! ```text
//! abandoned --- the server no longer lists the session ---> place free
//!     | 5 s
//! runs away: logged, counted in `carya_runaway_statements`
//!     | 60 s after it was abandoned, or at once if the sessions of one component hold more than half of the places
//! place free, if fewer than `max_connections` abandoned sessions are without a place;
//! counted until the server has ended the session
//! ```
//!
//! A pool therefore has at most twice `max_connections` server processes. If as many sessions of one component run away
//! as half of `max_connections`, the host rejects statements of this component until one of the sessions ends.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::sql::error::{DbError, Kind};

/// The current or last statement of a connection.
#[derive(Debug, Default)]
pub(in crate::database) struct Sent {
    /// Component that sent the statement. `None` for statements of the host.
    pub(in crate::database) component: Option<Arc<str>>,
    /// Id of the request. `None` for statements of the host.
    pub(in crate::database) request: Option<Arc<str>>,
    pub(in crate::database) sql: String,
}

/// The abandoned sessions of one pool.
#[derive(Debug)]
pub(super) struct Runaways {
    max_connections: usize,
    sessions: Mutex<Vec<Abandoned>>,
    next_id: AtomicU64,
    /// Number of sessions that run away.
    count: AtomicUsize,
    /// Whether the host has logged that the login lacks the right to query the state of sessions.
    is_blind: AtomicBool,
}

#[derive(Debug)]
struct Abandoned {
    id: u64,
    component: Option<Arc<str>>,
    runs_away: bool,
    has_place: bool,
}

/// Entry of an abandoned session in [`Runaways`], removed on drop.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    runaways: Arc<Runaways>,
}

impl Runaways {
    pub(super) fn new(max_connections: usize) -> Arc<Self> {
        Arc::new(Self {
            max_connections,
            sessions: Mutex::default(),
            next_id: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            is_blind: AtomicBool::new(false),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions().is_empty()
    }

    /// Returns the number of sessions that run away.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Returns an error if as many sessions of this component run away as its share of the pool permits.
    pub(super) fn check(&self, component: &str) -> Result<(), DbError> {
        if self.count() == 0 {
            return Ok(());
        }
        let sessions = self.sessions();
        let running = sessions.iter().filter(|session| session.runs_away && session.is_of(component)).count();
        if running < self.share() {
            return Ok(());
        }
        let message = format!(
            "the host rejects statements of component `{component}` to this database for now: {running} of its \
             statements timed out and the database server has not ended them yet; the maximum is half of \
             max_connections = {} sessions; the log contains the statements",
            self.max_connections
        );
        Err(DbError::new(Kind::Limit, message))
    }

    /// Returns the number of places that sessions of one component may hold while they run away.
    fn share(&self) -> usize {
        (self.max_connections / 2).max(1)
    }

    /// Returns true at the first call only, so that the host logs once that the login lacks the right to query the
    /// state of sessions.
    pub(super) fn is_newly_blind(&self) -> bool {
        !self.is_blind.swap(true, Relaxed)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Abandoned>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, component: Option<Arc<str>>) -> Entry {
        let id = self.next_id.fetch_add(1, Relaxed);
        self.sessions().push(Abandoned { id, component, runs_away: false, has_place: true });
        Entry { id, runaways: self.clone() }
    }
}

impl Abandoned {
    fn is_of(&self, component: &str) -> bool {
        self.component.as_deref() == Some(component)
    }
}

impl Entry {
    /// Counts the session as running away. Returns whether its component holds more places than its share.
    pub(super) fn runs_away(&self) -> bool {
        let mut sessions = self.runaways.sessions();
        let Some(this) = sessions.iter_mut().find(|session| session.id == self.id) else { return false };
        if !std::mem::replace(&mut this.runs_away, true) {
            self.runaways.count.fetch_add(1, Relaxed);
        }
        let Some(component) = this.component.clone() else { return false };
        let held = |session: &&Abandoned| session.runs_away && session.has_place && session.is_of(&component);
        sessions.iter().filter(held).count() > self.runaways.share()
    }

    /// Takes the place away from the session. Returns false if `max_connections` sessions are already without a place.
    pub(super) fn release(&self) -> bool {
        let mut sessions = self.runaways.sessions();
        let beyond = sessions.iter().filter(|session| !session.has_place).count();
        let this = sessions.iter_mut().find(|session| session.id == self.id);
        match this.filter(|_| beyond < self.runaways.max_connections) {
            Some(this) => {
                this.has_place = false;
                true
            }
            None => false,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut sessions = self.runaways.sessions();
        if let Some(place) = sessions.iter().position(|session| session.id == self.id)
            && sessions.swap_remove(place).runs_away
        {
            self.runaways.count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runaway(runaways: &Arc<Runaways>, component: &str) -> (Entry, bool) {
        let entry = runaways.enter(Some(component.into()));
        let has_too_many = entry.runs_away();
        (entry, has_too_many)
    }

    #[test]
    fn a_component_is_refused_while_its_sessions_hold_half_of_the_places() {
        for (max_connections, share) in [(1, 1), (2, 1), (3, 1), (4, 2), (10, 5)] {
            let runaways = Runaways::new(max_connections);
            let mut entries = Vec::new();
            for index in 0..share {
                assert!(runaways.check("a").is_ok(), "{index} of {max_connections}");
                let (entry, has_too_many) = runaway(&runaways, "a");
                assert!(!has_too_many);
                entries.push(entry);
            }
            let error = runaways.check("a").expect_err("as many as its share run away");
            assert_eq!(error.kind, Kind::Limit);
            assert!(error.message.contains(&format!("max_connections = {max_connections} ")), "{error}");
            assert!(runaways.check("b").is_ok());
            // This statement was already running when the host began to reject statements of the component.
            let (surplus, has_too_many) = runaway(&runaways, "a");
            assert!(has_too_many && surplus.release());
            assert_eq!(runaways.count(), share + 1);
            drop((surplus, entries));
            assert_eq!((runaways.check("a").is_ok(), runaways.count()), (true, 0));
        }
    }

    #[test]
    fn at_most_max_connections_sessions_are_without_a_place() {
        let runaways = Runaways::new(2);
        let entries: Vec<Entry> = ["a", "b", "c", "d"].map(|name| runaway(&runaways, name).0).into();
        let released: Vec<bool> = entries.iter().map(Entry::release).collect();
        assert_eq!(released, [true, true, false, false]);
        drop(entries);
        let (again, _) = runaway(&runaways, "a");
        assert!(again.release());
    }

    #[test]
    fn a_session_that_is_being_ended_is_not_counted() {
        let runaways = Runaways::new(2);
        let ending = [runaways.enter(Some("a".into())), runaways.enter(Some("a".into()))];
        assert_eq!((runaways.count(), runaways.check("a").is_ok()), (0, true));
        drop(ending);
    }
}
