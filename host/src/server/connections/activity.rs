//! The state of one connection: its current activity, the beginning of this activity, and its next time limit.
//!
//! The connection's task and the tasks of its HTTP/2 streams change the state concurrently, so all fields are atomic.
//! Only an [`Order`] wakes the connection's task. Other changes need no wake-up: if such a change starts a limit, the
//! limit does not end before the task's timer fires.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::Instant};

/// How long a client may take to send its first byte.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(10);
/// Maximum time for a client to close a connection that the host finishes and on which all responses are sent. Also
/// limits how long the host waits for the rest of a request that already has its response.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// Bytes of unsent responses at which a connection starts no further request.
const MAX_UNSENT: usize = 32 << 20;
/// Expected size of a response, in bytes, before the connection has produced any.
const FIRST_GUESS: usize = 4 << 20;

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From the first byte of a request's head to the last.
    pub(super) header: Duration,
    /// Time without a request.
    pub(super) idle: Duration,
    /// For each 16 KiB of a response.
    pub(super) send: Duration,
}

/// Order of the host to the task of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Order {
    /// Start no further request, and close once all started requests are answered.
    Finish = 1,
    /// Close at once.
    Abort = 2,
}

/// Reason why the host closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("the client sent nothing within 10 s")]
    Silent,
    #[error("the head of a request did not arrive within server.header_timeout")]
    Head,
    #[error("the client did not take 16 KiB of a response within server.send_timeout")]
    Stalled,
    #[error("the client did not close an idle connection after the host had finished it")]
    Lingered,
    #[error("unsent responses held more than server.max_unsent, and this connection was the slowest")]
    Slowest,
}

/// Action to take when the timer of a connection fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A time limit has passed: close at once.
    Close(Closed),
    /// The connection has been idle for `Timeouts::idle`: see [`Order::Finish`].
    Finish,
    /// No limit applies now: set the timer again.
    Rearm,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// Started requests, until their response is passed to hyper in full.
    requests: AtomicUsize,
    /// When the first byte of an incomplete head arrived.
    head_since: Moment,
    /// Whether a handler has dropped the body of the last request before its end.
    has_unread: AtomicBool,
    /// When the last request ended, or when the preface of HTTP/2 was complete.
    idle_since: Moment,
    /// When the socket stopped accepting bytes. Cleared after 16 KiB, or once everything is written.
    blocked_since: Moment,
    /// When the connection began to finish.
    finishing_since: Moment,
    /// Memory of responses that are not written in full, in bytes.
    unsent: AtomicUsize,
    /// When a part of a response was last passed to hyper, or when `unsent` last rose from zero.
    progress: Moment,
    /// Admitted requests that have no response yet.
    running: AtomicUsize,
    /// Expected size of a response in bytes, derived from the previous ones.
    usual: AtomicUsize,
    /// Wakes requests that wait to be admitted.
    room: Notify,
    order: AtomicU8,
    task: AtomicWaker,
}

impl Activity {
    /// Returns the state of a connection that was accepted now.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            head_since: Moment::default(),
            has_unread: AtomicBool::new(false),
            idle_since: Moment::default(),
            blocked_since: Moment::default(),
            finishing_since: Moment::default(),
            unsent: AtomicUsize::new(0),
            progress: Moment::default(),
            running: AtomicUsize::new(0),
            usual: AtomicUsize::new(FIRST_GUESS),
            room: Notify::new(),
            order: AtomicU8::new(0),
            task: AtomicWaker::new(),
        }
    }

    /// Records that bytes arrived that may belong to the head of a request. Returns whether they begin a head.
    pub(super) fn received(&self) -> bool {
        self.requests.load(Relaxed) == 0 && self.head_since.set_if_unset(self.opened)
    }

    /// Records that a handler has dropped the body of an HTTP/1 request before its end.
    pub(super) fn left_unread(&self) {
        self.has_unread.store(true, Relaxed);
    }

    /// Returns whether a handler has dropped the body of an HTTP/1 request before its end.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread.load(Relaxed)
    }

    /// Records that HTTP has ended: the connection waits only for the client to close it. It counts as idle.
    pub(super) fn end_http(&self) {
        self.head_since.clear();
        self.idle_since.set(self.opened);
    }

    /// Records that the preface of HTTP/2 is complete. From now on bytes are frames, and only requests count as
    /// activity.
    pub(super) fn agreed_on_http2(&self) {
        self.head_since.clear();
        self.idle_since.set(self.opened);
    }

    /// Records that the head of a request has arrived.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.head_since.clear();
    }

    /// Records that a response was passed to hyper in full, or that its request was dropped.
    pub(super) fn end_request(&self) {
        // Set the time before decrementing the count, which uses `Release`: a task that loads a count of 0 must not
        // load an older idle time.
        self.idle_since.set(self.opened);
        self.requests.fetch_sub(1, Release);
    }

    /// Records that the socket accepted no bytes.
    pub(super) fn blocked(&self) {
        self.blocked_since.set_if_unset(self.opened);
    }

    /// Records that the socket accepted everything, or 16 KiB since it was blocked.
    pub(super) fn unblocked(&self) {
        self.blocked_since.clear();
    }

    /// Adds the memory of a response. Each call is paired with a call of [`released`](Self::released).
    pub(super) fn held(&self, bytes: usize) {
        if self.unsent.fetch_add(bytes, Relaxed) == 0 {
            self.progressed();
        }
    }

    /// Subtracts the memory of a response that was written or dropped.
    pub(super) fn released(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Relaxed);
        self.room.notify_waiters();
    }

    /// Records that a part of a response was passed to hyper.
    pub(super) fn progressed(&self) {
        self.progress.set(self.opened);
    }

    /// Waits until the connection may run one more request: until its unsent responses, plus the responses expected
    /// from running requests, hold less than [`MAX_UNSENT`]. An HTTP/2 client can start hundreds of requests at once,
    /// and the host cannot withdraw a response after the commit.
    pub(super) async fn admit(&self) {
        let admit = |running: usize| {
            let expected = running.saturating_mul(self.usual.load(Relaxed));
            (self.unsent().saturating_add(expected) < MAX_UNSENT).then_some(running + 1)
        };
        while self.running.fetch_update(Relaxed, Relaxed, admit).is_err() {
            let room = self.room.notified();
            // Room may have appeared before `notified` was called, and its future misses earlier notifications.
            if admit(self.running.load(Relaxed)).is_none() {
                room.await;
            }
        }
    }

    /// Records the response of an admitted request. `size` is the length of the first frame; [`held`](Self::held) has
    /// added its memory.
    pub(super) fn answered(&self, size: usize) {
        let usual = self.usual.load(Relaxed);
        self.usual.store(size.max(usual / 2 + size / 2), Relaxed);
        self.given_up();
    }

    /// Ends the admission of a request that has its response or was dropped.
    pub(super) fn given_up(&self) {
        self.running.fetch_sub(1, Relaxed);
        self.room.notify_waiters();
    }

    /// Returns the memory of responses that are not written in full, in bytes.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Returns the memory of unsent responses, multiplied by the number of milliseconds since one of these responses
    /// last made progress.
    pub(super) fn slowness(&self, now: Instant) -> u128 {
        let since = self.progress.get(self.opened).unwrap_or(now);
        (now.saturating_duration_since(since).as_millis() + 1) * self.unsent() as u128
    }

    /// Returns since when the connection is idle, or `None` while a request runs or its head arrives.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.requests.load(Acquire) == 0 && self.head_since.get(self.opened).is_none();
        is_idle.then(|| self.idle_since.get(self.opened).unwrap_or(self.opened))
    }

    /// Sends an order to the connection's task. An order that is weaker than an earlier one has no effect.
    pub(super) fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Release) < order as u8 {
            self.task.wake();
        }
    }

    /// Returns the strongest order so far.
    pub(super) fn ordered(&self) -> Option<Order> {
        match self.order.load(Acquire) {
            0 => None,
            1 => Some(Order::Finish),
            _ => Some(Order::Abort),
        }
    }

    /// Sets the task that [`order`](Self::order) wakes.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Starts the time limit for finishing the connection. Returns `false` if the limit was started before.
    pub(super) fn begin_to_finish(&self) -> bool {
        self.finishing_since.set_if_unset(self.opened)
    }

    /// Returns when the next limit ends, and the action to take then.
    pub(super) fn due(&self, timeouts: &Timeouts) -> (Instant, Due) {
        let since = |moment: &Moment, limit| moment.get(self.opened).map(|since| since + limit);
        let blocked = since(&self.blocked_since, timeouts.send).map(|at| (at, Due::Close(Closed::Stalled)));
        let rest = if self.requests.load(Acquire) > 0 {
            // If the last request ends before this time, the idle limit that it starts ends after this time.
            (Instant::now() + timeouts.idle, Due::Rearm)
        } else if let Some(at) = since(&self.head_since, timeouts.header) {
            (at, Due::Close(Closed::Head))
        } else if let Some(at) = since(&self.finishing_since, if self.unsent() == 0 { LINGER } else { timeouts.send }) {
            (at, Due::Close(Closed::Lingered))
        } else if let Some(at) = since(&self.idle_since, timeouts.idle) {
            (at, Due::Finish)
        } else {
            (self.opened + FIRST_BYTE, Due::Close(Closed::Silent))
        };
        match blocked {
            Some(blocked) if blocked.0 <= rest.0 => blocked,
            _ => rest,
        }
    }
}

/// A moment that can be unset, stored as microseconds since the connection was opened.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn now(opened: Instant) -> u64 {
        // 0 stands for unset.
        u64::try_from(opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    fn set(&self, opened: Instant) {
        self.0.store(Self::now(opened), Relaxed);
    }

    /// Sets the moment to now if it is unset. Returns whether it was unset.
    fn set_if_unset(&self, opened: Instant) -> bool {
        self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, Self::now(opened), Relaxed, Relaxed).is_ok()
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn get(&self, opened: Instant) -> Option<Instant> {
        match self.0.load(Relaxed) {
            0 => None,
            micros => Some(opened + Duration::from_micros(micros)),
        }
    }
}
