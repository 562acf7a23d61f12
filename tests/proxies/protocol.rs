//! The PROXY protocol: headers of both versions at the beginning of connections, and HAProxy.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{echo, echo_at};
use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, PATIENCE, Result, Wrong, check, check_eq, servers::Front},
};

async fn start(server: &str) -> Result<App> {
    start_with(Engine::Sqlite, &format!("{ROUTE}[server]\nproxy_protocol = true\n{server}"), &[]).await
}

const TRUSTED: &str = "trusted_proxies = ['127.0.0.1']";

const REQUEST: &str =
    "POST /x HTTP/1.1\r\nhost: own.test\r\nconnection: close\r\ncontent-length: 15\r\n\r\n[{\"echo\":true}]";

/// Sends pieces on a connection, with a pause between them. Returns the response, which is empty if the host closes the
/// connection.
async fn send(app: &App, pieces: &[&[u8]]) -> Result<String> {
    let mut stream = TcpStream::connect(app.address()).await?;
    for piece in pieces {
        // The host may have closed the connection after the piece before.
        let _ = stream.write_all(piece).await;
        let pause = if pieces.len() < 10 { 50 } else { 2 };
        sleep(Duration::from_millis(pause)).await;
    }
    let mut response = Vec::new();
    match timeout(PATIENCE, stream.read_to_end(&mut response)).await? {
        // The host had not read all of the bytes.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        read => drop(read?),
    }
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Returns a header of version 2.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, rest].concat()
}

/// The addresses 192.0.2.7 and 10.0.0.1, and the ports 4660 and 80.
const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

#[tokio::test]
async fn the_header_of_a_trusted_proxy_names_the_client() -> Result {
    let app = start(TRUSTED).await?;
    let ipv6 = [&[0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[0x12, 0x34, 0, 80]].concat();
    // The type PP2_TYPE_SSL, with the flag PP2_CLIENT_SSL and without a verified certificate.
    let tls = [&IPV4[..], &[0x20, 0, 5, 1, 0, 0, 0, 1]].concat();
    let mut wrong = Wrong::default();
    for (header, client, scheme) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(), "\"192.0.2.7\"", "http"),
        (b"PROXY TCP6 2a00::7 ::1 4660 80\r\n".to_vec(), "\"2a00::7\"", "http"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4660 80\r\n".to_vec(), "\"192.0.2.7\"", "http"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "\"127.0.0.1\"", "http"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), "\"127.0.0.1\"", "http"),
        (version_2(0x21, 0x11, &IPV4), "\"192.0.2.7\"", "http"),
        (version_2(0x21, 0x21, &ipv6), "\"2a00::7\"", "http"),
        (version_2(0x21, 0x11, &tls), "\"192.0.2.7\"", "https"),
        // A connection of the proxy itself, and one over a Unix socket.
        (version_2(0x20, 0x00, &[]), "\"127.0.0.1\"", "http"),
        (version_2(0x20, 0x11, &IPV4), "\"127.0.0.1\"", "http"),
        (version_2(0x21, 0x31, &[b'x'; 216]), "\"127.0.0.1\"", "http"),
        // 2 KiB of an unknown type.
        (version_2(0x21, 0x11, &[&IPV4[..], &[0xe0, 8, 0], &[7; 2048]].concat()), "\"192.0.2.7\"", "http"),
    ] {
        let what = String::from_utf8_lossy(&header[..header.len().min(40)]).into_owned();
        let whole = [&header, REQUEST.as_bytes()].concat();
        let bytes: Vec<_> = header.iter().take(60).map(std::slice::from_ref).collect();
        let in_bytes = [&bytes[..], &[&header[header.len().min(60)..], REQUEST.as_bytes()]].concat();
        let (middle, at_once) = (header.len() / 2, [&whole[..]]);
        for pieces in [
            &at_once[..],
            &[&header, REQUEST.as_bytes()],
            &[&header[..middle], &whole[middle..]],
            &[&whole[..header.len() + 5], &whole[header.len() + 5..]],
            if middle < 40 { &in_bytes } else { &at_once },
        ] {
            let response = send(&app, pieces).await?;
            check!(wrong, response.starts_with("HTTP/1.1 200 "), "{what}: {response}");
            check!(wrong, response.contains(&format!("\"client_address\":{client}")), "{what}: {response}");
            check!(wrong, response.contains(&format!("\"scheme\":\"{scheme}\"")), "{what}: {response}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_header_closes_the_connection() -> Result {
    let app = start(TRUSTED).await?;
    let mut wrong = Wrong::default();
    for header in [
        // No header at all.
        Vec::new(),
        b"PROXY\r\n".to_vec(),
        b"PROXY TCP4\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4660\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.777 10.0.0.1 4660 80\r\n".to_vec(),
        b"PROXY TCP4 2a00::7 ::1 4660 80\r\n".to_vec(),
        b"PROXY TCP5 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(),
        [b"PROXY TCP4 ".as_slice(), &[b'1'; 200], b"\r\n"].concat(),
        version_2(0x11, 0x11, &IPV4),
        version_2(0x22, 0x11, &IPV4),
        version_2(0x21, 0x41, &IPV4),
        version_2(0x21, 0x11, &IPV4[..8]),
        // Longer than the host accepts.
        version_2(0x21, 0x11, &[&IPV4[..], &[0xe0, 0x40, 0], &[7; 0x4000]].concat()),
    ] {
        let what = String::from_utf8_lossy(&header[..header.len().min(40)]).into_owned();
        let response = send(&app, &[&[&header, REQUEST.as_bytes()].concat()]).await?;
        check_eq!(wrong, response, "", "{what}");
    }
    app.log.wait_for("a proxy sent no header of the PROXY protocol").await?;
    check!(wrong, app.log.lines().iter().all(|line| line["level"] != "ERROR"), "no error of the host");
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_sends_no_header_is_disconnected() -> Result {
    let app = start(TRUSTED).await?;
    for beginning in ["", "PROXY TCP4 192."] {
        let mut silent = TcpStream::connect(app.address()).await?;
        silent.write_all(beginning.as_bytes()).await?;
        let read = timeout(Duration::from_secs(30), silent.read(&mut [0; 1])).await?;
        assert!(matches!(read, Ok(0) | Err(_)), "it was closed after 10 s: {beginning}");
    }
    Ok(())
}

#[tokio::test]
async fn only_trusted_proxies_send_headers() -> Result {
    let mut wrong = Wrong::default();
    let app = start("trusted_proxies = ['10.0.0.0/8']").await?;
    let response = send(&app, &[REQUEST.as_bytes()]).await?;
    check!(wrong, response.contains("\"client_address\":\"127.0.0.1\""), "no header is needed: {response}");
    let forged = [b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n", REQUEST.as_bytes()].concat();
    let response = send(&app, &[&forged]).await?;
    check!(wrong, response.starts_with("HTTP/1.1 400 "), "the header is no request: {response}");
    // The client that a header names is not a proxy, so its own headers are ignored.
    let app = start(TRUSTED).await?;
    let headers = REQUEST.replace("connection:", "x-forwarded-for: 6.6.6.6\r\nconnection:");
    let response = send(&app, &[b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n", headers.as_bytes()]).await?;
    check!(wrong, response.contains("\"client_address\":\"192.0.2.7\""), "{response}");
    let off = start_with(Engine::Sqlite, &format!("{ROUTE}[server]\n{TRUSTED}"), &[]).await?;
    check!(wrong, send(&off, &[&forged]).await?.starts_with("HTTP/1.1 400 "), "off by default");
    check_eq!(wrong, echo(&off, &[], &[]).await?.0, "127.0.0.1", "off by default");
    Ok(())
}

#[tokio::test]
async fn the_client_behind_haproxy_is_found() -> Result {
    let app = start(TRUSTED).await?;
    let mut wrong = Wrong::default();
    for options in ["send-proxy", "send-proxy-v2", "send-proxy-v2 check check-send-proxy inter 50"] {
        let Some(haproxy) = Front::haproxy(app.address(), options).await? else { return Ok(()) };
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            // The client has another address than HAProxy.
            let args = ["--interface", "127.0.0.2", http];
            let found = echo_at(haproxy.address(), &args, &["x-forwarded-for: 6.6.6.6"]).await?;
            check_eq!(wrong, found, (json!("127.0.0.2"), json!("http"), json!("own.test")), "{options} {http}");
        }
    }
    Ok(())
}
