//! More clients than the host has connections or file descriptors for.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command, time::timeout};

use super::{CONFIG, REQUEST, TOKEN, get, listeners, response, start};
use crate::support::{App, Result, Wrong, check, eventually};

const SLEEP: &str = r#"[{"log":"under way"},{"sleep_ms":1500}]"#;

/// Opens a connection and completes a request on it, so that the host has accepted it.
async fn used(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    assert!(response(&mut stream).await?.starts_with("HTTP/1.1 200"));
    Ok(stream)
}

async fn is_closed(stream: &mut TcpStream) -> Result<bool> {
    let mut byte = [0];
    match timeout(Duration::from_millis(200), tokio::io::AsyncReadExt::read(stream, &mut byte)).await {
        Ok(Ok(0) | Err(_)) => Ok(true),
        Ok(Ok(_)) => Err("more than was asked for".into()),
        Err(_) => Ok(false),
    }
}

#[tokio::test]
async fn connections_idle_for_longest_make_room() -> Result {
    let app = start(&[("CARYA_SERVER__CONNECTIONS", "40")]).await?;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(used(app.address()).await?);
    }
    // Only the last connection is used again.
    let mut last = idle.pop().ok_or("none")?;
    last.write_all(REQUEST).await?;
    response(&mut last).await?;
    let begun = Instant::now();
    let mut new = used(app.address()).await?;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let line = app.log.wait_for("no place for another connection").await?;
    assert_eq!((&line["level"], &line["listener"]), (&"WARN".into(), &"application".into()));
    assert!(is_closed(&mut idle[0]).await?, "the first was idle for longest");
    assert!(!is_closed(&mut last).await? && !is_closed(&mut new).await?);
    Ok(())
}

#[tokio::test]
async fn a_client_waits_while_no_connection_is_idle() -> Result {
    let app = start(&[("CARYA_SERVER__CONNECTIONS", "2")]).await?;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(app.address()).await?;
        let head = format!("GET /x HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{SLEEP}", SLEEP.len());
        stream.write_all(head.as_bytes()).await?;
        busy.push(stream);
    }
    let under_way = |app: &App| app.log.lines().iter().filter(|line| line["message"] == "under way").count();
    eventually("both requests run", async || Ok(under_way(&app) == 2)).await?;
    let begun = Instant::now();
    used(app.address()).await?;
    assert!(begun.elapsed() > Duration::from_millis(800), "there was no place: {:?}", begun.elapsed());
    for mut stream in busy {
        assert!(response(&mut stream).await?.starts_with("HTTP/1.1 200"), "nobody's request was cut off");
    }
    Ok(())
}

#[tokio::test]
async fn every_listener_answers_while_silent_clients_take_all_descriptors() -> Result {
    let env = [
        ("CARYA_SERVER__METRICS", "127.0.0.1:0"),
        ("CARYA_DEPLOY__LISTEN", "127.0.0.1:0"),
        ("CARYA_DEPLOY__TOKEN", TOKEN),
    ];
    let app = App::start_after("ulimit -n 400", CONFIG, &env).await?;
    let mut silent = Vec::new();
    let listeners = listeners(&app).await?;
    for (address, count) in [(&listeners[0].0, 390), (&listeners[1].0, 100), (&listeners[2].0, 100)] {
        for _ in 0..count {
            silent.push(TcpStream::connect(address).await?);
        }
    }
    let mut wrong = Wrong::default();
    for (address, path) in &listeners {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(get(path).as_bytes()).await?;
        let answer = response(&mut stream).await?;
        check!(wrong, begun.elapsed() < Duration::from_secs(2), "{address}{path}: {:?}", begun.elapsed());
        check!(wrong, answer.starts_with("HTTP/1.1 200") || *path == "/x", "{path:?}: {answer}");
    }
    let warned = |text: &str| {
        let lines = app.log.lines();
        lines.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.contains(text))).count()
    };
    assert_eq!(warned("server.connections is"), 1, "fewer than 10000");
    assert_eq!(warned("cannot be accepted"), 0);
    Ok(())
}

#[tokio::test]
async fn a_lack_of_descriptors_is_logged_once_a_second() -> Result {
    let app = start(&[]).await?;
    used(app.address()).await?;
    let limit = async |files: &str| -> Result {
        let pid = app.pid().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:400")]).status().await?;
        status.success().then_some(()).ok_or_else(|| "prlimit failed".into())
    };
    limit("5").await?;
    let begun = Instant::now();
    let mut waiting = TcpStream::connect(app.address()).await?;
    waiting.write_all(REQUEST).await?;
    let mut seen = 0;
    for _ in 0..2 {
        app.log.next(&mut seen, &["connections cannot be accepted"]).await?;
    }
    limit("400").await?;
    response(&mut waiting).await?;
    let seconds = begun.elapsed().as_secs() + 1;
    let lines = app.log.lines();
    let lines: Vec<_> = lines.iter().filter(|line| line["message"] == "connections cannot be accepted").collect();
    assert!((2..=seconds).contains(&(lines.len() as u64)), "{lines:#?}");
    assert!(lines[1]["unlogged"].as_u64().is_some_and(|unlogged| unlogged > 5), "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised() -> Result {
    let app = App::start_after("ulimit -S -n 100", CONFIG, &[]).await?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid()))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).ok_or("no limit")?;
    let [soft, hard] = [3, 4].map(|word| line.split_whitespace().nth(word).unwrap_or_default());
    assert!(soft == hard && soft != "100", "{line}");
    Ok(())
}
