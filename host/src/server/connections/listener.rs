//! Accepting: as many connections as a listener may have, and what happens when there are more.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::{Connections, Place};

/// How long accepting rests after an error of the process, as a lack of descriptors.
const REST: Duration = Duration::from_millis(50);
/// How often room is looked for while there is none.
const LOOK: Duration = Duration::from_millis(100);
/// How often the log hears of what may happen all the time.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that the system may hold for a connection and has not sent: more would be neither counted nor seen to progress.
const NOT_SENT: u32 = 128 << 10;

/// A bound socket that connections come from.
pub trait Accept: Send + Sync {
    /// A connection.
    type Stream;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Responses are small and whole: waiting for more to send only delays them. A client that is gone already is
        // found out when it is read from.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT);
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(UnixListener::accept(self).await?.0)
    }
}

/// A listener with a limit of its own.
#[derive(Debug)]
pub struct Listener<L> {
    socket: L,
    name: &'static str,
    places: Arc<Semaphore>,
    all: Arc<Connections>,
    errors: Mutex<Throttle>,
    full: Mutex<Throttle>,
}

impl<L: Accept> Listener<L> {
    /// Accepts at most `limit` connections at a time. The name is for the log; no two listeners have the same.
    pub fn new(socket: L, name: &'static str, limit: usize, all: Arc<Connections>) -> Self {
        let places = Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)));
        Self { socket, name, places, all, errors: Mutex::default(), full: Mutex::default() }
    }

    /// The bound socket.
    pub fn socket(&self) -> &L {
        &self.socket
    }

    /// Waits for the next connection, and for a place for it. If there is none, the connections that have been idle for
    /// longest make room; if none is idle, the next one that ends.
    pub async fn accept(&self) -> (L::Stream, Place) {
        let stream = loop {
            match self.socket.accept().await {
                Ok(stream) => break stream,
                // The client has gone meanwhile.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(unlogged) = pass(&self.errors) {
                        let listener = self.name;
                        tracing::warn!(listener, unlogged, %error, "connections cannot be accepted");
                    }
                    self.all.close_idle(self.name);
                    sleep(REST).await;
                }
            }
        };
        let permit = loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                break permit;
            }
            let closed = self.all.close_idle(self.name);
            if let Some(unlogged) = pass(&self.full) {
                let listener = self.name;
                tracing::warn!(listener, closed, unlogged, "no place for another connection: closing idle ones");
            }
            if let Ok(Ok(permit)) = timeout(LOOK, self.places.clone().acquire_owned()).await {
                break permit;
            }
        };
        (stream, Place::new(self.name, self.all.clone(), permit))
    }
}

/// Whether an error says nothing of the connections that come after.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn pass(throttle: &Mutex<Throttle>) -> Option<u64> {
    throttle.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now())
}

/// Lets one message a second pass, and counts the others.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// How many messages were held back since the last that passed, if this one does.
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
