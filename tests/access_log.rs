//! The access log: one record or line for each request, also for one that no component answers.

use std::{pin::pin, process::Stdio, time::Duration};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::{
    script::{self, ROUTE, play},
    support::{App, Engine, Log, PATIENCE, Result, Wrong, carya, check, check_eq, write},
};

const FILES: &str = "[[static]]\npath = \"/files\"\nfolder = \"files\"\n";

async fn start() -> Result<App> {
    let config = format!("{}{FILES}", script::config());
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    let files = [table, ("files/a.txt", "twelve bytes")];
    App::start_in(tempfile::tempdir()?, &config, &files, &[("CARYA_ACCESS_LOG", "full")]).await
}

/// Returns the record of the request with an id.
async fn record(log: &Log, id: &str) -> Result<Json> {
    log.wait_until(id, |line| line["target"] == "carya::access" && line["request"] == id).await
}

/// Runs curl with arguments, the last of which is a path. Returns its output.
async fn curl(app: &App, args: &[&str], path: &str) -> Result<Vec<u8>> {
    let url = format!("http://{}{path}", app.address());
    let ran = timeout(PATIENCE, Command::new("curl").arg("-s").args(args).arg(url).output()).await??;
    assert!(ran.status.success(), "{ran:?}");
    Ok(ran.stdout)
}

#[tokio::test]
async fn a_record_describes_request_and_response() -> Result {
    let app = start().await?;
    let body = json!([{ "sql": "INSERT INTO t VALUES (1)", "op": "execute" }]).to_string();
    let args = [
        ["-d", &body],
        ["-H", "x-request-id: first"],
        ["-H", "host: shop.example:81"],
        ["-A", "agent \"x\"\\"],
        ["-H", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ];
    let answer = curl(&app, &args.concat(), "/echo?secret=1").await?;
    let line = record(&app.log, "first").await?;
    let mut wrong = Wrong::default();
    for (key, expected) in [
        ("message", json!("request")),
        ("client", json!("127.0.0.1")),
        ("authority", json!("shop.example:81")),
        ("method", json!("POST")),
        ("path", json!("/echo")),
        ("route", json!("/{what}")),
        ("component", json!("probe")),
        ("status", json!(200)),
        ("outcome", json!("committed")),
        ("bytes_in", json!(body.len())),
        ("bytes_out", json!(answer.len())),
        ("protocol", json!("HTTP/1.1")),
        ("user_agent", json!("agent \"x\"\\")),
        ("trace", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("aborted", Json::Null),
        ("detail", Json::Null),
    ] {
        check_eq!(wrong, line[key], expected, "{key}: {line}");
    }
    let (us, total) = (line["us"].as_u64(), line["total_us"].as_u64());
    check!(wrong, us.is_some_and(|us| us > 0) && us <= total, "{line}");
    check!(wrong, !line.to_string().contains("secret"), "queries may contain secrets: {line}");
    Ok(())
}

#[tokio::test]
async fn each_kind_of_answer_has_a_record() -> Result {
    let app = start().await?;
    let long = "x".repeat((1 << 20) + 1);
    std::fs::write(app.folder.path().join("long"), &long)?;
    let long = format!("@{}", app.folder.path().join("long").display());
    let mut wrong = Wrong::default();
    for (id, args, path, expected) in [
        ("file", vec![], "/files/a.txt", ("file", 200, "file", json!("/files"), 12)),
        ("head-of-file", vec!["-I"], "/files/a.txt", ("file", 200, "file", json!("/files"), 0)),
        ("range", vec!["-r", "0-3"], "/files/a.txt", ("file", 206, "file", json!("/files"), 4)),
        ("no-file", vec![], "/files/b.txt", ("file", 404, "file", json!("/files"), 0)),
        ("h2", vec!["--http2-prior-knowledge"], "/files/a.txt", ("file", 200, "file", json!("/files"), 12)),
        ("no-route", vec!["-o", "/dev/null"], "/a/b", ("request", 404, "nothing", Json::Null, 0)),
        ("options", vec!["-X", "OPTIONS"], "/x", ("request", 204, "nothing", Json::Null, 0)),
        ("server", vec!["-X", "OPTIONS", "--request-target", "*"], "", ("server", 204, "server", Json::Null, 0)),
        ("head", vec!["-I"], "/x", ("request", 200, "nothing", json!("/{what}"), 0)),
        ("malformed", vec!["-H", "host: a b"], "/x", ("refused", 400, "refused", Json::Null, 0)),
        ("long", vec!["-d", &long, "-H", "expect:"], "/x", ("refused", 413, "refused", Json::Null, 0)),
    ] {
        let header = format!("x-request-id: {id}");
        curl(&app, &[&args[..], &["-H", &header]].concat(), path).await?;
        let line = record(&app.log, id).await?;
        let (what, status, outcome, route, bytes) = expected;
        check_eq!(wrong, (&line["message"], &line["status"]), (&json!(what), &json!(status)), "{id}: {line}");
        check_eq!(wrong, (&line["outcome"], &line["route"]), (&json!(outcome), &route), "{id}: {line}");
        // The bodies of failures contain the id of the request.
        let is_failure = line["bytes_out"] != 0 && status >= 400;
        check!(wrong, line["bytes_out"] == bytes || is_failure, "{id}: {line}");
        check_eq!(wrong, line["aborted"], Json::Null, "{id}: {line}");
        check_eq!(wrong, line["detail"].is_string(), what == "refused", "{id}: {line}");
        let protocol = if id == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
        check_eq!(wrong, line["protocol"], json!(protocol), "{id}: {line}");
    }
    let answer = app.get("/files/a.txt").await?;
    check_eq!(wrong, answer.header("x-request-id").len(), 32, "files have a request id too");
    Ok(())
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_a_record() -> Result {
    let app = start().await?;
    let script = json!([{ "log": "under way" }, { "sleep_ms": 300 }]).to_string();
    let mut client = TcpStream::connect(app.address()).await?;
    let head = format!("POST /x HTTP/1.1\r\nhost: a\r\nx-request-id: gone\r\ncontent-length: {}\r\n\r\n", script.len());
    client.write_all((head + &script).as_bytes()).await?;
    app.log.wait_for("under way").await?;
    drop(client);
    let line = record(&app.log, "gone").await?;
    assert_eq!((&line["aborted"], &line["bytes_out"], &line["component"]), (&json!(true), &json!(0), &json!("probe")));
    Ok(())
}

#[tokio::test]
async fn a_response_that_is_not_read_to_its_end_is_aborted() -> Result {
    let app = start().await?;
    std::fs::write(app.folder.path().join("files/large"), vec![b'x'; 32 << 20])?;
    let mut client = TcpStream::connect(app.address()).await?;
    client.write_all(b"GET /files/large HTTP/1.1\r\nhost: a\r\nx-request-id: part\r\n\r\n").await?;
    client.read_exact(&mut [0; 1000]).await?;
    drop(client);
    let line = record(&app.log, "part").await?;
    let sent = line["bytes_out"].as_u64().unwrap_or_default();
    assert!(line["aborted"] == true && sent > 0 && sent < 32 << 20, "{line}");
    Ok(())
}

/// Host process with pipes for its standard output and its log, which the test reads.
struct Host {
    process: Child,
    log: BufReader<ChildStderr>,
    /// The lines of the log until the host serves.
    lines: String,
    address: String,
    _folder: TempDir,
}

impl Host {
    async fn start(form: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write(folder.path(), FILES, &[("files/a.txt", "twelve bytes")])?;
        let mut process = carya()
            .args(["serve", "--access-log", form])
            .current_dir(folder.path())
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().ok_or("no standard error")?);
        let mut lines = String::new();
        let address = loop {
            timeout(PATIENCE, log.read_line(&mut lines)).await??;
            if let Some((_, rest)) = lines.split_once("serving address=") {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        Ok(Self { process, log, lines, address, _folder: folder })
    }

    /// Runs curl for the file with a query.
    async fn get(&self, args: &[&str], query: &str) -> Result {
        let url = format!("http://{}/files/a.txt?{query}", self.address);
        let ran = timeout(PATIENCE, Command::new("curl").args(["-s", "-A", "the agent"]).args(args).arg(url).output());
        let ran = ran.await??;
        assert!(ran.status.success(), "{ran:?}");
        Ok(())
    }

    async fn signal(&self, name: &str) -> Result {
        let pid = self.process.id().ok_or("it has ended")?.to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await?.success());
        Ok(())
    }

    /// Reads until the host has ended. Returns its standard output and its log.
    async fn read(mut self) -> Result<(String, String)> {
        let output = timeout(PATIENCE, self.process.wait_with_output());
        let log = timeout(PATIENCE, self.log.read_to_string(&mut self.lines));
        let (output, log) = tokio::join!(output, log);
        log??;
        Ok((String::from_utf8(output??.stdout)?, self.lines))
    }
}

/// Starts the program with a form of the access log, sends requests with curl, and stops it. Returns its standard output
/// and its log.
async fn logged(form: &str, env: &[(&str, &str)]) -> Result<(String, String)> {
    let host = Host::start(form, env).await?;
    for args in [["-e", "http://from/"].as_slice(), &["-I"], &["--http2-prior-knowledge"]] {
        host.get(args, "q=1").await?;
    }
    host.signal("TERM").await?;
    host.read().await
}

/// Returns the numbers of the queries in the lines of an access log.
fn queries(lines: &str) -> Vec<usize> {
    lines.lines().filter_map(|line| line.split_once("?q=")?.1.split([' ', '&']).next()?.parse().ok()).collect()
}

#[tokio::test]
async fn the_combined_format_is_written_to_standard_output() -> Result {
    let (output, log) = logged("combined", &[]).await?;
    assert!(!log.contains("carya::access"), "{log}");
    let mut wrong = Wrong::default();
    let expected = [
        "\"GET /files/a.txt?q=1 HTTP/1.1\" 200 12 \"http://from/\" \"the agent\"",
        "\"HEAD /files/a.txt?q=1 HTTP/1.1\" 200 0 \"-\" \"the agent\"",
        "\"GET /files/a.txt?q=1 HTTP/2.0\" 200 12 \"-\" \"the agent\"",
    ];
    check_eq!(wrong, output.lines().count(), expected.len(), "{output}");
    for (line, end) in output.lines().zip(expected) {
        check!(wrong, line.starts_with("127.0.0.1 - - [") && line.ends_with(end), "{line}");
        check!(wrong, line.contains(" +0000] "), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn the_lines_before_a_signal_are_written() -> Result {
    for signal in ["TERM", "INT"] {
        let host = Host::start("combined", &[]).await?;
        host.get(&[], "q=[1-300]").await?;
        host.signal(signal).await?;
        let (output, log) = host.read().await?;
        assert_eq!(queries(&output), Vec::from_iter(1..=300), "{signal}");
        assert!(log.lines().last().is_some_and(|line| line.contains("stopped")), "{signal}: {log}");
    }
    Ok(())
}

/// The lines are longer than a pipe and the buffer of the host together.
#[tokio::test]
async fn a_reader_that_waits_gets_every_line() -> Result {
    let mut host = Host::start("combined", &[]).await?;
    let mut output = host.process.stdout.take().ok_or("no standard output")?;
    let query = format!("q=[1-2000]&{}", "x".repeat(300));
    let mut requests = pin!(host.get(&[], &query));
    let stopped = timeout(Duration::from_secs(2), &mut requests).await;
    assert!(stopped.is_err(), "the host buffers lines without a limit");
    let reading = async {
        let mut lines = String::new();
        output.read_to_string(&mut lines).await?;
        Ok(lines)
    };
    let ending = async {
        requests.await?;
        host.signal("TERM").await
    };
    let (lines, ended) = tokio::join!(timeout(PATIENCE, reading), ending);
    ended?;
    let lines: Result<String> = lines?;
    assert_eq!(queries(&lines?), Vec::from_iter(1..=2000));
    Ok(())
}

#[tokio::test]
async fn the_access_log_can_be_text_or_off() -> Result {
    let mut wrong = Wrong::default();
    let (output, log) = logged("full", &[]).await?;
    let line = log.lines().find(|line| line.contains("carya::access")).unwrap_or_default();
    check!(wrong, output.is_empty(), "{output}");
    for part in
        [" file ", "client=127.0.0.1", "status=200", "bytes_out=12", "user_agent=\"the agent\"", "outcome=\"file\""]
    {
        check!(wrong, line.contains(part), "{part}: {line}");
    }
    let (_, log) = logged("short", &[]).await?;
    let line = log.lines().find(|line| line.contains("carya::access")).unwrap_or_default();
    for (part, is_there) in [("status=200", true), ("bytes_out=12", true), ("client=", false), ("user_agent=", false)] {
        check_eq!(wrong, line.contains(part), is_there, "{part}: {line}");
    }
    for (form, env) in [("off", ("CARYA_LOG", "info")), ("short", ("CARYA_LOG", "info,carya::access=off"))] {
        let (output, log) = logged(form, &[env]).await?;
        check!(wrong, output.is_empty() && !log.contains("carya::access"), "{form}: {output} {log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_variable_selects_the_form() -> Result {
    let app = App::start_in(tempfile::tempdir()?, "", &[], &[("CARYA_ACCESS_LOG", "off")]).await?;
    play(&app, "GET", "/nowhere", &json!([])).await?;
    app.signal("TERM").await?;
    app.log.wait_for("stopped").await?;
    let lines = app.log.lines();
    assert!(!lines.iter().any(|line| line["target"] == "carya::access"), "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn streamed_rows_are_counted() -> Result {
    let table = "CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 99999) SELECT i FROM c";
    let app = script::start_tables(Engine::Sqlite, table, ROUTE).await?;
    let rows = json!([{ "answer": { "rows": { "sql": "SELECT n FROM t", "format": "csv" } } }]);
    let answer = play(&app, "GET", "/x", &rows).await?;
    let line = record(&app.log, answer.header("x-request-id")).await?;
    assert_eq!((&line["bytes_out"], &line["status"]), (&json!(answer.body.len()), &json!(200)), "{line}");
    assert_eq!((&line["route"], &line["aborted"]), (&Json::Null, &Json::Null), "a short record: {line}");
    Ok(())
}
