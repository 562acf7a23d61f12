//! TCP proxy in front of a database server that counts round trips and can delay, drop or cut messages. The proxy does
//! not parse the protocol: it takes each server response as the end of the client's message.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::{PATIENCE, Result};

/// Treatment of the next client message that contains a given text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The proxy drops the message and cuts the connection.
    Lost,
    /// The server receives the message. The proxy drops the response and cuts the connection.
    Unanswered,
    /// The proxy holds the message until [`Proxy::release`].
    Held,
    /// The proxy first sends `message` to the server and discards the response, up to the bytes `end`. Then it forwards
    /// the client's message.
    After { message: &'static [u8], end: &'static [u8] },
}

/// The text to look for, and the fate of the first message that contains the text.
type Trap = (&'static str, Fate);

/// A local port that forwards to a server. Dropping the value cuts all connections.
pub struct Proxy {
    url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    round_trips: AtomicUsize,
    trap: Mutex<Option<Trap>>,
    /// Number of traps that have sprung.
    sprung: watch::Sender<usize>,
    /// Number of calls of [`Proxy::release`].
    released: watch::Sender<usize>,
    /// While this is true, the proxy forwards nothing.
    is_silent: watch::Sender<bool>,
    /// Number of times all connections were cut.
    cut: watch::Sender<usize>,
}

impl Proxy {
    /// Starts a proxy in front of the server of a URL.
    pub async fn to(url: &str) -> Result<Self> {
        let mut url = reqwest::Url::parse(url)?;
        let server = ("127.0.0.1", url.port().ok_or("no port")?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        url.set_port(Some(listener.local_addr()?.port())).map_err(|()| "no URL of a server")?;
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, server, state.clone()));
        Ok(Self { url: url.into(), state, task })
    }

    /// Returns the server's URL with the port of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of round trips on all connections so far. Consecutive messages of a client without a server
    /// message in between count as one.
    pub fn round_trips(&self) -> usize {
        self.state.round_trips.load(Relaxed)
    }

    /// Sets the fate of the next client message that contains `text`.
    pub fn trap(&self, text: &'static str, fate: Fate) {
        *self.state.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some((text, fate));
    }

    /// Returns the number of traps that have sprung so far.
    pub fn sprung_so_far(&self) -> usize {
        *self.state.sprung.borrow()
    }

    /// Waits until at least `times` traps have sprung.
    pub async fn sprung(&self, times: usize) -> Result {
        let mut sprung = self.state.sprung.subscribe();
        tokio::time::timeout(PATIENCE, sprung.wait_for(|count| *count >= times)).await??;
        Ok(())
    }

    /// Forwards the held message.
    pub fn release(&self) {
        self.state.released.send_modify(|count| *count += 1);
    }

    /// Stops or resumes forwarding in both directions. Connections stay open.
    pub fn set_silent(&self, is_silent: bool) {
        self.state.is_silent.send_replace(is_silent);
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        self.state.cut.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: (&'static str, u16), state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let mut cut = state.cut.subscribe();
            // If the server is down, the client sees its connection closed.
            if let Ok(server) = TcpStream::connect(server).await {
                tokio::select! {
                    _ = relay(client, server, &state) => {}
                    _ = cut.changed() => {}
                }
            }
        });
    }
}

/// Forwards data in both directions until one side closes its connection or a [`Fate`] ends it.
async fn relay(mut client: TcpStream, mut server: TcpStream, state: &State) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut is_asking, mut is_last) = (false, false);
    loop {
        tokio::select! {
            length = from_client.read(&mut question) => {
                let message = &question[..length?];
                if message.is_empty() {
                    return Ok(());
                }
                if !is_asking {
                    state.round_trips.fetch_add(1, Relaxed);
                }
                is_asking = true;
                match state.fate(message) {
                    Some(Fate::Lost) => return Ok(()),
                    Some(Fate::Unanswered) => is_last = true,
                    Some(Fate::Held) => state.hold().await,
                    Some(Fate::After { message, end }) => {
                        to_server.write_all(message).await?;
                        let (mut heard, mut length) = (Vec::new(), 1);
                        while length > 0 && !contains(&heard, end) {
                            length = from_server.read(&mut answer).await?;
                            heard.extend_from_slice(&answer[..length]);
                        }
                    }
                    None => {}
                }
                state.speak().await;
                to_server.write_all(message).await?;
            }
            length = from_server.read(&mut answer) => {
                let message = &answer[..length?];
                if message.is_empty() || is_last {
                    return Ok(());
                }
                is_asking = false;
                state.speak().await;
                to_client.write_all(message).await?;
            }
        }
    }
}

impl State {
    /// Returns the fate of a message, and disarms the trap if the message springs it.
    fn fate(&self, message: &[u8]) -> Option<Fate> {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, fate) = trap.take_if(|(text, _)| contains(message, text.as_bytes()))?;
        if fate != Fate::Held {
            self.sprung.send_modify(|count| *count += 1);
        }
        Some(fate)
    }

    async fn hold(&self) {
        let mut released = self.released.subscribe();
        self.sprung.send_modify(|count| *count += 1);
        // The sender lives as long as `self`, so `changed` cannot fail.
        let _ = released.changed().await;
    }

    /// Waits until the proxy is not silent.
    async fn speak(&self) {
        let _ = self.is_silent.subscribe().wait_for(|is_silent| !is_silent).await;
    }
}

fn contains(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}
