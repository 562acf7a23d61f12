//! Sends a single request to a server on this machine, to check the response. `wrk` generates the load.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::Result;

/// Maximum time for a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request on a new connection, and returns the status and the body.
pub(crate) async fn request(port: u16, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
    let answer = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, body))
    };
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| format!("{method} {path} timed out after 30 s"))?
}
