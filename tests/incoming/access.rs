//! The request that the guest receives, and the access to the database that it has by `current`.

use reqwest::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{INSERT, TABLE, run, start, take_rows};
use crate::{
    script::lock,
    support::{App, Response, Result, Wrong, check_eq, eventually, upstream::Upstream},
};

#[tokio::test]
async fn the_guest_receives_the_whole_request() -> Result {
    let app = start("", &[]).await?;
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("1"));
    headers.append("x-a", HeaderValue::from_static("2"));
    let path = "/x?a=b%20c&do=head+200%7Cset%7Cecho%7Cfinish";
    let answer = app.send("POST", path, headers, vec![b'y'; 300_000]).await?;
    let text = answer.text();
    let (head, body) = text.split_once("\n\n").ok_or("no body")?;
    let first = format!("Method::Post Some(Scheme::Http) {} /x?a=b%20c&", app.address());
    assert_eq!(head.lines().next(), Some(&*first));
    assert!(head.contains("x-a: 1\nx-a: 2"), "{head}");
    assert!(!head.contains("host:"), "the authority has it: {head}");
    assert_eq!(body, "y".repeat(300_000));
    Ok(())
}

#[tokio::test]
async fn a_request_without_a_host_has_an_authority() -> Result {
    let app = start("", &[]).await?;
    let mut stream = tokio::net::TcpStream::connect(app.address()).await?;
    stream.write_all(b"GET /x?do=head+200%7Cset%7Cecho%7Cfinish HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.contains("Method::Get Some(Scheme::Http) localhost /x"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn the_scheme_is_that_of_the_client() -> Result {
    let app = start("[server]\ntrusted_proxies = ['127.0.0.1']\n", &[]).await?;
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.test")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let answer = app.send("GET", "/x?do=head+200%7Cset%7Cecho%7Cfinish", headers, "").await?;
    assert!(answer.text().starts_with("Method::Get Some(Scheme::Https) shop.test /x"), "{}", answer.text());
    Ok(())
}

/// Method, path, and the kinds of handles in the guest, in the hook outside, and in the hook inside.
const HANDLES: [(&str, &str, &str, &[&str]); 5] = [
    ("GET", "/x", "reader", &[]),
    ("POST", "/x", "writer", &[]),
    ("POST", "/plain", "none", &[]),
    ("GET", "/hooked", "reader", &["before: none", "before: reader"]),
    ("POST", "/hooked", "writer", &["before: none", "before: writer"]),
];

#[tokio::test]
async fn current_returns_the_handle_of_the_access_mode() -> Result {
    let app = start("", &[]).await?;
    let mut wrong = Wrong::default();
    for (method, path, kind, hooks) in HANDLES {
        let from = app.log.lines().len();
        let answer = run(&app, method, path, "head 200|set|handle|write ,|handle|finish").await?;
        check_eq!(wrong, answer.text(), format!("{kind},{kind}"), "{method} {path}");
        let said = || printed(&app, from, "before: ");
        eventually("the hooks have run", async || Ok(said().len() == hooks.len())).await?;
        check_eq!(wrong, said(), hooks, "{method} {path}");
    }
    Ok(())
}

/// Returns the lines that guests have printed since line `from` of the log.
fn printed(app: &App, from: usize, start: &str) -> Vec<String> {
    let message = |line: &serde_json::Value| Some(line["message"].as_str()?.to_owned());
    app.log.lines()[from..].iter().filter_map(message).filter(|message| message.starts_with(start)).collect()
}

#[tokio::test]
async fn a_reader_does_not_write() -> Result {
    let app = start("", &[]).await?;
    run(&app, "GET", "/x", &format!("sql SELECT 1|{INSERT}|head 200|set|finish")).await?;
    let said = printed(&app, 0, "sql: ");
    assert!(said[0] == "sql: done" && said[1] != "sql: done", "{said:?}");
    assert_eq!(take_rows(&app).await?, 0);
    Ok(())
}

/// A request that conflicts with another transaction runs again, in a new instance.
#[tokio::test]
async fn a_conflict_runs_the_guest_again() -> Result {
    let env = [("CARYA_DATABASE__BUSY_TIMEOUT", "30ms"), ("CARYA_TRANSACTION__RETRIES", "10")];
    let app = start("", &env).await?;
    let mut other = lock(&app).await?;
    let script = format!("{INSERT}|head 200|set|count|finish");
    let unlocking = async {
        eventually("the second attempt has begun", async || Ok(printed(&app, 0, "sql: ").len() >= 2)).await?;
        other.execute("COMMIT").await
    };
    let answer: Response = tokio::try_join!(run(&app, "POST", "/x", &script), unlocking)?.0;
    assert_eq!((answer.status, &*answer.text()), (200, "1"), "{:?}", answer.events());
    assert!(answer.events().contains(&"retry".to_owned()), "{:?}", answer.events());
    assert_eq!(take_rows(&app).await?, 2);
    Ok(())
}

#[tokio::test]
async fn outbound_requests_pass_the_gate_of_the_transaction() -> Result {
    let upstream = Upstream::start().await?;
    let to = upstream.url("");
    let more = format!("[outbound]\nallow = [\"{to}\"]\nallow_private = true\n");
    let config = super::CONFIG.replacen("timeout = \"20s\"", &format!("timeout = \"20s\"\nhttp = [\"{to}\"]"), 1);
    let app = App::start_in(tempfile::tempdir()?, &format!("{more}{config}"), &[TABLE], &[]).await?;
    let script = format!("GET {to}/ok|{INSERT}|GET {to}/ok|head 200|set|finish");
    assert_eq!(run(&app, "POST", "/x", &script).await?.status, 200);
    let said = printed(&app, 0, "GET: ");
    assert_eq!(said[0], "GET: 200 GET");
    assert!(said[1].contains("the transaction has begun"), "{said:?}");
    assert_eq!(upstream.lines(), ["GET /ok"]);
    assert_eq!(take_rows(&app).await?, 1);
    Ok(())
}
