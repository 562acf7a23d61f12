//! Responses to requests whose body the host does not read: a client that is still sending sees them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    process::Command,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::{exchange, send, start, status};
use crate::{
    connections,
    support::{App, PATIENCE, Result, Wrong, check, check_eq},
};

/// Length of a body that does not fit into the buffers of both sockets.
const LENGTH: usize = 5 << 20;

/// Sends a head and a body of [`LENGTH`] bytes, and only then reads. Returns the status, or 0 with the error.
async fn upload(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) -> (u16, String) {
    let mut request = head.as_bytes().to_vec();
    request.resize(head.len() + LENGTH, b'x');
    match exchange(stream, &request).await {
        Ok(response) => (status(&response), response),
        Err(error) => (0, error.to_string()),
    }
}

/// Returns heads of requests to the application, each with the status that the host returns before it reads the body.
fn heads() -> Vec<(u16, String)> {
    let head = |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
    let length = format!("content-length: {LENGTH}\r\n");
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{LENGTH:x}");
    vec![
        (413, head("POST /echo", &length)),
        (413, head("POST /echo", &chunk)),
        (413, head("POST /echo", &format!("expect: 100-continue\r\n{length}"))),
        (413, head("POST /echo", &format!("upgrade: h2c\r\nconnection: upgrade\r\n{length}"))),
        (413, head("POST /no/such/path", &length)),
        (405, head("POST /files/a.txt", &length)),
        (404, head("GET /files/no.txt", &length)),
        (200, head("GET /files/a.txt", &length)),
        (400, head("POST /echo", &format!("host: y\r\n{length}"))),
        (400, head("POST /echo#a", &length)),
        (400, head("PO(ST /echo", &length)),
        (400, head("POST /echo", "content-length: a\r\n")),
        (400, head("POST /echo", "transfer-encoding: chunked\r\n\r\nzz")),
        (414, head(&format!("POST /{}", "x".repeat(70_000)), &length)),
        (417, head("POST /echo", &format!("expect: a-miracle\r\n{length}"))),
        (431, head("POST /echo", &format!("{}{length}", "a: b\r\n".repeat(200)))),
        (501, head("POST /echo", "transfer-encoding: gzip, chunked\r\n")),
        (501, head("CONNECT x:80", "")),
        // The rest of the body is no request.
        (200, head("POST /faulty/print", "content-length: 2\r\n\r\n[]")),
    ]
}

#[tokio::test]
async fn a_client_that_is_still_sending_sees_its_response() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (expected, head) in heads() {
        let mut stream = TcpStream::connect(app.address()).await?;
        let (found, response) = upload(&mut stream, &head).await;
        let shown: String = head.chars().take(100).collect();
        check_eq!(wrong, found, expected, "{shown:?}: {response}");
        // hyper itself refuses malformed heads.
        let is_ours = matches!(expected, 404 | 405 | 413 | 417 | 501);
        check!(wrong, !is_ours || response.contains("connection: close"), "{shown:?}: {response}");
    }
    Ok(())
}

#[tokio::test]
async fn each_of_many_large_bodies_gets_413() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
    for round in 0..20 {
        let (found, response) = upload(&mut TcpStream::connect(app.address()).await?, &head).await;
        check_eq!(wrong, found, 413, "{round}: {response}");
    }
    // The head is refused by its length: no byte of the body is awaited.
    let response = send(&app, &head).await?;
    assert_eq!(status(&response), 413, "{response}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_too_slow_gets_408() -> Result {
    let app = start(&[("CARYA_SERVER__REQUEST_TIMEOUT", "300ms")]).await?;
    let mut stream = TcpStream::connect(app.address()).await?;
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        stream.write_all(b"x").await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let response = exchange(&mut stream, b"x").await?;
    assert_eq!(status(&response), 408, "{response}");
    Ok(())
}

#[tokio::test]
async fn the_deployment_listener_answers_clients_that_are_still_sending() -> Result {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem())?;
    let place = tempfile::tempdir()?;
    let socket = place.path().join("admin.sock");
    let token = "token = \"the-token-of-the-tests\"\nmax_upload = 1000\n";
    let tls = format!("[deploy]\nlisten = \"127.0.0.1:0\"\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n{token}");
    let unix = format!("[deploy]\nlisten = \"unix:{}\"\n{token}", socket.display());
    let tls = App::start_in(folder, &tls, &[], &[]).await?;
    let unix = App::start_in(tempfile::tempdir()?, &unix, &[], &[]).await?;
    unix.log.wait_for("deployment").await?;
    let address = tls.log.wait_for("deployment").await?["address"].as_str().ok_or("no address")?.to_owned();

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(std::sync::Arc::new(config));

    let digest = "0".repeat(64);
    let good = "authorization: Bearer the-token-of-the-tests\r\n";
    let mut wrong = Wrong::default();
    for (line, authorization, expected) in [
        (format!("PUT /blobs/{digest}"), good, 413),
        (format!("PUT /blobs/{digest}"), "", 401),
        ("PUT /blobs/none".to_owned(), good, 422),
        ("PUT /nowhere".to_owned(), good, 404),
        ("PUT /rollback".to_owned(), good, 405),
        ("POST /collect".to_owned(), good, 200),
    ] {
        for fields in [format!("content-length: {LENGTH}"), format!("transfer-encoding: chunked\r\n\r\n{LENGTH:x}")] {
            let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{authorization}{fields}\r\n\r\n");
            let stream = TcpStream::connect(&address).await?;
            let mut stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
            let (found, response) = upload(&mut stream, &head).await;
            check_eq!(wrong, found, expected, "TLS {head:?}: {response}");
            let (found, response) = upload(&mut UnixStream::connect(&socket).await?, &head).await;
            check_eq!(wrong, found, expected, "Unix {head:?}: {response}");
            check!(wrong, response.contains("connection: close"), "{head:?}: {response}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn http2_clients_that_are_still_sending_see_413() -> Result {
    let app = start(&[]).await?;
    let (mut client, _connection) = connections::http2(app.address(), 65_535).await?;
    for round in 0..20 {
        let (response, mut body) = client.send_request(Request::post("http://x/echo").body(())?, false)?;
        body.send_data(Bytes::from(vec![b'x'; LENGTH]), true)?;
        let response = timeout(PATIENCE, response).await?.map_err(|error| format!("{round}: {error}"))?;
        assert_eq!(response.status(), 413, "{round}");
        let mut text = Vec::new();
        let mut body = response.into_body();
        while let Some(data) = timeout(PATIENCE, body.data()).await? {
            text.extend_from_slice(&data?);
        }
        assert!(String::from_utf8_lossy(&text).contains("The body may have at most"), "{round}");
    }
    Ok(())
}

/// Runs a program that prints the status of its response. Returns what it prints, with its errors.
async fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = timeout(PATIENCE, Command::new(program).args(args).output()).await??;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn common_clients_see_413() -> Result {
    let app = start(&[]).await?;
    let url = format!("http://{}/echo", app.address());
    let file = app.folder.path().join("body");
    std::fs::write(&file, vec![b'x'; LENGTH])?;
    let body = format!("@{}", file.display());
    let mut wrong = Wrong::default();
    let shown = ["-s", "-S", "-o", "/dev/null", "-w", "%{http_code}"];
    for args in [
        &["--http1.1"][..],
        &["--http1.1", "-H", "expect:"],
        &["--http1.1", "-H", "transfer-encoding: chunked"],
        &["--http1.0"],
        &["--http2"],
        &["--http2-prior-knowledge"],
    ] {
        for round in 0..5 {
            let all = [&shown, args, &["--data-binary", &body, &url]].concat();
            check_eq!(wrong, run("curl", &all).await?, "413", "{args:?} {round}");
        }
    }
    let python = format!(
        "import http.client\nfor _ in range(5):\n c = http.client.HTTPConnection('{}')\n c.request('POST', '/echo', b'x' * {LENGTH})\n r = c.getresponse()\n r.read()\n print(r.status, end=' ')\n c.request('GET', '/files/a.txt')\n print(c.getresponse().status, end=' ')",
        app.address()
    );
    check_eq!(wrong, run("python3", &["-c", &python]).await?, "413 200 ".repeat(5), "python");
    Ok(())
}

#[tokio::test]
async fn discards_for_a_limited_time_and_a_limited_amount() -> Result {
    let app = start(&[]).await?;
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40);
    // A client that sends nothing more: its connection is closed after 5 s.
    let mut silent = TcpStream::connect(app.address()).await?;
    let response = exchange(&mut silent, head.as_bytes()).await?;
    assert_eq!(status(&response), 413, "{response}");
    tokio::time::sleep(Duration::from_secs(7)).await;
    // The first write provokes a reset, the second one fails.
    silent.write_all(b"x").await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(silent.write_all(b"x").await.is_err(), "it is still open");

    // A client that never stops sending.
    let mut endless = TcpStream::connect(app.address()).await?;
    endless.write_all(head.as_bytes()).await?;
    let (piece, mut sent) = (vec![b'x'; 1 << 20], 0);
    while endless.write_all(&piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 1 << 30, "it still reads after {sent} bytes");
    }
    assert!(sent >= 200 << 20, "only {sent} bytes");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_discards_makes_room_and_does_not_delay_the_end() -> Result {
    let app = start(&[("CARYA_SERVER__CONNECTIONS", "1")]).await?;
    let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut first = TcpStream::connect(app.address()).await?;
    assert_eq!(status(&exchange(&mut first, head.as_bytes()).await?), 413);
    let begun = Instant::now();
    assert_eq!(app.get("/files/a.txt").await?.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    let mut last = TcpStream::connect(app.address()).await?;
    assert_eq!(status(&exchange(&mut last, head.as_bytes()).await?), 413);
    let begun = Instant::now();
    assert_eq!(app.stop().await?.1, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // The clients have kept their connections open until now.
    drop((first, last));
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_read_leaves_the_connection_open() -> Result {
    let app = start(&[("CARYA_SERVER__MAX_BODY", "64KiB")]).await?;
    let mut stream = TcpStream::connect(app.address()).await?;
    for (line, expected) in [("POST /echo", 500), ("POST /no", 404), ("DELETE /no", 404), ("POST /faulty/print", 200)] {
        for fields in ["content-length: 2\r\n\r\n{}", "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"] {
            stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n{fields}").as_bytes()).await?;
            let response = connections::response(&mut stream).await?;
            assert_eq!(status(&response), expected, "{line}: {response}");
            assert!(!response.contains("connection: close"), "{line}: {response}");
        }
    }
    let mut rest = [0; 1];
    assert!(timeout(Duration::from_millis(100), stream.read(&mut rest)).await.is_err(), "it was closed");
    Ok(())
}
