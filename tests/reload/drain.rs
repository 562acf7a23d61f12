//! Requests that began before a generation was replaced.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::{CONFIG, DRAINED, FILES, Watched};
use crate::support::{Response, Result};

async fn start(drain_timeout: &str) -> Result<Watched> {
    let config = CONFIG.replace("settings =", "timeout = \"20s\"\nsettings =");
    Watched::start_with(&config, &FILES, &[("CARYA_SERVER__DRAIN_TIMEOUT", drain_timeout)]).await
}

/// Sends a request that inserts a mark, logs `under way`, and sleeps for `ms` milliseconds.
async fn slow(watched: &mut Watched, mark: &str, ms: u64) -> Result<JoinHandle<Result<Response>>> {
    let script = json!([
        { "sql": "INSERT INTO marks VALUES (?)", "params": [mark] }, { "log": "under way" }, { "sleep_ms": ms },
        { "answer": { "template": { "name": "page.html", "context": {} } } }
    ]);
    let request = watched.app.request("POST", "/x").body(script.to_string());
    let running = tokio::spawn(async move { Response::read(request.send().await?).await });
    watched.next("under way").await?;
    Ok(running)
}

fn is_of(line: &Json, generation: &str) -> bool {
    line["generation"] == generation
}

#[tokio::test]
async fn a_transaction_that_began_before_the_swap_commits_after_it() -> Result {
    let mut watched = start("20s").await?;
    let old = watched.page().await?.generation;
    let running = slow(&mut watched, "slow", 2000).await?;
    watched.put("templates/page.html", "page two")?;
    let new = watched.served().await?;
    let page = watched.page().await?;
    assert_eq!((page.generation.as_str(), page.text.as_str()), (new.as_str(), "page two"));
    assert!(!running.is_finished(), "the request did not outlast the swap");
    assert_eq!(watched.app.number("SELECT count(*) FROM marks").await?, 0);

    let answer = running.await??;
    let seen = (answer.status, answer.header("x-carya-generation").to_owned(), answer.text());
    assert_eq!(seen, (200, old.clone(), "page one".to_owned()), "it ends on what it began on");
    assert!(answer.events().contains(&"commit".to_owned()), "{:?}", answer.events());
    assert_eq!(watched.app.texts("SELECT mark FROM marks").await?, ["slow"]);
    let drained = watched.next(DRAINED).await?;
    assert!(is_of(&drained, &old) && drained["in_flight"] == 1, "{drained:#}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_outlives_drain_timeout_is_rolled_back() -> Result {
    let mut watched = start("300ms").await?;
    let old = watched.page().await?.generation;
    let running = slow(&mut watched, "slow", 15_000).await?;
    watched.put("templates/page.html", "page two")?;
    watched.served().await?;
    let over = watched.next("drain_timeout is over").await?;
    assert!(is_of(&over, &old) && over["left"] == 1, "{over:#}");
    let answer = running.await??;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
    assert!(is_of(&watched.next(DRAINED).await?, &old));
    assert_eq!(watched.app.number("SELECT count(*) FROM marks").await?, 0);
    assert_eq!(watched.page().await?.text, "page two");
    Ok(())
}

/// Three generations run at the same time, each with a request.
#[tokio::test]
async fn every_request_ends_on_the_generation_that_it_began_on() -> Result {
    let mut watched = start("20s").await?;
    let mut running = Vec::new();
    for text in ["page two", "page three", "page four"] {
        let before = watched.page().await?;
        // These requests run at the same time and SQLite allows one writer at a time, so they only read.
        let script = json!([
            { "log": "under way" }, { "sleep_ms": 1200 },
            { "answer": { "template": { "name": "page.html", "context": {} } } }
        ]);
        let request = watched.app.request("GET", "/x").body(script.to_string());
        let asked = tokio::spawn(async move { Response::read(request.send().await?).await });
        watched.next("under way").await?;
        running.push((before, asked));
        watched.put("templates/page.html", text)?;
        watched.served().await?;
    }
    for (before, asked) in running {
        assert_eq!(super::Page::of(&asked.await??)?, before);
    }
    assert_eq!(watched.page().await?.text, "page four");
    Ok(())
}

/// The old generation waits for a request whose body has not arrived completely.
#[tokio::test]
async fn a_body_that_is_still_arriving_counts() -> Result {
    let mut watched = start("20s").await?;
    let old = watched.page().await?;
    let mut client = TcpStream::connect(watched.app.address()).await?;
    let script = json!([{ "answer": { "template": { "name": "page.html", "context": {} } } }]).to_string();
    let (first, rest) = script.split_at(5);
    let head = format!("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{first}", script.len());
    client.write_all(head.as_bytes()).await?;
    // The host accepts connections in order. Once it has served a later request, it has accepted this connection too.
    watched.page().await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    watched.put("templates/page.html", "page two")?;
    watched.served().await?;
    client.write_all(rest.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("page one"), "{text}");
    assert!(text.contains(&old.generation), "{text}");
    assert_eq!(watched.next(DRAINED).await?["in_flight"], 1);
    Ok(())
}
