//! A way to a server that a test can count on, hold up and cut. Knows nothing of what goes through it but where a
//! client's message ends: at the server's answer.

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

/// What becomes of the next message with a text in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive, and the connection is cut.
    Lost,
    /// It arrives; its answer does not, and the connection is cut.
    Unanswered,
    /// It waits until [`Proxy::release`].
    Held,
    /// The server gets another message before it, whose answer, known by its end, nobody hears.
    After { message: &'static [u8], end: &'static [u8] },
}

/// The fate of a message and the text that it is known by.
type Trap = (&'static str, Fate);

/// A port that leads to a server's. Dropping this cuts all connections.
pub struct Proxy {
    url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    round_trips: AtomicUsize,
    trap: Mutex<Option<Trap>>,
    /// How often the trap has sprung.
    sprung: watch::Sender<usize>,
    /// How often held messages were let go.
    released: watch::Sender<usize>,
    /// Nothing passes while this is true.
    is_silent: watch::Sender<bool>,
    /// How often all connections were cut.
    cut: watch::Sender<usize>,
}

impl Proxy {
    /// In front of the server of a URL.
    pub async fn to(url: &str) -> Result<Self> {
        let mut url = reqwest::Url::parse(url)?;
        let server = ("127.0.0.1", url.port().ok_or("no port")?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        url.set_port(Some(listener.local_addr()?.port())).map_err(|()| "no URL of a server")?;
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, server, state.clone()));
        Ok(Self { url: url.into(), state, task })
    }

    /// The URL, by way of this.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often a client has said something and a server had its turn, on all connections so far.
    pub fn round_trips(&self) -> usize {
        self.state.round_trips.load(Relaxed)
    }

    /// Decides on the next message with a text in it.
    pub fn trap(&self, text: &'static str, fate: Fate) {
        *self.state.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some((text, fate));
    }

    /// How many traps have sprung so far.
    pub fn sprung_so_far(&self) -> usize {
        *self.state.sprung.borrow()
    }

    /// Waits until as many traps have sprung.
    pub async fn sprung(&self, times: usize) -> Result {
        let mut sprung = self.state.sprung.subscribe();
        tokio::time::timeout(PATIENCE, sprung.wait_for(|count| *count >= times)).await??;
        Ok(())
    }

    /// Lets a held message pass.
    pub fn release(&self) {
        self.state.released.send_modify(|count| *count += 1);
    }

    /// Lets nothing pass, in neither direction, or everything again.
    pub fn be_silent(&self, is_silent: bool) {
        self.state.is_silent.send_replace(is_silent);
    }

    /// Cuts the connections that there are.
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
            // A server that is gone is told to the client by the end of its connection.
            if let Ok(server) = TcpStream::connect(server).await {
                tokio::select! {
                    _ = relay(client, server, &state) => {}
                    _ = cut.changed() => {}
                }
            }
        });
    }
}

/// Passes on what is said until one side ends it, or fate does.
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
    /// What is to become of a message.
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
        // The sender lives as long as this does.
        let _ = released.changed().await;
    }

    /// Waits for the silence to end.
    async fn speak(&self) {
        let _ = self.is_silent.subscribe().wait_for(|is_silent| !is_silent).await;
    }
}

fn contains(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}
