//! Accepts connections up to the limit of a listener, and closes idle connections to make room for new ones.

use std::{
    future::Future,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::{accepted::Accepted, connection::Connections, proxied::Peek};

/// Pause after an accept error such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// Interval between two searches for idle connections while an accepted client waits for a permit.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum time between two log lines of the same kind.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// `TCP_NOTSENT_LOWAT`: bytes that the kernel may hold unsent for a connection. By default the kernel holds megabytes,
/// which `server.max_unsent` does not count, and a slow client seems to make no progress until a third of them is sent.
const NOT_SENT: u32 = 128 << 10;

/// A bound socket that accepts connections.
pub(crate) trait Accept: Send + Sync {
    /// The socket of an accepted connection.
    type Stream: Peek;

    /// Waits for the next connection. Returns it with the address of the client, if clients of this socket have one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, client) = TcpListener::accept(self).await?;
        // hyper writes whole responses, so Nagle's algorithm would only delay them. Both calls fail only if the client
        // has disconnected, which the first read reports.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT);
        // An IPv4 client of an IPv6 socket has an IPv4-mapped address.
        Ok((stream, Some(client.ip().to_canonical())))
    }
}

/// Returns permits for `limit` connections.
pub(crate) fn permits(limit: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)))
}

/// A bound socket with a maximum number of connections.
#[derive(Debug)]
pub(crate) struct Listener<L> {
    socket: L,
    name: &'static str,
    permits: Arc<Semaphore>,
    all: Arc<Connections>,
    errors: Mutex<Throttle>,
    full: Mutex<Throttle>,
}

impl<L: Accept> Listener<L> {
    /// Creates a listener on a bound socket. Each connection takes one of the permits. Listeners that share permits have
    /// the same name.
    pub(crate) fn new(socket: L, name: &'static str, permits: Arc<Semaphore>, all: Arc<Connections>) -> Self {
        Self { socket, name, permits, all, errors: Mutex::default(), full: Mutex::default() }
    }

    /// Returns the bound socket.
    pub(crate) fn socket(&self) -> &L {
        &self.socket
    }

    /// Accepts the next connection, and acquires a permit for it. If no permit is free, closes the connections that
    /// have been idle longest; if none is idle, waits until a connection ends.
    pub(crate) async fn accept(&self) -> (L::Stream, Accepted) {
        let (stream, client) = loop {
            match self.socket.accept().await {
                Ok(accepted) => break accepted,
                // Only this client has failed: accept the next one.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(unlogged) = pass(&self.errors) {
                        let listener = self.name;
                        tracing::warn!(listener, unlogged, %error, "connections cannot be accepted");
                    }
                    self.all.close_idle(self.name);
                    sleep(PAUSE).await;
                }
            }
        };
        let permit = loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                break permit;
            }
            let closed = self.all.close_idle(self.name);
            if let Some(unlogged) = pass(&self.full) {
                let listener = self.name;
                tracing::warn!(listener, closed, unlogged, "no place for another connection: closing idle ones");
            }
            if let Ok(Ok(permit)) = timeout(SEARCH_INTERVAL, self.permits.clone().acquire_owned()).await {
                break permit;
            }
        };
        (stream, Accepted::new(self.name, client, self.all.clone(), permit))
    }
}

/// Returns whether an accept error concerns a single connection, so that the next one can be accepted at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn pass(throttle: &Mutex<Throttle>) -> Option<u64> {
    throttle.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now())
}

/// Lets one message per [`LOG_INTERVAL`] pass, and counts the suppressed ones.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Returns the number of messages suppressed since the last one that passed, or `None` to suppress this one too.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + LOG_INTERVAL) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_second_passes() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let moments = (0..21).map(|step| start + Duration::from_millis(100) * step);
        let passed: Vec<_> = moments.filter_map(|now| throttle.pass(now)).collect();
        assert_eq!(passed, [0, 9, 9]);
    }
}
