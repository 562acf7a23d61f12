//! Sends single requests to a server on this machine, to check or to time the responses. `wrk` generates the load.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::error::Result;

/// Maximum time for a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection. Dropping the value closes it.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, task: tokio::spawn(connection) })
    }

    /// Sends a request, and returns the status and the body.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends a request on a new connection, and returns the status and the body.
pub(crate) async fn request(port: u16, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
    let answer = async { Connection::open(port).await?.send(method, path, body).await };
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| format!("{method} {path} timed out after 30 s"))?
}
