//! Limits of each client: rates, connections, requests at a time, targets and bodies.

mod rates;

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{sleep, timeout},
};

use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, PATIENCE, Response, Result, Wrong, check, check_eq, eventually},
};

async fn start(server: &str) -> Result<App> {
    let config = format!("{ROUTE}[server]\nmetrics = '127.0.0.1:0'\n{server}\n");
    start_with(Engine::Sqlite, &config, &[]).await
}

async fn exceeded(app: &App, limit: &str) -> Result<usize> {
    app.metric(&format!("carya_limits_exceeded_total{{limit=\"{limit}\"}}")).await
}

const REQUEST: &str = "GET /x HTTP/1.1\r\nhost: x\r\n\r\n";

/// Sends a request on a connection. Returns the first line of the response, which is empty if the connection is closed.
async fn ask(stream: &mut TcpStream, request: &str) -> Result<String> {
    let (mut answer, mut byte) = (Vec::new(), [0; 1]);
    // The host may have closed the connection.
    let _ = stream.write_all(request.as_bytes()).await;
    while !answer.ends_with(b"\r\n") {
        match timeout(PATIENCE, stream.read(&mut byte)).await? {
            Ok(0) | Err(_) => break,
            Ok(_) => answer.push(byte[0]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

const OK: &str = "HTTP/1.1 200 OK";

#[tokio::test]
async fn an_address_has_a_number_of_connections() -> Result {
    let app = start("connections_per_address = 2").await?;
    let mut wrong = Wrong::default();
    let mut open = [TcpStream::connect(app.address()).await?, TcpStream::connect(app.address()).await?];
    for stream in &mut open {
        check_eq!(wrong, ask(stream, REQUEST).await?, OK, "within the limit");
    }
    let mut third = TcpStream::connect(app.address()).await?;
    check_eq!(wrong, ask(&mut third, REQUEST).await?, "", "the third connection");
    check!(wrong, exceeded(&app, "connections_per_address").await? >= 1, "it is counted");
    let url = format!("http://{}/x", app.address());
    let curl = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", "127.0.0.2", &url];
    let ran = timeout(PATIENCE, Command::new("curl").args(curl).output()).await??;
    check_eq!(wrong, String::from_utf8_lossy(&ran.stdout), "200", "another address");
    drop(open);
    eventually("a connection ends", async || {
        Ok(ask(&mut TcpStream::connect(app.address()).await?, REQUEST).await? == OK)
    })
    .await?;
    // A proxy has the connections of many clients.
    let app = start("connections_per_address = 2\ntrusted_proxies = ['127.0.0.1']").await?;
    let mut open = Vec::new();
    for number in 0..5 {
        let mut stream = TcpStream::connect(app.address()).await?;
        check_eq!(wrong, ask(&mut stream, REQUEST).await?, OK, "connection {number} of a proxy");
        open.push(stream);
    }
    // Behind the PROXY protocol, the address is that of the client.
    let app = start("connections_per_address = 2\nproxy_protocol = true\ntrusted_proxies = ['127.0.0.1']").await?;
    let mut open = Vec::new();
    for (address, expected) in [("1.1.1.1", OK), ("1.1.1.1", OK), ("1.1.1.1", ""), ("2.2.2.2", OK)] {
        let mut stream = TcpStream::connect(app.address()).await?;
        let request = format!("PROXY TCP4 {address} 10.0.0.1 1 2\r\n{REQUEST}");
        check_eq!(wrong, ask(&mut stream, &request).await?, expected, "{address}");
        open.push(stream);
    }
    Ok(())
}

/// Opens a connection and sends the head of a request. Returns once the host waits for the body.
async fn begin(app: &App, address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(app.address()).await?;
    let head = format!(
        "POST /x HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    Ok(stream)
}

#[tokio::test]
async fn an_address_has_a_number_of_requests_at_a_time() -> Result {
    let app = start("requests_per_address = 2\ntrusted_proxies = ['127.0.0.1']").await?;
    let mut wrong = Wrong::default();
    let mut running = [begin(&app, "1.1.1.1").await?, begin(&app, "1.1.1.1").await?];
    let get = async |address: &str| -> Result<Response> {
        Response::read(app.request("GET", "/x").header("x-forwarded-for", address).send().await?).await
    };
    let refused = get("1.1.1.1").await?;
    check_eq!(wrong, (refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.text());
    check_eq!(wrong, get("2.2.2.2").await?.status, 200, "another address");
    check!(wrong, exceeded(&app, "requests_per_address").await? >= 1, "they are counted");
    for stream in &mut running {
        check_eq!(wrong, ask(stream, "[]").await?, OK, "a running request");
        eventually("its place is free", async || Ok(get("1.1.1.1").await?.status == 200)).await?;
    }
    // A client that disconnects frees its places.
    drop([begin(&app, "3.3.3.3").await?, begin(&app, "3.3.3.3").await?]);
    eventually("places are free", async || Ok(get("3.3.3.3").await?.status == 200)).await?;
    Ok(())
}

#[tokio::test]
async fn long_targets_are_refused() -> Result {
    let app = start("max_target = 100").await?;
    let mut wrong = Wrong::default();
    for (length, status) in [(100, "200"), (101, "414"), (5000, "414")] {
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            let target = format!("/x?{}", "q".repeat(length - 3));
            let url = format!("http://{}{target}", app.address());
            let args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", http, &url];
            let ran = timeout(PATIENCE, Command::new("curl").args(args).output()).await??;
            check_eq!(wrong, String::from_utf8_lossy(&ran.stdout), status, "{length} {http}");
        }
    }
    let mut stream = TcpStream::connect(app.address()).await?;
    let long = REQUEST.replace("/x", &format!("/{}", "x".repeat(200)));
    check_eq!(wrong, ask(&mut stream, &long).await?, "HTTP/1.1 414 URI Too Long", "the status line");
    check_eq!(wrong, exceeded(&app, "max_target").await?, 5, "they are counted");
    let app = start("").await?;
    let mut stream = TcpStream::connect(app.address()).await?;
    let long = REQUEST.replace("/x", &format!("/x?{}", "x".repeat(60_000)));
    check_eq!(wrong, ask(&mut stream, &long).await?, OK, "by default");
    Ok(())
}

#[tokio::test]
async fn a_body_must_arrive_steadily() -> Result {
    let app = start("body_timeout = '1s'\nmax_body = '64KiB'").await?;
    let mut wrong = Wrong::default();
    // Each 16 KiB within 700 ms, so 48 KiB take longer than the limit.
    let head = |length: usize| format!("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let (mut steady, begun) = (TcpStream::connect(app.address()).await?, Instant::now());
    steady.write_all(head(3 << 14).as_bytes()).await?;
    for piece in [vec![b' '; 1 << 14], vec![b' '; 1 << 14], [&vec![b' '; (1 << 14) - 2][..], b"[]"].concat()] {
        sleep(Duration::from_millis(700)).await;
        steady.write_all(&piece).await?;
    }
    check_eq!(wrong, ask(&mut steady, "").await?, OK, "a steady body");
    check!(wrong, begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    for (what, first, pause) in [("nothing", "", 0), ("a byte from time to time", "[", 300)] {
        let (mut slow, begun) = (TcpStream::connect(app.address()).await?, Instant::now());
        slow.write_all(head(100).as_bytes()).await?;
        slow.write_all(first.as_bytes()).await?;
        for _ in 0..if pause == 0 { 0 } else { 5 } {
            sleep(Duration::from_millis(pause)).await;
            let _ = slow.write_all(b" ").await;
        }
        check_eq!(wrong, ask(&mut slow, "").await?, "HTTP/1.1 408 Request Timeout", "{what}");
        let took = begun.elapsed();
        check!(wrong, took > Duration::from_millis(900) && took < Duration::from_secs(5), "{what}: {took:?}");
    }
    check_eq!(wrong, exceeded(&app, "body_timeout").await?, 2, "they are counted");
    let mut large = TcpStream::connect(app.address()).await?;
    check_eq!(wrong, ask(&mut large, &head(1 << 20)).await?, "HTTP/1.1 413 Payload Too Large", "a large body");
    check_eq!(wrong, exceeded(&app, "max_body").await?, 1, "it is counted");
    Ok(())
}

#[tokio::test]
async fn clients_learn_the_number_of_streams() -> Result {
    let mut wrong = Wrong::default();
    for (server, streams) in [("", 100), ("http2_max_streams = 7", 7)] {
        let app = start(server).await?;
        let mut stream = TcpStream::connect(app.address()).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
        let mut head = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut head)).await??;
        let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        timeout(PATIENCE, stream.read_exact(&mut settings)).await??;
        // SETTINGS_MAX_CONCURRENT_STREAMS of RFC 9113, section 6.5.2.
        let found = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).map(|setting| setting[2..].to_vec());
        check_eq!(wrong, found, Some(u32::to_be_bytes(streams).to_vec()), "{server}: {settings:?}");
    }
    Ok(())
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_counted() -> Result {
    let app = start("http2_max_streams = 2").await?;
    let mut stream = TcpStream::connect(app.address()).await?;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in [1, 3, 5, 7] {
        // HEADERS of `POST /x` whose body does not arrive.
        frames.extend([&[0, 0, 9, 1, 4, 0, 0, 0, id], &b"\x83\x86\x44\x02/x\x41\x01x"[..]].concat());
    }
    stream.write_all(&frames).await?;
    eventually("two streams are refused", async || Ok(exceeded(&app, "http2_max_streams").await? == 2)).await
}
