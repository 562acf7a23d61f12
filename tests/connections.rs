//! Clients that hold connections without using them: the host closes these connections, and serves other clients
//! meanwhile.

mod crowds;
mod unread;

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::support::{App, PATIENCE, Result, Wrong, check, check_eq};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]";
const TOKEN: &str = "the-token-of-the-tests";

/// Configuration with the guest `probe` and without tables.
const CONFIG: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [[route]]
    path = "/{what}"
    component = "probe"
    [deploy]
"#;

/// Starts `CONFIG` with listeners for requests, metrics and deployments, and with more environment variables.
pub async fn start(env: &[(&str, &str)]) -> Result<App> {
    let deploy = [("CARYA_DEPLOY__LISTEN", "127.0.0.1:0"), ("CARYA_DEPLOY__TOKEN", TOKEN)];
    let env = [&[("CARYA_SERVER__METRICS", "127.0.0.1:0")], &deploy[..], env].concat();
    App::start_in(tempfile::tempdir()?, CONFIG, &[], &env).await
}

/// Returns the address of each listener, with a path that it serves.
pub async fn listeners(app: &App) -> Result<[(String, &'static str); 3]> {
    let address = async |message| -> Result<String> {
        Ok(app.log.wait_for(message).await?["address"].as_str().ok_or("no address")?.to_owned())
    };
    let application = (app.address().to_owned(), "/x");
    Ok([application, (address("metrics").await?, "/metrics"), (address("deployment").await?, "/generations")])
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n")
}

/// Waits until the host closes a connection. Returns how long that took, and the bytes received until then.
async fn lifetime(mut stream: impl AsyncRead + Unpin) -> Result<(Duration, Vec<u8>)> {
    let (begun, mut received) = (Instant::now(), Vec::new());
    // A reset also ends the connection.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received)).await.map_err(|_| "it was not closed")?;
    Ok((begun.elapsed(), received))
}

/// Reads one HTTP/1 response that has a `content-length`.
pub async fn response(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4096];
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        if length == 0 {
            return Err(format!("the connection was closed after {text:?}").into());
        }
        text.push_str(std::str::from_utf8(&buffer[..length])?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.ok_or("no content-length")?.parse::<usize>()? {
            return Ok(text);
        }
    }
}

/// Sends a byte every 50 ms until the host closes the connection. Returns how long that took.
async fn drip(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> Result<Duration> {
    let begun = Instant::now();
    for byte in bytes {
        let mut answer = [0; 4096];
        if stream.write_all(&[*byte]).await.is_err() {
            return Ok(begun.elapsed());
        }
        match timeout(Duration::from_millis(50), stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return Ok(begun.elapsed()),
            Ok(Ok(length)) if !answer[..length].starts_with(b"HTTP") => {}
            Ok(Ok(length)) => return Err(String::from_utf8_lossy(&answer[..length]).into_owned().into()),
            Err(_) => {}
        }
    }
    Err("it was not closed".into())
}

/// Opens an HTTP/2 connection whose streams have a window of `window` bytes. Returns the client, and the task that runs
/// the connection.
pub async fn http2(
    address: &str,
    window: u32,
) -> Result<(SendRequest<Bytes>, JoinHandle<std::result::Result<(), h2::Error>>)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 24);
    let (client, connection) = builder.handshake(stream).await?;
    Ok((client.ready().await?, tokio::spawn(connection)))
}

fn request(app: &App, path: &str) -> Result<Request<()>> {
    Ok(Request::get(format!("http://{}{path}", app.address())).body(())?)
}

#[tokio::test]
async fn closes_connections_that_send_nothing() -> Result {
    let app = start(&[]).await?;
    let place = tempfile::tempdir()?;
    let socket = place.path().join("admin.sock");
    let own = format!("[deploy]\nlisten = \"unix:{}\"\n", socket.display());
    let other = App::start_in(tempfile::tempdir()?, &own, &[], &[]).await?;
    let [application, metrics, deployment] = listeners(&app).await?;
    let tcp = async |address: &str| lifetime(TcpStream::connect(address).await?).await;
    let (application, metrics, deployment, unix) =
        tokio::join!(tcp(&application.0), tcp(&metrics.0), tcp(&deployment.0), async {
            lifetime(UnixStream::connect(&socket).await?).await
        });
    for (listener, ended) in
        [("application", application), ("metrics", metrics), ("deployment", deployment), ("unix", unix)]
    {
        let (lived, received) = ended?;
        assert!((9..13).contains(&lived.as_secs()), "{listener}: {lived:?}");
        assert!(received.is_empty(), "{listener}: {received:?}");
    }
    drop(other);
    Ok(())
}

#[tokio::test]
async fn closes_connections_whose_head_does_not_arrive() -> Result {
    let app = start(&[("CARYA_SERVER__HEADER_TIMEOUT", "500ms")]).await?;
    let mut wrong = Wrong::default();
    for (address, path) in listeners(&app).await? {
        for part in [&b"G"[..], b"GET / HTTP/1.1\r\nhost: x\r\n", b"PRI * HT", &PREFACE[..23], b"\r\n"] {
            let context = format!("{address}{path}: {:?}", String::from_utf8_lossy(part));
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(part).await?;
            let (lived, received) = lifetime(stream).await?;
            check!(wrong, (450..2000).contains(&lived.as_millis()), "{context}: {lived:?}");
            check!(wrong, received.is_empty(), "{context}: {}", String::from_utf8_lossy(&received));
        }
        // Each byte arrives soon after the last one, but the whole head would take more than 2 s.
        for head in [get(path).into_bytes(), PREFACE.repeat(2)] {
            let mut stream = TcpStream::connect(&address).await?;
            let lived = drip(&mut stream, &head).await?;
            check!(wrong, (450..1500).contains(&lived.as_millis()), "{address}{path}: {lived:?}");
        }
        // The limit also applies to the second head of a connection.
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(get(path).as_bytes()).await?;
        response(&mut stream).await?;
        sleep(Duration::from_millis(700)).await;
        let lived = drip(&mut stream, get(path).as_bytes()).await?;
        check!(wrong, (450..1500).contains(&lived.as_millis()), "{address}{path}: {lived:?}");
    }
    Ok(())
}

#[tokio::test]
async fn closes_idle_connections() -> Result {
    let env = [("CARYA_SERVER__IDLE_TIMEOUT", "800ms"), ("CARYA_SERVER__HEADER_TIMEOUT", "200ms")];
    let app = start(&env).await?;
    let mut wrong = Wrong::default();
    for (address, path) in listeners(&app).await? {
        let mut stream = TcpStream::connect(&address).await?;
        for _ in 0..3 {
            stream.write_all(get(path).as_bytes()).await?;
            response(&mut stream).await?;
            // Longer than `header_timeout`.
            sleep(Duration::from_millis(400)).await;
        }
        let (lived, _) = lifetime(stream).await?;
        check!(wrong, (300..1500).contains(&lived.as_millis()), "{address}{path}: {lived:?}");
    }
    Ok(())
}

#[tokio::test]
async fn sends_goaway_to_idle_http2_clients() -> Result {
    let app = start(&[("CARYA_SERVER__IDLE_TIMEOUT", "800ms"), ("CARYA_SERVER__HEADER_TIMEOUT", "200ms")]).await?;
    // A client that sends no request, and a client that has sent one.
    let mut wrong = Wrong::default();
    for asks in [false, true] {
        let (mut client, connection) = http2(app.address(), 65_535).await?;
        let begun = Instant::now();
        if asks {
            let (answer, _) = client.send_request(request(&app, "/x")?, true)?;
            check_eq!(wrong, answer.await?.status(), 200, "{asks:?}");
        }
        let ended = timeout(PATIENCE, connection).await??;
        check!(wrong, ended.is_ok(), "{asks:?}: {ended:?}");
        let lived = begun.elapsed();
        check!(wrong, (750..2500).contains(&lived.as_millis()), "{asks:?}: {lived:?}");
    }
    // This client keeps sending pings, but no request.
    let mut stream = TcpStream::connect(app.address()).await?;
    stream.write_all(PREFACE).await?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    let (mut receive, mut send) = stream.into_split();
    let pings = tokio::spawn(async move {
        while send.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let (lived, received) = lifetime(&mut receive).await?;
    // After its GOAWAY frame, the host waits for the acknowledgement of a ping. The client never sends it, so the host
    // closes the connection 5 s later.
    assert!((5500..9000).contains(&lived.as_millis()), "{lived:?}");
    assert!(received.windows(9).any(|frame| frame[..4] == [0, 0, 8, 7]), "no GOAWAY: {received:?}");
    pings.await?;
    Ok(())
}

#[tokio::test]
async fn leaves_requests_their_time() -> Result {
    let limits = ["IDLE_TIMEOUT", "HEADER_TIMEOUT", "SEND_TIMEOUT"].map(|key| format!("CARYA_SERVER__{key}"));
    let env: Vec<_> = limits.iter().map(|key| (key.as_str(), "300ms")).collect();
    let app = start(&env).await?;
    let script = json!([{ "sleep_ms": 1500 }]).to_string();
    let mut stream = TcpStream::connect(app.address()).await?;
    let length = script.len();
    stream.write_all(format!("GET /x HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await?;
    // Only `request_timeout` limits the time of the body.
    sleep(Duration::from_millis(700)).await;
    stream.write_all(script.as_bytes()).await?;
    assert!(response(&mut stream).await?.starts_with("HTTP/1.1 200"));

    let (mut client, connection) = http2(app.address(), 65_535).await?;
    let (answer, mut body) = client.send_request(request(&app, "/x")?, false)?;
    sleep(Duration::from_millis(700)).await;
    body.send_data(Bytes::from(script), true)?;
    assert_eq!(answer.await?.status(), 200);
    assert!(timeout(PATIENCE, connection).await??.is_ok());
    Ok(())
}
