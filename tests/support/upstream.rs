//! HTTP server to which guests send requests. Its answer depends on the path.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

use super::Result;

/// A running server. Dropping the value ends it.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Seen,
    serving: JoinHandle<()>,
}

/// A request that the server has received completely.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and path, such as `GET /ok`.
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

type Seen = Arc<Mutex<Vec<Received>>>;

impl Upstream {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen) = (listener.local_addr()?, Seen::default());
        let router = Router::new().fallback(answer).with_state(seen.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, seen, serving })
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests received so far.
    pub fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the methods and paths of the requests received so far.
    pub fn lines(&self) -> Vec<String> {
        self.received().into_iter().map(|received| received.line).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers `/status/N`, `/large/BYTES`, `/slow/MS` (before the head), `/trickle/MS` (after the first byte, and then after
/// each), and every other path with 200 and the method.
async fn answer(State(seen): State<Seen>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // A request counts as received once its body has arrived.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (method, path) = (head.method, head.uri.path().to_owned());
    let received = Received { line: format!("{method} {path}"), headers: head.headers, body };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    let mut steps = path.split('/').skip(1);
    let (kind, number) = (steps.next().unwrap_or_default(), steps.next().and_then(|number| number.parse().ok()));
    match (kind, number.unwrap_or(0_u64)) {
        ("status", status) => {
            let status = StatusCode::from_u16(status as u16).unwrap_or_default();
            (status, [("location", "/elsewhere")]).into_response()
        }
        ("large", bytes) => "x".repeat(bytes as usize).into_response(),
        ("slow", ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            "late".into_response()
        }
        ("trickle", ms) => {
            let pieces = stream::unfold(Duration::ZERO, move |pause| async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), Duration::from_millis(ms)))
            });
            Body::from_stream(pieces).into_response()
        }
        _ => method.to_string().into_response(),
    }
}
