//! The connections of all listeners: their number, their time limits, and the memory of their unsent responses. The
//! caller provides the function that answers requests.

mod activity;
mod listener;
mod response;
mod socket;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{Router, response::Response};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tower_service::Service;

pub use self::listener::{Accept, Listener};
use self::{
    activity::{Activity, Closed, Due, FIRST_BYTE, Order, Timeouts},
    response::{ResponseBody, Running, Streams},
    socket::Socket,
};
use crate::config;

/// How long an HTTP/2 client may be silent before the server sends a ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long an HTTP/2 client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of idle connections that one call closes to make room.
const BATCH: usize = 32;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// All open connections of the process.
#[derive(Debug)]
pub struct Connections {
    timeouts: Timeouts,
    /// Limit of `unsent`.
    max_unsent: usize,
    http: auto::Builder<Streams>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    /// Memory of responses that are not yet written to their sockets, in bytes.
    unsent: AtomicUsize,
}

impl Connections {
    /// Returns an empty set of connections with the limits of `config`.
    pub fn new(config: &config::Server) -> Arc<Self> {
        let timeouts = Timeouts { header: config.header_timeout, idle: config.idle_timeout, send: config.send_timeout };
        let mut http = auto::Builder::new(Streams::new(timeouts.send));
        // hyper's header timeout would also close idle connections, and does not cover the preface of HTTP/2.
        // `Activity` measures both.
        http.http1().header_read_timeout(None);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        Arc::new(Self {
            timeouts,
            max_unsent: config.max_unsent,
            http,
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
        })
    }

    /// Sends [`Order::Finish`] to every connection of a listener.
    pub(super) fn finish(&self, listener: &str) {
        let open = self.open();
        open.values().filter(|open| open.listener == listener).for_each(|open| open.activity.order(Order::Finish));
    }

    /// Closes up to [`BATCH`] connections of a listener, longest idle first, and returns their number.
    fn close_idle(&self, listener: &str) -> usize {
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

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    id: u64,
    /// Name of the listener that accepted the connection.
    listener: &'static str,
    activity: Activity,
    all: Arc<Connections>,
}

impl Connection {
    /// Adds the memory of a response. Each call is paired with a call of [`released`](Self::released).
    fn held(&self, bytes: usize) {
        self.activity.held(bytes);
        self.all.held(bytes);
    }

    /// Subtracts the memory of a response that was written or dropped.
    fn released(&self, bytes: usize) {
        self.activity.released(bytes);
        self.all.unsent.fetch_sub(bytes, Relaxed);
    }
}

/// An accepted connection. It holds one of its listener's permits until this value is dropped.
#[derive(Debug)]
pub struct Place {
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(listener: &'static str, all: Arc<Connections>, permit: OwnedSemaphorePermit) -> Self {
        let id = all.next_id.fetch_add(1, Relaxed);
        let connection = Arc::new(Connection { id, listener, activity: Activity::new(), all });
        connection.all.open().insert(id, connection.clone());
        Self { connection, _permit: permit }
    }

    /// Runs the part of a connection before HTTP, such as the TLS handshake. The handshake has the time limit of the
    /// first byte (10 s). Until it ends the connection counts as idle.
    ///
    /// # Errors
    ///
    /// Returns the error of the handshake, `TimedOut` after the time limit, or `ConnectionAborted` if the host closes
    /// the connection to make room.
    pub async fn handshake<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let activity = &self.connection.activity;
        let mut handshake = pin!(timeout(FIRST_BYTE, handshake));
        poll_fn(|cx| {
            activity.register(cx.waker());
            match activity.ordered() {
                Some(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                None => handshake.as_mut().poll(cx).map(|ended| ended.unwrap_or_else(|slow| Err(slow.into()))),
            }
        })
        .await
    }

    /// Serves HTTP/1 or HTTP/2 until the connection is closed.
    pub async fn serve<F>(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Response> + Send + 'static,
    {
        let (connection, owner) = (&self.connection, self.connection.clone());
        let service = service_fn(move |request| {
            let (mut running, answer) = (Running::new(owner.clone()), answer.clone());
            async move {
                running.admit().await;
                let (head, body) = answer(request).await.into_parts();
                Ok::<_, Infallible>(Response::from_parts(head, ResponseBody::new(running, body).await))
            }
        });
        let socket = TokioIo::new(Socket::new(stream, connection.clone()));
        let Connections { http, timeouts, .. } = &*connection.all;
        if let Err(reason) = drive(&connection.activity, timeouts, http.serve_connection(socket, service)).await {
            tracing::debug!(listener = connection.listener, reason, "a connection was closed");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.all.open().remove(&self.connection.id);
    }
}

/// Polls a connection until it ends. Closes it when a time limit has passed, or on an [`Order`].
async fn drive(
    activity: &Activity,
    timeouts: &Timeouts,
    http: impl GracefulConnection<Error = Error>,
) -> Result<(), Error> {
    let mut http = pin!(http);
    let mut timer = pin!(sleep_until(Instant::now() + FIRST_BYTE));
    poll_fn(|cx| {
        activity.register(cx.waker());
        loop {
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            match activity.ordered() {
                Some(Order::Abort) => return Poll::Ready(Err(Closed::Slowest.into())),
                Some(Order::Finish) if activity.begin_to_finish() => {
                    http.as_mut().graceful_shutdown();
                    continue;
                }
                _ => {}
            }
            // The timer moves here only to an earlier time. If the limit has moved to a later time, the timer fires
            // early and is set again below. Otherwise busy connections would reset the timer for each request.
            let (at, due) = activity.due(timeouts);
            if at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            match due {
                _ if Instant::now() < at => timer.as_mut().reset(at),
                Due::Close(reason) => return Poll::Ready(Err(reason.into())),
                Due::Finish => activity.order(Order::Finish),
                Due::Look => {}
            }
        }
    })
    .await
}

/// Returns a function for [`Place::serve`] that answers requests with `router`.
pub fn routed(
    router: Router,
) -> impl Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response> + Send>> + Clone + Send + Sync + 'static {
    move |request| {
        let mut router = router.clone();
        Box::pin(async move { router.call(request).await.unwrap_or_else(|never| match never {}) })
    }
}
