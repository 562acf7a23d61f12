//! Response heads that are too large, from controllers and from hooks inside and outside the transaction.

use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    connections,
    script::{insert, serve_with},
    support::{App, Engine, Result, Wrong, check, check_eq, module},
};

const MARKS: &str = "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)";

/// Returns a hook that appends 30,000 header fields with distinct names and then sets another 30,000. It ignores
/// errors.
fn greedy_hook() -> Result<Vec<u8>> {
    module::embed(
        r#"(module
            (import "carya:host/response@0.2.0" "append-header" (func $append (param i32 i32 i32 i32 i32)))
            (import "carya:host/response@0.2.0" "set-header" (func $set (param i32 i32 i32 i32 i32)))
            (memory (export "memory") 1)
            ;; Errors are not read: each may lie where the last was.
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (data (i32.const 1024) "x-00000")
            ;; Writes a number in five digits behind the name's `x-`.
            (func $name (param $number i32)
                (local $at i32)
                (local.set $at (i32.const 1030))
                (loop $digit
                    (i32.store8 (local.get $at)
                        (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
                    (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
                    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
                    (br_if $digit (i32.gt_u (local.get $at) (i32.const 1025)))))
            (func (export "carya:host/after@0.2.0#after") (param i32 i32) (result i32)
                (local $number i32)
                (loop $next
                    (call $name (local.get $number))
                    (if (i32.lt_u (local.get $number) (i32.const 30000))
                        (then (call $append (i32.const 1024) (i32.const 7) (i32.const 1024) (i32.const 7) (i32.const 512)))
                        (else (call $set (i32.const 1024) (i32.const 7) (i32.const 1024) (i32.const 7) (i32.const 512))))
                    (local.set $number (i32.add (local.get $number) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $number) (i32.const 60000))))
                (i32.store8 (i32.const 0) (i32.const 0))
                (i32.const 0)))"#,
        "import response; export after;",
    )
}

/// Returns a response with `count` header fields besides the `x-inside` that `probe` sets on each response.
fn with_fields(count: usize) -> Json {
    let headers: Vec<_> = (0..count).map(|number| [format!("x-{number}"), "1".to_owned()]).collect();
    json!({ "answer": { "headers": headers } })
}

/// Posts a script that writes a mark. Returns the status line and the header fields. Uses a plain socket, because
/// common clients refuse more than 100 fields.
async fn post(app: &App, mark: &str, answer: Json) -> Result<(String, Vec<String>)> {
    let script = json!([insert(mark), answer]).to_string();
    let mut stream = TcpStream::connect(app.address()).await?;
    let head = format!("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", script.len());
    stream.write_all(format!("{head}{script}").as_bytes()).await?;
    let response = connections::response(&mut stream).await?;
    let head = response.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.lines().map(str::to_owned);
    Ok((lines.next().unwrap_or_default(), lines.collect()))
}

async fn marks(app: &App, mark: &str) -> Result<i64> {
    app.number(&format!("SELECT count(*) FROM marks WHERE mark = '{mark}'")).await
}

/// Returns the last error in the log.
fn reason(app: &App) -> String {
    let last = app.log.lines().into_iter().rfind(|line| line["level"] == "ERROR").unwrap_or_default();
    last["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_controllers_head_is_limited_inside_the_transaction() -> Result {
    let app = serve_with(Engine::Sqlite, MARKS, "[server]\nmax_response_head = '8KiB'").await?;
    let value = |length: usize| json!({ "answer": { "headers": [["x-a", "x".repeat(length)]] } });
    // `probe` adds one field: `x-inside: 1`.
    let (own, longest) = ("x-inside: 1\r\n".len(), 8192 - "x-a: \r\n".len());
    let table = [
        ("most", with_fields(99), 200, ""),
        ("too-many", with_fields(100), 500, "101 header fields; server.max_response_headers allows 100"),
        ("thousands", with_fields(30_000), 500, "30001 header fields"),
        ("longest", value(longest - own), 200, ""),
        ("too-long", value(longest - own + 1), 500, "a header of 8193 bytes; server.max_response_head allows 8192"),
        ("one-name", json!({ "answer": { "headers": vec![["set-cookie", "a=b"]; 101] } }), 500, "102 header fields"),
    ];
    let mut wrong = Wrong::default();
    for (mark, answer, status, why) in table {
        let (line, fields) = post(&app, mark, answer).await?;
        check!(wrong, line.starts_with(&format!("HTTP/1.1 {status}")), "{mark}: {line} {}", reason(&app));
        check_eq!(wrong, marks(&app, mark).await?, i64::from(status == 200), "{mark}");
        if status == 500 {
            let line = app.log.wait_for(why).await?;
            check!(wrong, line["message"].to_string().contains("component `probe`"), "{mark}: {line}");
            check!(wrong, !fields.iter().any(|field| field.starts_with("x-0:")), "{mark}: {fields:?}");
        }
        check!(wrong, fields.iter().any(|field| field.starts_with("x-request-id: ")), "{mark}: {fields:?}");
    }
    Ok(())
}

#[tokio::test]
async fn hooks_cannot_exceed_the_limits_of_a_head() -> Result {
    let mut wrong = Wrong::default();
    for (priority, limits, most) in [(50, "", 100), (100, "", 100), (50, "max_response_headers = 1000", 1000)] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("greedy.wasm"), greedy_hook()?)?;
        let config = format!(
            "{}\n[component.greedy]\npath = 'greedy.wasm'\ntimeout = '60s'\n[[hook]]\ncomponent = 'greedy'\npriority = {priority}\n\
             [server]\n{limits}\nmax_response_head = '1MiB'\nrequest_timeout = '90s'\n",
            crate::script::config()
        );
        let env = [("CARYA_COMPONENT__PROBE__TIMEOUT", "60s")];
        let app = App::start_in(folder, &config, &[("migrations/0001_marks.sql", MARKS)], &env).await?;
        let (line, fields) = post(&app, "mark", with_fields(5)).await?;
        check!(wrong, line.starts_with("HTTP/1.1 200"), "{priority}: {line} {}", reason(&app));
        check_eq!(wrong, marks(&app, "mark").await?, 1, "{priority:?}");
        let guests = fields.iter().filter(|field| field.starts_with("x-") && !field.starts_with("x-carya"));
        // The limit counts `content-type`, which the host sets for the controller, and not `x-request-id`. The filter
        // does the opposite, so the numbers are equal.
        check_eq!(wrong, guests.count(), most, "{priority}: {fields:?}");
        for host in ["x-request-id: ", "server-timing: ", "x-carya-generation: ", "date: ", "content-length: "] {
            check!(wrong, fields.iter().any(|field| field.starts_with(host)), "{priority}: {host} {fields:?}");
        }
    }
    Ok(())
}
