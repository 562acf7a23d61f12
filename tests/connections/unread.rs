//! Responses that a client does not read: the host drops them after `send_timeout`, and limits the memory that they
//! hold.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{http2, lifetime, request};
use crate::support::{App, PATIENCE, Result, Wrong, check, check_eq, eventually};

const CONFIG: &str = r#"
    [component.large]
    path = "{guest:faulty}"
    memory = "256MiB"
    [[static]]
    path = "/files"
    folder = "files"
    [[route]]
    path = "/{what}"
    component = "large"
    transaction = "none"
"#;

/// Path of a response of 16 MiB, more than the socket buffers of both sides hold.
const LARGE: &str = "/huge?bytes=16777216";
/// Path of a response of 8 MiB.
const HALF: &str = "/huge?bytes=8388608";

async fn start(env: &[(&str, &str)]) -> Result<App> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("files"))?;
    std::fs::write(folder.path().join("files/large"), vec![b'x'; 16 << 20])?;
    App::start_in(folder, CONFIG, &[], env).await
}

async fn call(app: &App, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(app.address()).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

/// Returns the number of requests that have ended so far. The access log has a request only after its response was sent.
fn answered(app: &App) -> usize {
    app.log.lines().iter().filter(|line| line["target"] == "carya::lifecycle").count()
}

/// Returns the resident memory of the process, in MiB.
fn memory(app: &App) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}

#[tokio::test]
async fn closes_a_connection_that_does_not_take_its_response() -> Result {
    let app = start(&[("CARYA_SERVER__SEND_TIMEOUT", "1s")]).await?;
    let mut wrong = Wrong::default();
    let (guest, file) = (call(&app, LARGE).await?, call(&app, "/files/large").await?);
    // The clients read nothing until well after the timeout. Then they receive the rest of the socket buffers, and the
    // end.
    sleep(Duration::from_secs(3)).await;
    for (path, stream) in [(LARGE, guest), ("/files/large", file)] {
        let (_, received) = lifetime(stream).await?;
        check!(wrong, received.len() < 16 << 20, "{path}: the whole response was kept: {}", received.len());
    }
    Ok(())
}

#[tokio::test]
async fn waits_for_a_client_that_is_slow_and_reads() -> Result {
    let app = start(&[("CARYA_SERVER__SEND_TIMEOUT", "1s")]).await?;
    let mut wrong = Wrong::default();
    for path in [LARGE, "/files/large"] {
        let mut stream = call(&app, path).await?;
        let (begun, mut received) = (Instant::now(), 0);
        let mut buffer = vec![0; 256 << 10];
        // About 2 MiB/s for 4 s, then as fast as the client can.
        loop {
            if begun.elapsed() < Duration::from_secs(4) {
                sleep(Duration::from_millis(100)).await;
            }
            match timeout(PATIENCE, stream.read(&mut buffer)).await?? {
                0 => return Err(format!("{path}: closed after {received} bytes").into()),
                length => received += length,
            }
            if received >= 16 << 20 {
                break;
            }
        }
        check!(wrong, begun.elapsed() > Duration::from_secs(3), "{path}: it was not slow: {:?}", begun.elapsed());
    }
    Ok(())
}

/// Reads a body until its stream is reset. Returns the number of bytes before that.
async fn until_reset(mut body: h2::RecvStream) -> Result<usize> {
    let mut received = 0;
    loop {
        match timeout(PATIENCE, body.data()).await? {
            Some(Ok(data)) => received += data.len(),
            Some(Err(error)) if error.is_reset() => return Ok(received),
            other => return Err(format!("not reset after {received} bytes: {other:?}").into()),
        }
    }
}

#[tokio::test]
async fn resets_a_stream_that_is_not_read_and_serves_others() -> Result {
    let app = start(&[("CARYA_SERVER__SEND_TIMEOUT", "1s")]).await?;
    let (mut client, connection) = http2(app.address(), 65_535).await?;
    let mut unread = Vec::new();
    for path in [LARGE, "/files/large"] {
        let (answer, _) = client.send_request(request(&app, path)?, true)?;
        unread.push((path, answer.await?.into_body()));
    }
    // Another stream takes longer than `send_timeout`. It makes progress, so it is sent to its end.
    let (answer, _) = client.send_request(request(&app, LARGE)?, true)?;
    let (mut body, mut received, begun) = (answer.await?.into_body(), 0, Instant::now());
    while let Some(data) = timeout(PATIENCE, body.data()).await? {
        let length = data?.len();
        received += length;
        body.flow_control().release_capacity(length)?;
        if begun.elapsed() < Duration::from_secs(3) {
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "it was not slow: {:?}", begun.elapsed());
    assert_eq!(received, 16 << 20);
    let mut wrong = Wrong::default();
    for (path, body) in unread {
        let received = until_reset(body).await.map_err(|error| format!("{path}: {error}"))?;
        check_eq!(wrong, received, 65_535, "{path}: as much as the window allows");
    }
    assert!(!connection.is_finished(), "only streams were given up");
    Ok(())
}

#[tokio::test]
async fn begins_no_request_while_a_connection_holds_32_mebibytes() -> Result {
    let app = start(&[("CARYA_SERVER__SEND_TIMEOUT", "3s")]).await?;
    let before = memory(&app)?;
    let (mut client, _connection) = http2(app.address(), 0).await?;
    let mut streams = Vec::new();
    for _ in 0..60 {
        let (answer, _) = client.send_request(request(&app, HALF)?, true)?;
        streams.push(tokio::spawn(answer));
    }
    // The host may answer in bursts, so wait until it has answered nothing for a while.
    let mut last = 0;
    eventually("the host begins no more requests", async || {
        sleep(Duration::from_millis(500)).await;
        let now = answered(&app);
        Ok(std::mem::replace(&mut last, now) == now && now >= 4)
    })
    .await?;
    // Four responses hold 32 MiB. Up to eight requests begin, because the host expects 4 MiB for each until it has seen
    // a response.
    let begun = answered(&app);
    assert!((4..=8).contains(&begun), "{begun} requests were begun");
    let held = memory(&app)?.saturating_sub(before);
    assert!(held < 160, "{held} MiB are held");
    // Another client is served.
    let mut stream = call(&app, "/json").await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    // After the host has reset these streams, it begins further requests.
    eventually("others are begun", async || Ok(answered(&app) > begun)).await?;
    let mut resets = 0;
    for stream in streams {
        let ended = timeout(Duration::from_millis(1), stream).await;
        if let Ok(answer) = ended {
            until_reset(answer??.into_body()).await?;
            resets += 1;
        }
    }
    assert!(resets >= begun, "{resets} were reset");
    Ok(())
}

#[tokio::test]
async fn closes_the_slowest_connection_when_all_hold_too_much() -> Result {
    let env = [("CARYA_SERVER__MAX_UNSENT", "40MiB"), ("CARYA_SERVER__SEND_TIMEOUT", "1m")];
    let app = start(&env).await?;
    let mut clients = Vec::new();
    for number in 1..=3 {
        clients.push(call(&app, LARGE).await?);
        eventually("the request is answered", async || Ok(answered(&app) >= number)).await?;
        // This makes the first connection the one that has waited longest.
        sleep(Duration::from_millis(300)).await;
    }
    let line = app.log.wait_for("closing the slowest connection").await?;
    assert_eq!(line["level"], "WARN", "{line}");
    let mut clients = clients.into_iter();
    let first = clients.next().ok_or("no client")?;
    assert!(lifetime(first).await?.1.len() < 16 << 20);
    for mut client in clients {
        // The response is larger than the socket buffers, so the host has kept the rest of it.
        timeout(PATIENCE, client.read_exact(&mut vec![0; 16 << 20])).await??;
    }
    assert_eq!(app.log.lines().iter().filter(|line| line["message"].to_string().contains("slowest")).count(), 1);
    Ok(())
}
