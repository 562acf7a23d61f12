//! Metrics of the outbox of each database.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{
            AtomicI64, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use super::add;

/// Counters of all open databases. Opening a database and [`super::text()`] lock them.
static TALLIES: Mutex<Vec<Weak<OutboxTally>>> = Mutex::new(Vec::new());

/// End of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The action succeeded, and its transaction is committed.
    Succeeded,
    /// The action failed.
    Failed,
}

impl Delivered {
    pub(super) const ALL: [Self; 2] = [Self::Succeeded, Self::Failed];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// Numbers of one outbox. The metrics contain them while [`OutboxTally::show`] is in effect.
#[derive(Debug, Default)]
pub(crate) struct OutboxTally {
    pub(super) database: String,
    pub(super) deliveries: [AtomicU64; Delivered::ALL.len()],
    pub(super) pending: AtomicI64,
    pub(super) dead: AtomicI64,
    /// Age of the oldest pending action, in milliseconds.
    pub(super) oldest: AtomicU64,
    shown: AtomicUsize,
}

/// Guard that adds an outbox to the metrics until it is dropped.
#[derive(Debug)]
pub(crate) struct Shown<'a>(&'a OutboxTally);

impl OutboxTally {
    /// Returns the numbers of a database that is opened.
    pub(crate) fn new(database: &str) -> Arc<Self> {
        let tally = Arc::new(Self { database: database.to_owned(), ..Self::default() });
        let mut tallies = TALLIES.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|other| other.strong_count() > 0);
        tallies.push(Arc::downgrade(&tally));
        tally
    }

    /// Adds the outbox to the metrics.
    pub(crate) fn show(&self) -> Shown<'_> {
        self.shown.fetch_add(1, SeqCst);
        Shown(self)
    }

    /// Counts a delivery.
    pub(crate) fn count(&self, end: Delivered) {
        add(&self.deliveries[end as usize]);
    }

    /// Sets the numbers of actions, and the age of the oldest pending one.
    pub(crate) fn observe(&self, pending: i64, dead: i64, oldest: Duration) {
        self.pending.store(pending, Relaxed);
        self.dead.store(dead, Relaxed);
        self.oldest.store(u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.shown.fetch_sub(1, SeqCst);
    }
}

/// Returns the outboxes that the metrics contain.
pub(super) fn shown() -> Vec<Arc<OutboxTally>> {
    let tallies = TALLIES.lock().unwrap_or_else(PoisonError::into_inner);
    tallies.iter().filter_map(Weak::upgrade).filter(|tally| tally.shown.load(SeqCst) > 0).collect()
}
