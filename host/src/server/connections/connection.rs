//! The open connections of all listeners, and the memory of their unsent responses.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper_util::{rt::TokioTimer, server::conn::auto};
use tokio::time::Instant;

use super::{
    activity::{Activity, Order, Timeouts},
    fragment::Fragments,
    streams::Streams,
};
use crate::config;

/// How long an HTTP/2 client may be silent before the server sends a ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long an HTTP/2 client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of bytes of a request that the host discards after the response. As long as the longest file that a
/// host accepts by default (`deploy.max_upload`).
pub(super) const MAX_DISCARDED: usize = 256 << 20;
/// Maximum number of idle connections that one call closes to make room.
const BATCH: usize = 32;

/// All open connections of the process.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(super) timeouts: Timeouts,
    /// Limit of `unsent`.
    max_unsent: usize,
    pub(super) http: auto::Builder<Streams>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    /// Memory of responses that are not yet written to their sockets, in bytes.
    unsent: AtomicUsize,
}

impl Connections {
    /// Returns an empty set of connections with the limits of `config`.
    pub(crate) fn new(config: &config::Server) -> Arc<Self> {
        let timeouts = Timeouts { header: config.header_timeout, idle: config.idle_timeout, send: config.send_timeout };
        let mut http = auto::Builder::new(Streams::new(timeouts.send));
        if !config.http2 {
            http = http.http1_only();
        }
        // hyper's header timeout would also close idle connections, and does not cover the preface of HTTP/2.
        // `Activity` measures the times of heads and of the preface.
        http.http1().header_read_timeout(None);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        http.http2().max_concurrent_streams(config.http2_max_streams);
        Arc::new(Self {
            timeouts,
            max_unsent: config.max_unsent,
            http,
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
        })
    }

    /// Finishes every connection of a listener: idle ones close now, busy ones after their started requests.
    pub(crate) fn finish(&self, listener: &str) {
        let open = self.open();
        open.values().filter(|open| open.listener == listener).for_each(|open| open.activity.order(Order::Finish));
    }

    /// Closes up to [`BATCH`] connections of a listener, longest idle first, and returns their number.
    pub(super) fn close_idle(&self, listener: &str) -> usize {
        let open = self.open();
        let mut idle: Vec<_> = open
            .values()
            .filter(|open| open.listener == listener && open.activity.ordered().is_none())
            .filter_map(|open| Some((open.activity.idle_since()?, &open.activity)))
            .collect();
        if idle.len() > BATCH {
            idle.select_nth_unstable_by_key(BATCH, |(since, _)| *since);
            idle.truncate(BATCH);
        }
        idle.iter().for_each(|(_, activity)| activity.order(Order::Finish));
        idle.len()
    }

    /// Adds the memory of a response. If the total exceeds `max_unsent`, closes the slowest connections.
    fn held(&self, bytes: usize) {
        if self.unsent.fetch_add(bytes, Relaxed) + bytes > self.max_unsent {
            self.close_slowest();
        }
    }

    /// Closes connections in descending order of [`Activity::slowness`] until the remaining ones hold at most
    /// `max_unsent`.
    fn close_slowest(&self) {
        let (open, now) = (self.open(), Instant::now());
        let is_closing = |open: &&Arc<Connection>| open.activity.ordered() == Some(Order::Abort);
        let closing: usize = open.values().filter(is_closing).map(|open| open.activity.unsent()).sum();
        let mut left = self.unsent.load(Relaxed).saturating_sub(closing);
        while left > self.max_unsent {
            let others = open.values().filter(|open| !is_closing(open));
            let Some(slowest) = others.max_by_key(|open| open.activity.slowness(now)) else { break };
            let unsent = slowest.activity.unsent();
            tracing::warn!(listener = slowest.listener, unsent, "closing the slowest connection: server.max_unsent");
            slowest.activity.order(Order::Abort);
            left = left.saturating_sub(unsent);
        }
    }

    /// Adds a connection that a listener has accepted.
    pub(super) fn add(self: Arc<Self>, listener: &'static str) -> Arc<Connection> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let connection = Arc::new(Connection {
            id,
            listener,
            activity: Activity::new(),
            fragments: Fragments::default(),
            all: self,
        });
        connection.all.open().insert(id, connection.clone());
        connection
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    /// Name of the listener that accepted the connection.
    pub(super) listener: &'static str,
    pub(super) activity: Activity,
    pub(super) fragments: Fragments,
    pub(super) all: Arc<Connections>,
}

impl Connection {
    /// Adds the memory of a response. Each call is paired with a call of [`released`](Self::released).
    pub(super) fn held(&self, bytes: usize) {
        self.activity.held(bytes);
        self.all.held(bytes);
    }

    /// Subtracts the memory of a response that was written or dropped.
    pub(super) fn released(&self, bytes: usize) {
        self.activity.released(bytes);
        self.all.unsent.fetch_sub(bytes, Relaxed);
    }

    /// Removes the connection from the open ones.
    pub(super) fn remove(&self) {
        self.all.open().remove(&self.id);
    }
}
