//! Heads of requests: `Host`, `Transfer-Encoding` and `Expect`; and responses that must not have a body.

use bytes::Bytes;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{echo, echoed, send, start, status};
use crate::{
    connections,
    support::{PATIENCE, Result, Wrong, check, check_eq},
};

#[tokio::test]
async fn a_request_names_one_host() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (version, fields, expected) in [
        ("1.1", "host: x\r\n", 200),
        ("1.1", "HOST:x:8080\r\n", 200),
        ("1.1", "host: [::1]:80\r\n", 200),
        ("1.0", "", 200),
        ("1.0", "host: x\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "host: x\r\nhost: x\r\n", 400),
        ("1.1", "host: x\r\nHost: y\r\n", 400),
        ("1.1", "host: x\r\naccept: */*\r\nhost: y\r\n", 400),
        ("1.0", "host: x\r\nhost: y\r\n", 400),
        ("1.1", "host:\r\n", 400),
        ("1.1", "host: a b\r\n", 400),
        ("1.1", "host: a/b\r\n", 400),
        ("1.1", "host: http://x\r\n", 400),
        ("1.1", "host: user@x\r\n", 400),
        ("1.1", "host: x:http\r\n", 400),
        ("1.1", "host: x:99999\r\n", 400),
        ("1.1", "host: [::1\r\n", 400),
        ("1.1", "host: x\u{e9}\r\n", 400),
        ("1.0", "host: a b\r\n", 400),
    ] {
        for (method, path) in
            [("GET", "/faulty/print"), ("POST", "/faulty/print"), ("GET", "/files/a.txt"), ("GET", "/no")]
        {
            let expected = match (path, expected) {
                ("/no", 200) => 404,
                _ => expected,
            };
            let response =
                send(&app, &format!("{method} {path} HTTP/{version}\r\n{fields}connection: close\r\n\r\n")).await?;
            check_eq!(wrong, status(&response), expected, "{version} {fields:?} {method} {path}: {response}");
        }
    }
    let refused = app.log.wait_for("refused").await?;
    assert_eq!((&refused["status"], &refused["path"]), (&json!(400), &json!("/faulty/print")));
    Ok(())
}

#[tokio::test]
async fn every_listener_checks_heads() -> Result {
    let app = connections::start(&[]).await?;
    let mut wrong = Wrong::default();
    for (address, path) in connections::listeners(&app).await? {
        let good = connections::get(path);
        for (head, expected) in [
            (good.clone(), 200),
            (good.replace("host: x\r\n", ""), 400),
            (good.replace("host: x", "host: x\r\nhost: x"), 400),
            (good.replace("host: x", "host: x\r\nexpect: a-miracle"), 417),
            (good.replace("host: x", "host: x\r\ntransfer-encoding: gzip, chunked"), 501),
            (good.replace(path, &format!("{path}#a")), 400),
            (good.replace(&format!("GET {path}"), "OPTIONS *"), 204),
            (good.replace(&format!("GET {path}"), "CONNECT x:80"), 501),
        ] {
            let head = head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            let response = super::exchange(&mut TcpStream::connect(&address).await?, head.as_bytes()).await?;
            check_eq!(wrong, status(&response), expected, "{address} {head:?}: {response}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_host_of_the_target_reaches_the_guest() -> Result {
    let app = start(&[]).await?;
    let (mut wrong, body) = (Wrong::default(), echo());
    let length = body.len();
    for (target, host, expected) in [
        ("/echo", "a.example:81", "a.example:81"),
        ("http://b.example/echo", "a.example", "b.example"),
        ("http://b.example:82/echo?x=1", "a.example", "b.example:82"),
        ("HTTP://B.example/echo", "a.example", "B.example"),
        ("https://[::1]:83/echo", "a.example", "[::1]:83"),
    ] {
        let head =
            format!("POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let response = send(&app, &format!("{head}{body}")).await?;
        let echoed = echoed(&response)?;
        check_eq!(wrong, (&echoed["header"]["host"], &echoed["path"]), (&json!(expected), &json!("/echo")), "{target}");
    }
    for (target, host) in [
        ("http://user@b.example/echo", "a"),
        ("http://b.example:x/echo", "a"),
        ("http:///echo", "a"),
        ("http://b.example/echo", "a b"),
        ("http://b.example/echo", "a\r\nhost: a"),
        ("ftp://b.example/echo", "a"),
    ] {
        let response =
            send(&app, &format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await?;
        check_eq!(wrong, status(&response), 400, "{target} {host:?}: {response}");
    }

    let (mut client, _connection) = connections::http2(app.address(), 65_535).await?;
    for (host, expected) in [(None, "c.example:84"), (Some("d.example"), "c.example:84")] {
        let mut request = Request::post("http://c.example:84/echo").body(())?;
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse()?);
        }
        let (response, mut send) = client.send_request(request, false)?;
        send.send_data(Bytes::from(echo()), true)?;
        let mut body = response.await?.into_body();
        let data = timeout(PATIENCE, body.data()).await?.ok_or("no body")??;
        let echoed: serde_json::Value = serde_json::from_slice(&data)?;
        check_eq!(wrong, echoed[0]["header"]["host"], expected, "{host:?}: {echoed}");
    }
    Ok(())
}

#[tokio::test]
async fn only_one_chunked_coding_is_decoded() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (version, fields, expected) in [
        ("1.1", "transfer-encoding: chunked\r\n", 200),
        ("1.1", "transfer-encoding: CHUNKED\r\n", 200),
        ("1.1", "transfer-encoding: , chunked\r\n", 200),
        ("1.1", "transfer-encoding: chunked, chunked\r\n", 400),
        ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400),
        ("1.1", "transfer-encoding: chunked, gzip\r\n", 400),
        ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", 400),
        ("1.1", "transfer-encoding: xchunked\r\n", 400),
        ("1.1", "transfer-encoding: chunked;q=1\r\n", 400),
        ("1.1", "transfer-encoding:\r\n", 400),
        ("1.1", "transfer-encoding: gzip, chunked\r\n", 501),
        ("1.1", "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", 501),
        ("1.1", "transfer-encoding: \"a, chunked\r\n", 501),
        ("1.0", "transfer-encoding: chunked\r\n", 400),
        ("1.1", "content-length: 1\r\ncontent-length: 2\r\n", 400),
        ("1.1", "content-length: 1, 1\r\n", 400),
        ("1.1", "content-length: +1\r\n", 400),
    ] {
        // A body that contains a request: it must never be answered as one.
        let body = "5\r\n[    \r\n1\r\n]\r\n0\r\n\r\n";
        let request = format!("POST /echo HTTP/{version}\r\nhost: x\r\n{fields}\r\n{body}");
        let request = match expected {
            200 => request.replace("host: x", "host: x\r\nconnection: close"),
            _ => request + "GET /files/a.txt HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        let response = send(&app, &request).await?;
        check_eq!(wrong, status(&response), expected, "{version} {fields:?}: {response}");
        check_eq!(wrong, response.matches("HTTP/1.").count(), 1, "{version} {fields:?}: {response}");
    }
    Ok(())
}

#[tokio::test]
async fn expectations_are_met_or_refused() -> Result {
    let app = start(&[("CARYA_SERVER__MAX_BODY", "1KiB")]).await?;
    let mut wrong = Wrong::default();
    for (version, fields, expected) in [
        ("1.1", "expect: 100-continue\r\ncontent-length: 2\r\n", 100),
        ("1.1", "expect: 100-Continue\r\ncontent-length: 2\r\n", 100),
        ("1.1", "expect: 100-continue\r\ntransfer-encoding: chunked\r\n", 100),
        ("1.1", "expect: 100-continue\r\ncontent-length: 1025\r\n", 413),
        ("1.1", "expect: 100-continue\r\ncontent-length: 18446744073709551613\r\n", 413),
        ("1.1", "expect: a-miracle\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: a-miracle\r\n", 417),
        ("1.1", "expect: 100-continue, a-miracle\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: 100-continue\r\nexpect: a-miracle\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: \u{e9}\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: 100-continue\r\nexpect: 100-continue\r\ncontent-length: 2\r\n", 100),
        ("1.1", "expect: 100-continue, 100-continue\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: , 100-continue\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: 100-continue\r\nexpect:\r\ncontent-length: 2\r\n", 417),
        ("1.1", "expect: a-miracle\r\ncontent-length: 1025\r\n", 417),
    ] {
        for path in ["/echo", "/files/a.txt"] {
            let expected = match (path, expected) {
                // A file has no use for a body.
                ("/files/a.txt", 100 | 413) => 405,
                _ => expected,
            };
            let mut stream = TcpStream::connect(app.address()).await?;
            let head = format!("POST {path} HTTP/{version}\r\nhost: x\r\n{fields}\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut response = String::new();
            while !response.contains("\r\n\r\n") {
                let mut buffer = [0; 4096];
                match timeout(PATIENCE, stream.read(&mut buffer)).await?? {
                    0 => break,
                    length => response.push_str(std::str::from_utf8(&buffer[..length])?),
                }
            }
            check_eq!(wrong, status(&response), expected, "{version} {fields:?} {path}: {response}");
            if expected == 100 {
                let body = if fields.contains("chunked") { "2\r\n[]\r\n0\r\n\r\n" } else { "[]" };
                stream.write_all(body.as_bytes()).await?;
                let response = connections::response(&mut stream).await?;
                check_eq!(wrong, status(&response), 200, "{version} {fields:?}: {response}");
            } else {
                check!(wrong, response.contains("connection: close"), "{version} {fields:?} {path}: {response}");
            }
        }
    }
    // HTTP/1.0 has no expectations, so the host waits for the body.
    let response = send(&app, "POST /echo HTTP/1.0\r\nexpect: a-miracle\r\ncontent-length: 2\r\n\r\n[]").await?;
    assert_eq!(status(&response), 200, "{response}");
    Ok(())
}

#[tokio::test]
async fn responses_without_content_have_no_body() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (method, code, expected) in [
        ("GET", 200, "status"),
        ("GET", 204, ""),
        ("GET", 205, ""),
        ("GET", 304, ""),
        ("POST", 205, ""),
        ("HEAD", 200, ""),
        ("HEAD", 205, ""),
    ] {
        let path = format!("/faulty/status?code={code}");
        let response = send(&app, &format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or("no head")?;
        check_eq!(wrong, (status(&response), body), (code, expected), "{method} {code}: {response}");
        let length = match (method, code) {
            (_, 204 | 304) | ("HEAD", 205) => None,
            (_, 205) => Some("0"),
            _ => Some("6"),
        };
        let found = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        check_eq!(wrong, found, length, "{method} {code}: {head}");

        let (mut client, _connection) = connections::http2(app.address(), 65_535).await?;
        let request = Request::builder().method(method).uri(format!("http://x{path}")).body(())?;
        let (response, _) = client.send_request(request, true)?;
        let response = timeout(PATIENCE, response).await??;
        check_eq!(wrong, response.status().as_u16(), code, "HTTP/2 {method} {code}");
        let mut body = response.into_body();
        let mut received = Vec::new();
        while let Some(data) = timeout(PATIENCE, body.data()).await? {
            received.extend_from_slice(&data?);
        }
        check_eq!(wrong, received, expected.as_bytes(), "HTTP/2 {method} {code}");
    }
    // A guest cannot make an informational response.
    let response = send(&app, "GET /faulty/status?code=100 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    assert_eq!(status(&response), 500, "{response}");
    Ok(())
}
