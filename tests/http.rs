//! HTTP as RFC 9110 and RFC 9112 have it, over plain sockets: which requests the host refuses, which resource and host a
//! request is sent to, and whether a client that is still sending sees its response.

mod corpus;
mod early;
mod heads;
mod load;
mod targets;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{App, PATIENCE, Result};

/// Configuration with the guests `probe` and `faulty`, and a static folder.
const CONFIG: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [component.faulty]
    path = "{guest:faulty}"
    [[static]]
    path = "/files"
    folder = "files"
    [[route]]
    path = "/echo"
    component = "probe"
    [[route]]
    path = "/echo/{id}"
    component = "probe"
    [[route]]
    path = "/faulty/{what}"
    component = "faulty"
    transaction = "none"
"#;

async fn start(env: &[(&str, &str)]) -> Result<App> {
    App::start_in(tempfile::tempdir()?, CONFIG, &[("files/a.txt", "a")], env).await
}

/// Sends bytes, and reads until the host closes the connection.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> Result<String> {
    stream.write_all(bytes).await?;
    let mut received = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut received)).await.map_err(|_| "it was not closed")??;
    Ok(String::from_utf8_lossy(&received).into_owned())
}

/// Sends bytes on a connection of their own. Returns the response, or everything that the host sends until it closes the
/// connection.
async fn send(app: &App, request: &str) -> Result<String> {
    exchange(&mut TcpStream::connect(app.address()).await?, request.as_bytes()).await
}

/// Returns the status of a response, or 0 if there is none.
fn status(response: &str) -> u16 {
    let code = response.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// Returns a script for `probe` whose result is the request.
fn echo() -> String {
    r#"[{"echo":true,"header":["host"],"params":["id"]}]"#.to_owned()
}

/// Returns the result of [`echo`] in a response.
fn echoed(response: &str) -> Result<serde_json::Value> {
    let (_, body) = response.split_once("\r\n\r\n").ok_or("no body")?;
    let mut results: serde_json::Value = serde_json::from_str(body).map_err(|error| format!("{error}: {response}"))?;
    Ok(results[0].take())
}
