//! The end of a process, and the state that the next process finds.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use super::{
    shop,
    support::{App, Log, PATIENCE, Response, Result, Wrong, carya, check, check_eq, write},
};

const PROBE: &str = r#"
[component.probe]
path = "{guest:probe}"
timeout = "20s"
[model]
migrations = "migrations"
[[route]]
path = "/{what}"
component = "probe"
"#;

const TABLE: [(&str, &str); 1] = [("migrations/0001_rows.sql", "CREATE TABLE rows (x);")];

/// Maximum time until a process exits that has no requests to wait for.
const SOON: Duration = Duration::from_secs(3);

async fn start(drain_timeout: &str) -> Result<App> {
    let env = [("CARYA_SERVER__DRAIN_TIMEOUT", drain_timeout)];
    App::start_in(tempfile::tempdir()?, PROBE, &TABLE, &env).await
}

/// Sends a request that writes a row, logs `under way` and then sleeps. Returns once the line is logged.
async fn slow(app: &App, ms: u64) -> Result<tokio::task::JoinHandle<Result<Response>>> {
    let script = json!([{"sql": "INSERT INTO rows VALUES (1)"}, {"log": "under way"}, {"sleep_ms": ms}]);
    let request = app.request("POST", "/slow").body(script.to_string());
    let running = tokio::spawn(async move { Response::read(request.send().await?).await });
    app.log.wait_for("under way").await?;
    Ok(running)
}

/// Starts the application again in the same folder. Returns the number of rows.
async fn rows_after_restart(folder: tempfile::TempDir) -> Result<i64> {
    let app = App::start_in(folder, PROBE, &TABLE, &[]).await?;
    let answer = app.send("GET", "/rows", HeaderMap::new(), r#"[{"sql":"SELECT count(*) FROM rows"}]"#).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = app.number("SELECT count(*) FROM rows").await?;
    assert_eq!(app.stop().await?.1, Some(0));
    Ok(rows)
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_committed() -> Result {
    let app = start("20s").await?;
    let running = slow(&app, 700).await?;
    app.signal("TERM").await?;
    let line = app.log.wait_for("shutting down").await?;
    assert_eq!(line["in_flight"], 1);
    let refused = TcpStream::connect(app.address()).await.map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused));
    assert!(!running.is_finished(), "the request did not outlast the listener");

    let answer = running.await??;
    assert_eq!((answer.status, answer.events().contains(&"commit".to_owned())), (200, true), "{}", answer.text());
    let (folder, code) = app.stop().await?;
    assert_eq!(code, Some(0));
    assert_eq!(rows_after_restart(folder).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_rolled_back() -> Result {
    let app = start("300ms").await?;
    let running = slow(&app, 15_000).await?;
    let asked = Instant::now();
    app.signal("TERM").await?;
    app.log.wait_for("drain_timeout is over").await?;
    let answer = running.await??;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
    assert!(answer.events().contains(&"rollback".to_owned()), "{:?}", answer.events());
    app.log.wait_for("stopped").await?;
    let (folder, code) = app.stop().await?;
    assert_eq!(code, Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(rows_after_restart(folder).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result {
    let app = start("20s").await?;
    let running = slow(&app, 15_000).await?;
    let asked = Instant::now();
    app.signal("INT").await?;
    app.log.wait_for("shutting down").await?;
    app.signal("INT").await?;
    assert_eq!(running.await??.status, 503);
    app.log.wait_for("stopped").await?;
    let (folder, code) = app.stop().await?;
    assert_eq!(code, Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(rows_after_restart(folder).await?, 0);
    Ok(())
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_shutdown() -> Result {
    let app = start("20s").await?;
    let mut kept = TcpStream::connect(app.address()).await?;
    kept.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]").await?;
    let mut answer = [0; 4096];
    let length = kept.read(&mut answer).await?;
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
    let mut silent = TcpStream::connect(app.address()).await?;
    // The silent connection has certainly been accepted once a later connection is served.
    assert_eq!(app.get("/x").await?.status, 200);

    let asked = Instant::now();
    app.signal("TERM").await?;
    for connection in [&mut kept, &mut silent] {
        let ended = tokio::time::timeout(PATIENCE, connection.read(&mut answer)).await?;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    assert_eq!(app.stop().await?.1, Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn incomplete_requests_delay_the_shutdown_by_drain_timeout_at_most() -> Result {
    let app = start("300ms").await?;
    let mut clients = Vec::new();
    for part in ["POST /x HTTP/1.1\r\nhost: x\r\n", "POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[{"] {
        let mut client = TcpStream::connect(app.address()).await?;
        client.write_all(part.as_bytes()).await?;
        clients.push(client);
    }
    assert_eq!(app.get("/x").await?.status, 200);
    let asked = Instant::now();
    assert_eq!(app.stop().await?.1, Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_body_has_its_time_to_arrive() -> Result {
    let env = [("CARYA_SERVER__REQUEST_TIMEOUT", "200ms")];
    let app = App::start_in(tempfile::tempdir()?, PROBE, &TABLE, &env).await?;
    let mut client = TcpStream::connect(app.address()).await?;
    client.write_all(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[{").await?;
    let mut answer = [0; 4096];
    let length = tokio::time::timeout(SOON, client.read(&mut answer)).await??;
    assert!(answer[..length].starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer[..length]));
    Ok(())
}

#[tokio::test]
async fn an_interrupt_ends_it_like_a_termination() -> Result {
    let app = start("20s").await?;
    let running = slow(&app, 300).await?;
    app.signal("INT").await?;
    assert_eq!(running.await??.status, 200);
    app.log.wait_for("stopped").await?;
    assert_eq!(app.stop().await?.1, Some(0));
    Ok(())
}

#[tokio::test]
async fn the_second_start_compiles_nothing_and_finds_everything() -> Result {
    let files = shop::files()?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let env = [("CARYA_SERVER__CACHE", "code")];
    let has = |lines: &[Value], message: &str| lines.iter().any(|line| line["message"] == message);

    let first = App::start_in(tempfile::tempdir()?, &shop::config()?, &files, &env).await?;
    let lines = first.log.lines();
    assert!(has(&lines, "compiled") && !has(&lines, "loaded"), "{lines:#?}");
    assert!(has(&lines, "applied"), "{lines:#?}");
    let items = first.get("/items").await?.json()?;
    let (folder, code) = first.stop().await?;
    assert_eq!(code, Some(0));

    let second = App::start_in(folder, &shop::config()?, &files, &env).await?;
    let lines = second.log.lines();
    assert!(has(&lines, "loaded") && !has(&lines, "compiled"), "{lines:#?}");
    assert!(!has(&lines, "applied"), "{lines:#?}");
    assert_eq!(second.get("/items").await?.json()?, items);
    Ok(())
}

/// Configuration with a component that takes many seconds to compile without a cache.
const SLOW_START: &str = r#"
[database]
url = "sqlite://app.sqlite"
[component.js]
path = "{guest:items-js}"
[[route]]
path = "/items"
component = "js"
methods = ["GET"]
"#;

/// Starts the program with a command line, waits until it compiles a component, and sends signals. Returns the exit
/// code, and the time from the first signal to the exit.
async fn signalled_at_start(command: &[&str], signals: &[&str]) -> Result<(Option<i32>, Duration)> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), SLOW_START, &[])?;
    let program = env!("CARGO_BIN_EXE_carya");
    let line: Vec<&str> = command.iter().map(|word| if *word == "carya" { program } else { word }).collect();
    let mut process = Command::new(line[0])
        .args(&line[1..])
        .current_dir(folder.path())
        .env("CARYA_SERVER__LISTEN", "127.0.0.1:0")
        .env("CARYA_SERVER__CACHE", "code")
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    log.wait_for("compiling a component").await?;
    let asked = Instant::now();
    // With `unshare`, the program is a child of the started process.
    let own = process.id().ok_or("it has ended")?.to_string();
    let children = tokio::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).await?;
    let pid = children.split_whitespace().next().unwrap_or(&own);
    for signal in signals {
        assert!(Command::new("kill").args(["-s", signal, pid]).status().await?.success());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = tokio::time::timeout(PATIENCE, process.wait()).await??;
    Ok((status.code(), asked.elapsed()))
}

#[tokio::test]
async fn a_termination_while_components_compile_ends_it_at_once() -> Result {
    let serve = ["carya", "--log-format", "json", "serve"];
    let as_pid_1 =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "carya", "--log-format", "json", "serve"];
    let dev = ["carya", "--log-format", "json", "dev"];
    let mut wrong = Wrong::default();
    for command in [serve.as_slice(), &as_pid_1, &dev] {
        for signals in [["TERM"].as_slice(), &["INT"], &["HUP", "TERM"]] {
            let (code, took) = signalled_at_start(command, signals).await?;
            check_eq!(wrong, code, Some(0), "{command:?} {signals:?}");
            check!(wrong, took < SOON, "{command:?} {signals:?}: {took:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn reports_an_address_in_use_before_a_migration_runs() -> Result {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    let mut wrong = Wrong::default();
    for key in ["CARYA_SERVER__LISTEN", "CARYA_SERVER__METRICS", "CARYA_DEPLOY__LISTEN"] {
        let folder = tempfile::tempdir()?;
        let config = format!("{PROBE}[database]\nurl = \"sqlite:app.sqlite\"\n");
        write(folder.path(), &config, &TABLE)?;
        let mut program = carya();
        program.arg("serve").current_dir(folder.path()).env("CARYA_SERVER__LISTEN", "127.0.0.1:0").env(key, &address);
        if key.contains("DEPLOY") {
            program.env("CARYA_DEPLOY__TOKEN", "a-token-of-the-tests");
        }
        let ran = tokio::time::timeout(PATIENCE, program.output()).await??;
        let err = String::from_utf8_lossy(&ran.stderr);
        check!(
            wrong,
            ran.status.code() == Some(1) && err.contains(&format!("cannot listen on {address}")),
            "{key}: {err}"
        );
        check!(wrong, !folder.path().join("app.sqlite").exists(), "{key}: the database was made");
    }
    Ok(())
}

#[tokio::test]
async fn connections_during_the_start_wait_for_it() -> Result {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?;
    drop(taken);
    let folder = tempfile::tempdir()?;
    write(folder.path(), SLOW_START, &[])?;
    let mut process = carya()
        .args(["--log-format", "json", "serve"])
        .current_dir(folder.path())
        .env("CARYA_SERVER__LISTEN", address.to_string())
        .env("CARYA_SERVER__CACHE", "code")
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    log.wait_for("compiling a component").await?;
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    assert!(!log.lines().iter().any(|line| line["message"] == "serving"), "it was too fast for this test");
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE * 3, client.read_to_end(&mut answer)).await??;
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));
    process.kill().await?;
    Ok(())
}
