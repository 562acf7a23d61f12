//! Budget of time and memory for a guest's statement on one connection. The progress handler and the allocator (see
//! [`memory`](super::memory)) check it.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// Deadline of the host's statements. Neither the time limit nor the memory limit applies to these statements: a commit
/// must not fail because the guest has used up its budget.
const NEVER: u64 = u64::MAX;

/// Deadline of a statement that waits for its client. Only the memory limit applies.
const PAUSED: u64 = u64::MAX - 1;

/// Size in bytes. If the memory of a connection shrinks from above this size to below it, the process returns memory to
/// the operating system.
const LARGE: usize = 8 << 20;

/// Maximum time for which an allocation over the limit waits for the request to receive and free rows.
const MAX_WAIT_FOR_ROWS: Duration = Duration::from_millis(250);

/// Whether a connection has freed much memory since the last [`take_freed`].
static FREED: AtomicBool = AtomicBool::new(false);

/// Returns whether a connection has freed much memory since the last call.
pub(super) fn take_freed() -> bool {
    FREED.swap(false, SeqCst)
}

/// Limit that a statement has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// `max_memory`.
    Memory,
    /// `statement_timeout`.
    Time,
}

/// Budget of one connection, and the used part of it.
#[derive(Debug)]
pub(super) struct Budget {
    epoch: Instant,
    /// Time at which the running statement must end, in nanoseconds after `epoch`.
    deadline: AtomicU64,
    max_memory: usize,
    /// Bytes that SQLite has allocated for this connection, including rows that the request has not received yet.
    used: AtomicUsize,
    /// Number of allocations, modulo 256. Every 256th allocation reads the clock.
    allocations: AtomicU8,
    /// [`Exceeded`] as a number, if an allocation has failed since the statement began; otherwise 0.
    exceeded: AtomicU8,
}

impl Budget {
    pub(super) fn new(max_memory: usize) -> Self {
        Self {
            epoch: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            max_memory,
            used: AtomicUsize::new(0),
            allocations: AtomicU8::new(0),
            exceeded: AtomicU8::new(0),
        }
    }

    /// Applies the limits to the next statements, which must end within `time`.
    pub(super) fn limit(&self, time: Duration) {
        self.exceeded.store(0, SeqCst);
        self.resume(time);
    }

    /// Stops the clock while the client has not taken the rows so far.
    pub(super) fn pause(&self) {
        self.deadline.store(PAUSED, SeqCst);
    }

    /// Gives the running statement `time` from now on.
    pub(super) fn resume(&self, time: Duration) {
        let deadline = self.epoch.elapsed().saturating_add(time).as_nanos();
        self.deadline.store(u64::try_from(deadline).unwrap_or(PAUSED - 1), SeqCst);
    }

    /// Lifts the limits for the host's own statements.
    pub(super) fn lift(&self) {
        self.deadline.store(NEVER, SeqCst);
    }

    /// Ends the running statement at the next call of the progress handler or the allocator.
    pub(super) fn stop(&self) {
        self.deadline.store(0, SeqCst);
    }

    /// Returns whether the running statement may continue.
    pub(super) fn in_time(&self) -> bool {
        let deadline = self.deadline.load(SeqCst);
        deadline >= PAUSED || self.epoch.elapsed().as_nanos() < u128::from(deadline)
    }

    /// Returns the limit that an allocation has exceeded since the call of [`Budget::limit`], if any.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        match self.exceeded.load(SeqCst) {
            0 => None,
            1 => Some(Exceeded::Memory),
            _ => Some(Exceeded::Time),
        }
    }

    /// Returns whether the connection holds more memory between requests than its caches should need, for example
    /// because of large compiled statements. The host closes such a connection instead of lending it again.
    pub(super) fn is_bloated(&self) -> bool {
        self.used.load(Relaxed) > self.max_memory / 4
    }

    /// Counts an allocation. Returns `false` if it must fail.
    ///
    /// An allocation also fails after the deadline. SQLite does not call the progress handler during long operations,
    /// such as parsing a full-text query, which takes quadratic time; but most of these operations allocate.
    #[inline]
    pub(super) fn charge(&self, bytes: usize) -> bool {
        let used = self.used.fetch_add(bytes, Relaxed) + bytes;
        // Load and store are two operations: nearly all calls come from the connection's own thread, and a lost
        // increment only delays the next reading of the clock.
        let turn = self.allocations.load(Relaxed).wrapping_add(1);
        self.allocations.store(turn, Relaxed);
        (used <= self.max_memory && turn != 0) || self.examine(bytes)
    }

    /// Counts memory that was freed.
    #[inline]
    pub(super) fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Relaxed);
        if before >= LARGE && before - bytes < LARGE {
            FREED.store(true, SeqCst);
        }
    }

    #[cold]
    fn examine(&self, bytes: usize) -> bool {
        let exceeded = if !self.in_time() {
            Exceeded::Time
        } else if self.deadline.load(SeqCst) != NEVER && self.exceeds_memory() {
            Exceeded::Memory
        } else {
            return true;
        };
        self.release(bytes);
        self.exceeded.store(if exceeded == Exceeded::Memory { 1 } else { 2 }, SeqCst);
        false
    }

    /// Returns whether the connection uses too much memory, after waiting for rows to be freed: the connection's thread
    /// is up to `row_buffer_size` rows ahead of the request. While the statement is paused, it waits for the client.
    fn exceeds_memory(&self) -> bool {
        let too_much = || self.used.load(Relaxed) > self.max_memory;
        let is_first = self.exceeded.load(SeqCst) == 0;
        let mut begun = Instant::now();
        while is_first && too_much() && begun.elapsed() < MAX_WAIT_FOR_ROWS && self.in_time() {
            thread::sleep(Duration::from_millis(1));
            if self.deadline.load(SeqCst) == PAUSED {
                begun = Instant::now();
            }
        }
        too_much()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn memory_is_limited_for_guests_only() {
        let budget = Budget::new(1000);
        assert!(budget.charge(2000), "the host's statements have no limit");
        budget.release(2000);
        budget.limit(HOUR);
        assert!(budget.charge(1000));
        assert!(!budget.charge(1));
        assert_eq!(budget.exceeded(), Some(Exceeded::Memory));
        budget.release(1);
        assert!(budget.charge(1), "a refused allocation is not counted");
        budget.lift();
        assert!(budget.charge(5000));
        budget.limit(HOUR);
        assert_eq!(budget.exceeded(), None);
    }

    #[test]
    fn allocations_fail_when_the_time_is_over() {
        let budget = Budget::new(1000);
        budget.limit(Duration::ZERO);
        let refused = (0..512).filter(|_| !budget.charge(0)).count();
        assert_eq!((refused, budget.exceeded()), (2, Some(Exceeded::Time)));
        budget.lift();
        assert!((0..512).all(|_| budget.charge(0)));
        budget.limit(HOUR);
        budget.stop();
        assert!((0..512).any(|_| !budget.charge(0)));
    }

    #[test]
    fn an_allocation_waits_for_rows_to_be_freed() {
        let budget = Budget::new(1000);
        budget.limit(HOUR);
        assert!(budget.charge(1000));
        thread::scope(|scope| {
            let allocation = scope.spawn(|| budget.charge(500));
            thread::sleep(Duration::from_millis(10));
            budget.release(500);
            assert!(allocation.join().expect("it does not panic"));
        });
    }

    #[test]
    fn a_paused_statement_has_no_deadline_and_waits_for_memory() {
        let budget = Budget::new(1000);
        budget.limit(Duration::ZERO);
        budget.pause();
        assert!(budget.in_time() && budget.charge(1000));
        thread::scope(|scope| {
            let allocation = scope.spawn(|| budget.charge(500));
            thread::sleep(MAX_WAIT_FOR_ROWS * 2);
            assert!(!allocation.is_finished(), "it waits for the client");
            budget.release(500);
            assert!(allocation.join().expect("it does not panic"));
        });
        budget.resume(Duration::ZERO);
        assert!(!budget.in_time());
    }

    #[test]
    fn a_connection_is_bloated_above_a_quarter_of_its_memory() {
        let budget = Budget::new(1000);
        assert!(budget.charge(250) && !budget.is_bloated());
        assert!(budget.charge(1) && budget.is_bloated());
    }
}
