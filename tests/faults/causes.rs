//! The line of level `ERROR` of a failed request names the cause: the guest's own message, and the statement that failed
//! last with its error, but not the values of its parameters.

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use crate::{
    script::{ENDLESS, NUMBERS, answer, fail, insert, start, swallowed},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
};

const CONFIG: &str = r#"
    [server]
    request_timeout = "1500ms"
    [component.brief]
    path = "{guest:probe}"
    timeout = "500ms"
    [component.before]
    path = "{guest:only-before}"
    settings = { before = "write", sql = "INSERT INTO marks VALUES (NULL)" }
    [component.after]
    path = "{guest:only-after}"
    settings = { after = "panic" }
    [[route]]
    path = "/"
    component = "probe"
    [[route]]
    path = "/brief"
    component = "brief"
    [[route]]
    path = "/before"
    component = "probe"
    hooks = ["before"]
    [[route]]
    path = "/after"
    component = "probe"
    hooks = ["after"]
"#;

/// Returns the code of a violated NOT NULL constraint.
fn code(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "(constraint, code 1299)",
        Engine::Postgres => "(constraint, code 23502)",
        Engine::MariaDb => "(constraint, code 1048)",
    }
}

/// Sends a script with a request id. Returns the status, and the only line of level `ERROR` for this request.
async fn cause(app: &App, id: &str, path: &str, script: &Json) -> Result<(u16, Json)> {
    let headers = HeaderMap::from_iter([("x-request-id".parse()?, HeaderValue::from_str(id)?)]);
    let status = app.send("POST", path, headers, script.to_string()).await?.status;
    let is_end = |line: &Json| line["request"] == id && line["target"] == "carya::lifecycle";
    app.log.wait_until("the end of the request", is_end).await?;
    let lines = app.log.lines();
    let mut errors = lines.iter().filter(|line| line["request"] == id && line["level"] == "ERROR");
    let line = errors.next().ok_or_else(|| format!("{id}: no error in {lines:#?}"))?;
    assert!(errors.next().is_none(), "{id}: one line is enough: {lines:#?}");
    Ok((status, line.clone()))
}

async fn one_line_names_the_cause(engine: Engine) -> Result {
    let app = start(engine, CONFIG).await?;
    let (not_null, sql) = (code(engine), "in `INSERT INTO marks VALUES (NULL)`");
    let long = format!("SELECT '{}' FROM no_such_table", "x".repeat(100_000));
    let long = json!({ "sql": long, "swallow": true });
    let table = [
        (
            "/",
            json!([swallowed(), { "panic": true }]),
            500,
            vec!["trapped", "panicked at", "as the script says", not_null, sql],
        ),
        ("/", json!([{ "panic": true }]), 500, vec!["panicked at", "as the script says"]),
        ("/", json!([swallowed(), fail()]), 500, vec!["failed: as the script says", not_null, sql]),
        ("/", json!([{ "fail": "f".repeat(100_000) }]), 500, vec!["failed: ffff", "[cut]"]),
        ("/", json!([long]), 500, vec!["a failed statement was not undone", "(limit)", "in `SELECT 'xxxx", "[cut]"]),
        ("/", json!([swallowed()]), 500, vec!["a failed statement was not undone by a savepoint", not_null, sql]),
        ("/", json!([swallowed(), answer(503)]), 503, vec!["a guest answered 503", not_null, sql]),
        (
            "/",
            json!([{ "savepoint": [swallowed()], "end": "rollback" }, { "panic": true }]),
            500,
            vec!["panicked", sql],
        ),
        ("/", json!([{ "sql": "COMMIT", "swallow": true }]), 500, vec!["(forbidden) in `COMMIT`"]),
        ("/brief", json!([swallowed(), { "sleep_ms": 5000 }]), 504, vec!["did not answer within 500ms", not_null, sql]),
        ("/", json!([swallowed(), { "sleep_ms": 5000 }]), 504, vec!["`probe` was cancelled", not_null, sql]),
        ("/before", json!([]), 500, vec!["component `before` failed: ", not_null, sql]),
        ("/after", json!([]), 500, vec!["component `after` trapped: ", "after panics"]),
    ];
    let mut wrong = Wrong::default();
    for (number, (path, script, status, texts)) in table.into_iter().enumerate() {
        let (found, line) = cause(&app, &format!("cause-{number}"), path, &script).await?;
        let message = line["message"].as_str().unwrap_or_default();
        check_eq!(wrong, found, status, "{number} {path}: {message}");
        for text in texts {
            check!(wrong, message.contains(text), "{number} {path}: {text:?} is missing: {line}");
        }
        check!(wrong, message.len() < 2000, "{number} {path}: {} bytes", message.len());
    }
    Ok(())
}

async fn values_of_parameters_are_left_out(engine: Engine) -> Result {
    let app = start(engine, CONFIG).await?;
    let again =
        json!({ "sql": "INSERT INTO marks VALUES (?)", "params": ["a secret"], "op": "execute", "swallow": true });
    let (_, line) = cause(&app, "secret", "/", &json!([insert("a secret"), again, { "panic": true }])).await?;
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.contains("(constraint, code") && message.contains("in `INSERT INTO marks VALUES (?)`"), "{line}");
    assert!(!message.contains("secret"), "{line}");
    Ok(())
}

async fn a_timeout_names_the_statement_that_runs(engine: Engine) -> Result {
    let app = start(engine, CONFIG).await?;
    let script = json!([{ "sql": format!("{NUMBERS} SELECT count(*) FROM {ENDLESS}") }]);
    for (id, path, what) in [("slow-1", "/brief", "`brief` did not answer"), ("slow-2", "/", "`probe` was cancelled")] {
        let (status, line) = cause(&app, id, path, &script).await?;
        let message = line["message"].as_str().unwrap_or_default();
        assert!(status == 504 && message.contains(what), "{line}");
        assert!(message.contains("waiting for the statement `WITH RECURSIVE n (i) AS"), "{line}");
    }
    Ok(())
}

async fn a_timeout_names_a_missing_connection(engine: Engine) -> Result {
    let app = start(engine, &format!("{CONFIG}[database]\nmax_connections = 1\nacquire_timeout = '10s'\n")).await?;
    let slow = json!([insert("slow"), { "log": "it has the connection" }, { "sleep_ms": 2000 }]);
    let waiting = async {
        app.log.wait_for("it has the connection").await?;
        cause(&app, "waiting", "/brief", &json!([insert("m")])).await
    };
    let holding = app.post("/", slow.to_string());
    let (_, (status, line)) = tokio::try_join!(holding, waiting)?;
    let message = line["message"].as_str().unwrap_or_default();
    assert!(status == 504 && message.contains("waiting for a connection to the database"), "{line}");
    Ok(())
}

on_each_engine! {
    one_line_names_the_cause,
    values_of_parameters_are_left_out,
    a_timeout_names_the_statement_that_runs,
    a_timeout_names_a_missing_connection,
}
