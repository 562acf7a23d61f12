//! Targets of requests: the server as a whole, fragments, and percent-encoded characters.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::{echo, echoed, send, start, status};
use crate::{
    connections,
    support::{App, Result, Wrong, check, check_eq},
};

#[tokio::test]
async fn targets_that_name_no_resource() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (line, expected) in [
        ("OPTIONS *", 204),
        ("GET *", 400),
        ("POST *", 400),
        ("OPTIONS /*", 404),
        ("CONNECT x:80", 501),
        ("CONNECT /echo", 501),
        ("CONNECT http://x/echo", 501),
        ("GET x:80", 400),
        ("GET x", 400),
        ("GET echo/1", 400),
        ("GET ?a", 400),
        ("GET /echo#a", 400),
        ("GET /echo?a#b", 400),
        ("GET /#", 400),
        ("GET #", 400),
        ("GET http://x/echo#a", 400),
        ("OPTIONS *#a", 400),
        ("GET /files/a.txt#", 400),
        ("GET /files/a.txt?%23", 200),
        ("GET /files/a%23", 404),
    ] {
        let response = send(&app, &format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await?;
        check_eq!(wrong, status(&response), expected, "{line}: {response}");
    }
    Ok(())
}

#[tokio::test]
async fn a_fragment_is_found_in_each_request_line() -> Result {
    let app = start(&[]).await?;
    let mut stream = TcpStream::connect(app.address()).await?;
    // Only the request line counts, and not header fields and bodies.
    for _ in 0..3 {
        let body = "[\n]                    #";
        let head =
            format!("POST /faulty/print HTTP/1.1\r\nhost: x\r\nx-a: #\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        sleep(Duration::from_millis(20)).await;
        stream.write_all(body.as_bytes()).await?;
        assert_eq!(status(&connections::response(&mut stream).await?), 200);
    }
    // An empty line before the request, and a request line in pieces.
    for piece in ["\r\n", "GET /faulty", "/print#", "a HTTP/1.1\r\n", "host: x\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await?;
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&connections::response(&mut stream).await?), 400);
    // The first bytes are those of the preface of HTTP/2.
    let mut stream = TcpStream::connect(app.address()).await?;
    for piece in ["P", "OST /echo#a HTTP/1.1\r\nhost: x\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await?;
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&connections::response(&mut stream).await?), 400);
    Ok(())
}

#[tokio::test]
async fn a_fragment_is_found_in_pipelined_requests() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: x\r\nreferer: /#\r\n\r\n");
    let (good, bad) = (get("/faulty/print"), get("/faulty/print?a#b"));
    let sized =
        |body: &str| format!("POST /faulty/print HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let chunked = "POST /faulty/print HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\n#\n#\r\n0\r\n\r\n";
    let close = "GET /faulty/print?last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for (requests, expected) in [
        (vec![&*good, &bad, &good], vec![200, 400]),
        (vec![&good, &get("http://x/faulty/print#")], vec![200, 400]),
        (vec![&sized("[\"#\"]"), &bad], vec![200, 400]),
        (vec![&sized("#\n# a"), &bad], vec![200, 400]),
        (vec![chunked, &bad], vec![200, 400]),
        // These bytes belong to a body.
        (vec![&sized(&bad), close], vec![200, 200]),
        (vec![&sized("POST /faulty/print#a HTTP/1.1\r\n"), close], vec![200, 200]),
    ] {
        let response = send(&app, &requests.concat()).await?;
        let found: Vec<_> = response.match_indices("HTTP/1.1 ").map(|(at, _)| status(&response[at..])).collect();
        check_eq!(wrong, found, expected, "{requests:?}: {response}");
    }
    // A request that arrives while the previous one runs.
    let mut stream = TcpStream::connect(app.address()).await?;
    stream.write_all(get("/faulty/sleep?ms=300").as_bytes()).await?;
    sleep(Duration::from_millis(100)).await;
    let response = super::exchange(&mut stream, bad.as_bytes()).await?;
    check!(wrong, response.contains("HTTP/1.1 400"), "{response}");
    Ok(())
}

async fn post(app: &App, path: &str) -> Result<String> {
    let body = echo();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    send(app, &format!("{head}{body}")).await
}

#[tokio::test]
async fn encoded_unreserved_characters_match_their_route() -> Result {
    let app = start(&[]).await?;
    let mut wrong = Wrong::default();
    for (path, normal, id) in [
        ("/echo", "/echo", None),
        ("/%65cho", "/echo", None),
        ("/%65%63%68%6F", "/echo", None),
        ("/%65%63%68%6f?a=%65", "/echo", None),
        ("/echo/%7Eann", "/echo/~ann", Some("~ann")),
        ("/%65cho/a%2Fb", "/echo/a%2Fb", Some("a/b")),
        ("/echo/a%2fb", "/echo/a%2fb", Some("a/b")),
        ("/echo/%2565", "/echo/%2565", Some("%65")),
        ("/echo/%25%36%35", "/echo/%2565", Some("%65")),
        ("/echo/caf%C3%A9%20", "/echo/caf%C3%A9%20", Some("caf\u{e9} ")),
        ("http://x/%65cho", "/echo", None),
    ] {
        let response = post(&app, path).await?;
        check_eq!(wrong, status(&response), 200, "{path}: {response}");
        if status(&response) != 200 {
            continue;
        }
        let echoed = echoed(&response)?;
        // Guests see the path that the host has routed, so that a hook can check it.
        check_eq!(wrong, (&echoed["path"], &echoed["params"]["id"]), (&json!(normal), &json!(id)), "{path}: {echoed}");
    }
    let query = echoed(&post(&app, "/%65cho?a=%65&b=%2F").await?)?["query_string"].clone();
    assert_eq!(query, "a=%65&b=%2F");
    for (path, expected) in [
        ("/echo%2F7", 404),
        ("/echo%2f7", 404),
        ("/%2Fecho", 404),
        ("/echo%3Fa", 404),
        ("/%45cho", 404),
        ("/%2565cho", 404),
        ("/%%36%35cho", 404),
        ("/%66iles/a.txt", 405),
        ("/files%2Fa.txt", 404),
    ] {
        let response = post(&app, path).await?;
        check_eq!(wrong, status(&response), expected, "{path}: {response}");
    }
    Ok(())
}
