//! The log of the host: control characters in texts of guests and clients, in both formats, and the types of fields.

mod limits;

use std::{path::Path, process::Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Child,
};

use crate::{
    script::{config, send, serve_with, start_with},
    support::{App, Engine, PATIENCE, Result, Wrong, carya, check, check_eq, eventually, write},
};

/// A text that forges a line of the log, clears a terminal, and contains other line breaks and controls.
const EVIL: &str =
    "\n2026-11-29T00:00:00.000000Z  INFO guest: forged\r\x1b[2J\x07\0\t\x7f\u{85}\u{9b}31m\u{2028}\u{2029}\u{202e}";

/// A running host with its log in a file.
struct Host {
    folder: TempDir,
    address: String,
    _process: Child,
}

impl Host {
    async fn start(format: &str, config: &str, files: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write(folder.path(), config, files)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let process = carya()
            .args(["serve", "--log-format", format])
            .current_dir(folder.path())
            .env("CARYA_LOG", "debug")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut host = Self { folder, address: String::new(), _process: process };
        eventually("the host serves", async || {
            let log = host.log()?;
            let serving = log.lines().find(|line| line.contains("serving") && line.contains("127.0.0.1:"));
            let address = serving.and_then(|line| line.split_once("127.0.0.1:")).map(|(_, rest)| rest);
            let port = address.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            host.address = port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default();
            Ok(!host.address.is_empty())
        })
        .await?;
        Ok(host)
    }

    /// Returns the log so far, which must be UTF-8.
    fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// Sends a request with a script in its body. `path` is sent as it is. Returns the response.
    async fn play(&self, path: &str, script: &Json) -> Result<String> {
        let body = script.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\nconnection: close", body.len());
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }
}

/// Scripts in which texts of a guest reach the log, with the number of records that contain the text `forged`.
fn scripts() -> [(&'static str, Json, usize); 9] {
    let text = |name: &str| format!("{name}{EVIL}");
    [
        ("message", json!([{ "log": text("message") }]), 1),
        ("stdout", json!([{ "print": format!("{}\n", text("stdout")) }]), 1),
        ("stderr", json!([{ "eprint": text("stderr") }]), 1),
        ("error", json!([{ "fail": text("error") }]), 1),
        ("statement", json!([{ "sql": format!("SELECT * FROM \"{}\"", text("statement")) }]), 1),
        ("parameter", json!([{ "sql": "SELECT ?", "params": [text("parameter")] }]), 1),
        ("header", json!([{ "answer": { "status": 200, "headers": [["x-a", text("header")]] } }]), 1),
        (
            "template",
            json!([{ "answer": { "status": 200, "template": { "name": text("template"), "context": {} } } }]),
            1,
        ),
        ("action", json!([{ "after_commit": "it", "payload": text("action") }]), 1),
    ]
}

/// Returns whether a line is a record: in the text format it begins with a time and a level.
fn is_record(format: &str, line: &str) -> bool {
    match format {
        "json" => serde_json::from_str::<Json>(line).is_ok_and(|line| line["timestamp"].is_string()),
        _ => {
            let mut words = line.split_whitespace();
            let time = words.next().unwrap_or_default();
            let level = words.next().unwrap_or_default();
            time.len() == 27 && time.ends_with('Z') && ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level)
        }
    }
}

async fn texts_cannot_forge_lines(format: &str) -> Result {
    let echo = "[database]\nurl = 'sqlite:a.db'\necho = true\necho_params = true";
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    let host = Host::start(format, &format!("{}{echo}", config()), &[table]).await?;
    let mut wrong = Wrong::default();
    for (name, script, _) in scripts() {
        let answer = host.play("/x", &script).await?;
        check!(wrong, answer.starts_with("HTTP/1.1 "), "{name}: {answer}");
    }
    // The server accepts bytes beyond ASCII in a path.
    let answer = host.play("/path\u{85}\u{2028}\u{9b}31m\u{202e}", &json!([])).await?;
    check!(wrong, answer.starts_with("HTTP/1.1 "), "{answer}");
    host.play("/x", &json!([{ "log": "the end" }])).await?;
    eventually("the last message is logged", async || Ok(host.log()?.contains("the end"))).await?;

    let log = host.log()?;
    for line in log.split_terminator('\n') {
        check!(wrong, is_record(format, line), "{format}: no record: {line:?}");
        let control = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        check!(wrong, !line.contains(control), "{format}: a control character: {line:?}");
    }
    for (name, _, count) in scripts() {
        let found = log.lines().filter(|line| line.contains(name) && line.contains("forged")).count();
        check!(wrong, found >= count, "{format}: {name} is in {found} records");
    }
    check!(wrong, log.contains("/path"), "{format}: the path is logged");
    Ok(())
}

#[tokio::test]
async fn texts_cannot_forge_lines_of_the_text_format() -> Result {
    texts_cannot_forge_lines("text").await
}

#[tokio::test]
async fn texts_cannot_forge_lines_of_the_json_format() -> Result {
    texts_cannot_forge_lines("json").await
}

#[tokio::test]
async fn errors_on_a_terminal_contain_no_control_characters() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("carya.toml"), "[component.it]\npath = \"x\\u001b[2J\\u009b\"")?;
    let ran = carya().arg("check").current_dir(folder.path()).output().await?;
    let printed = String::from_utf8(ran.stderr)?;
    assert!(printed.contains("\\u{1b}[2J"), "{printed:?}");
    assert!(!printed.contains(|c: char| c.is_control() && c != '\n'), "{printed:?}");
    Ok(())
}

/// A partial line at the end of a call belongs to the request that wrote it, also if the instance serves another one.
#[tokio::test]
async fn unfinished_lines_carry_the_id_of_their_request() -> Result {
    let app = start_with(
        Engine::Sqlite,
        "[component.probe.reuse]\nmax_requests = 10\n[[route]]\npath = '/{what}'\ncomponent = 'probe'",
        &[],
    )
    .await?;
    for text in ["first", "second"] {
        let id = send(&app, "GET", &json!([{ "print": text }])).await?.header("x-request-id").to_owned();
        let line = app.log.wait_for(text).await?;
        assert_eq!((&line["request"], &line["stream"]), (&json!(id), &json!("stdout")), "{line}");
    }
    Ok(())
}

/// Keys of records with numbers and booleans.
const NUMBERS: [&str; 10] =
    ["status", "us", "bytes_out", "ms", "rows", "affected", "routes", "attempt", "records", "bytes"];

#[tokio::test]
async fn numbers_and_booleans_of_json_records_are_no_texts() -> Result {
    let tables = "CREATE TABLE t (n INTEGER)";
    let more = "[database]\necho = true\n[log]\nmax_per_request = '1KiB'";
    let app = serve_with(Engine::Sqlite, tables, more).await?;
    send(&app, "POST", &json!([{ "sql": "INSERT INTO t VALUES (1)", "op": "execute" }])).await?;
    send(&app, "POST", &json!([{ "log": "text", "times": 100 }])).await?;
    send(&app, "POST", &json!([{ "after_commit": "fail" }])).await?;
    app.call("GET", "/no/such/path").await?;
    app.log.wait_for("an action failed").await?;
    app.log.wait_for("were dropped").await?;
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    app.log.wait_for("has drained").await?;
    let lines = app.log.lines();
    let mut wrong = Wrong::default();
    for key in NUMBERS {
        let values: Vec<&Json> = lines.iter().filter_map(|line| line.get(key)).collect();
        check!(wrong, !values.is_empty(), "no record has the key {key}");
        check!(wrong, values.iter().all(|value| value.is_number()), "{key}: {values:?}");
    }
    for line in &lines {
        for (key, value) in line.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let number = text.trim_end_matches(|c: char| c.is_ascii_lowercase() || c == 'µ');
            let is_number = number.parse::<f64>().is_ok() && key != "digest" && key != "generation";
            check!(wrong, !is_number && !["true", "false"].contains(&text), "{key}: {line}");
        }
    }
    let serving = app.log.wait_for("serving").await?;
    check_eq!(wrong, &serving["debug"], &json!(true), "{serving}");
    Ok(())
}

/// Returns the size of a file, 0 if it does not exist.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Returns the lines of guests for a request.
fn of_guests(app: &App, request: &str) -> Vec<Json> {
    app.log.lines().into_iter().filter(|line| line["target"] == "guest" && line["request"] == request).collect()
}
