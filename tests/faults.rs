//! Faults of guests: the client receives a short error, the log contains the whole reason, and other requests are not
//! affected.

mod causes;
mod files;
mod heads;
mod memory;
mod requests;

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use super::support::{App, Engine, Response, Result, Wrong, check, check_eq, on_each_engine};

const CONFIG: &str = r#"
    [component.faulty]
    path = "{guest:faulty}"
    timeout = "2s"
    [component.large]
    path = "{guest:faulty}"
    memory = "256MiB"
    [component.nosy]
    path = "{guest:nosy}"
    [component.keeper]
    path = "{guest:keeper}"
    [templates]
    folder = "templates"
    [[route]]
    path = "/nosy"
    component = "nosy"
    [[route]]
    path = "/plain/{what}"
    component = "faulty"
    transaction = "none"
    [[route]]
    path = "/kept/{what}"
    component = "faulty"
    hooks = ["keeper"]
    [[route]]
    path = "/large/{what}"
    component = "large"
    [[route]]
    path = "/{what}"
    component = "faulty"
"#;

const TEMPLATES: [(&str, &str); 2] = [("templates/name.html", "{{ name }}"), ("templates/deep.html", "{{ a.b.c }}")];

async fn app(engine: Engine) -> Result<App> {
    App::start_on(engine, CONFIG, &TEMPLATES).await
}

/// Sends a request with the request id `id`.
async fn call(app: &App, method: &str, path: &str, id: &str) -> Result<Response> {
    let headers = HeaderMap::from_iter([("x-request-id".parse()?, HeaderValue::from_str(id)?)]);
    app.send(method, path, headers, "").await
}

/// Returns the first line of level `ERROR` that was logged for a request.
async fn error_of(app: &App, id: &str) -> Result<Json> {
    app.log.wait_until(id, |line| line["request"] == id && line["level"] == "ERROR").await
}

/// Paths of the guest `faulty`, each with the status of the response and a text in the log.
const FAULTS: &[(&str, u16, &str)] = &[
    ("panic", 500, "component `faulty` trapped: "),
    ("error", 500, "component `faulty` failed: as asked"),
    ("exit", 500, "component `faulty` trapped: "),
    ("spin", 504, "component `faulty` did not answer within 2s"),
    ("sleep?ms=5000", 504, "component `faulty` did not answer within 2s"),
    ("memory", 500, "component `faulty`: out of memory: "),
    ("recursion", 500, "component `faulty` trapped: "),
    ("stack", 500, "component `faulty` trapped: "),
    ("status?code=42", 500, "component `faulty`: 42 is not a status"),
    ("status?code=0", 500, "component `faulty`: 0 is not a status"),
    ("status?code=101", 500, "component `faulty`: 101 is not a status"),
    ("status?code=65535", 500, "component `faulty`: 65535 is not a status"),
    ("header?case=name", 500, "component `faulty`: \"bad name\" is not a header name"),
    ("header?case=value", 500, "component `faulty`: \"a\\r\\nset-cookie: b=c\" is not a value"),
    ("header?case=", 500, "component `faulty`: \"\" is not a header name"),
    ("header?case=content-length", 500, "component `faulty`: the header \"content-length\" is set by the host"),
    ("header?case=Transfer-Encoding", 500, "component `faulty`: the header \"Transfer-Encoding\" is set by the host"),
    ("template", 500, "component `faulty`: template \"no-such.html\": "),
    ("template?name=name.html&context=%7B", 500, "component `faulty`: template \"name.html\": its context is not JSON"),
    ("template?name=name.html", 500, "component `faulty`: template \"name.html\": undefined value"),
    ("template?name=../carya.toml", 500, "component `faulty`: template \"../carya.toml\": "),
    ("huge", 500, "component `faulty`: out of memory: "),
    ("nothing", 500, "component `faulty` failed: nothing is none of the faults"),
];

async fn every_fault_is_a_short_answer_and_a_long_log_line(engine: Engine) -> Result {
    let app = app(engine).await?;
    let mut number = 0;
    let mut wrong = Wrong::default();
    for (path, status, reason) in FAULTS {
        for (method, prefix) in [("GET", "/"), ("POST", "/"), ("POST", "/plain/")] {
            number += 1;
            let id = format!("fault-{number}");
            let answer = call(&app, method, &format!("{prefix}{path}"), &id).await?;
            check_eq!(wrong, answer.status, *status, "{method} {prefix}{path}: {}", answer.text());
            check_eq!(
                wrong,
                answer.header("content-type"),
                "application/problem+json",
                "{path:?} {status:?} {reason:?}"
            );
            let (title, detail) = match status {
                504 => ("Gateway Timeout", "The answer took too long."),
                _ => ("Internal Server Error", "Something went wrong."),
            };
            let problem = json!({
                "type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": id,
            });
            check_eq!(wrong, answer.json()?, problem, "{method} {prefix}{path}");
            check!(wrong, !answer.steps().contains("commit"), "{path}: {}", answer.steps());
            let line = error_of(&app, &id).await?;
            check!(wrong, line["message"].as_str().is_some_and(|message| message.contains(reason)), "{path}: {line}");
            check_eq!(wrong, line["fault"], "guest", "{path}");
        }
    }
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(app.get("/json").await?.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "50 requests afterwards took {:?}", begun.elapsed());
    Ok(())
}

async fn an_answer_of_100_megabytes_is_not_sent(engine: Engine) -> Result {
    let app = app(engine).await?;
    let mut wrong = Wrong::default();
    for (number, method) in ["GET", "POST"].into_iter().enumerate() {
        let id = format!("large-{number}");
        let answer = call(&app, method, "/large/huge", &id).await?;
        check_eq!(
            wrong,
            (answer.status, answer.body.len() < 200),
            (500, true),
            "{number:?} {method:?}: {}",
            answer.text()
        );
        let line = error_of(&app, &id).await?;
        let reason =
            "component `large`: the response has a body of 104857600 bytes; server.max_response allows 16777216";
        check_eq!(wrong, line["message"], reason, "{number:?} {method:?}");
    }
    Ok(())
}

async fn a_body_of_rows_that_fails_is_a_database_error(engine: Engine) -> Result {
    let app = app(engine).await?;
    let table = [
        ("GET", "/rows", "no_such_table"),
        ("POST", "/rows", "no_such_table"),
        ("GET", "/rows?sql=COMMIT", "a statement must not begin with `COMMIT`"),
    ];
    let inexpressible = match engine {
        Engine::Sqlite => Some(("POST", "/rows?sql=SELECT%209e999", "JSON cannot express")),
        Engine::Postgres => Some(("POST", "/rows?sql=SELECT%20'inf'::float8", "JSON cannot express")),
        // MariaDB has no infinity.
        Engine::MariaDb => None,
    };
    let mut wrong = Wrong::default();
    for (number, (method, path, reason)) in table.into_iter().chain(inexpressible).enumerate() {
        let id = format!("rows-{number}");
        let answer = call(&app, method, path, &id).await?;
        check_eq!(
            wrong,
            (answer.status, answer.json()?["detail"].as_str()),
            (500, Some("Something went wrong.")),
            "{path}"
        );
        let line = error_of(&app, &id).await?;
        check!(wrong, line["message"].as_str().is_some_and(|message| message.contains(reason)), "{path}: {line}");
        check_eq!(wrong, line["fault"], "database", "{path}");
    }
    let answer = call(&app, "POST", "/plain/rows", "rows-plain").await?;
    assert_eq!(answer.status, 500);
    assert!(error_of(&app, "rows-plain").await?["message"].to_string().contains("without a database"));
    Ok(())
}

async fn valid_responses_pass(engine: Engine) -> Result {
    let app = app(engine).await?;
    let table = [
        ("/json", 200, "application/json", "{ not JSON"),
        ("/status?code=299", 299, "text/plain; charset=utf-8", "status"),
        ("/status?code=599", 599, "text/plain; charset=utf-8", "status"),
        ("/rows?sql=SELECT%201%20AS%20a", 200, "application/json", "[{\"a\":1}]"),
        (
            "/template?name=name.html&context=%7B%22name%22%3A%22%3Cb%3E%22%7D",
            200,
            "text/html; charset=utf-8",
            "&lt;b&gt;",
        ),
        ("/sleep?ms=10", 200, "text/plain; charset=utf-8", "sleep"),
        ("/header?case=x-fine", 200, "text/plain; charset=utf-8", "header"),
    ];
    let mut wrong = Wrong::default();
    for (path, status, content_type, body) in table {
        let answer = app.get(path).await?;
        check_eq!(wrong, (answer.status, answer.header("content-type")), (status, content_type), "{path}");
        check_eq!(wrong, answer.text(), body, "{path}");
    }
    let answer = app.get("/large/huge?bytes=16777216").await?;
    assert_eq!((answer.status, answer.body.len()), (200, 16 << 20), "just not too large");
    Ok(())
}

async fn output_of_guests_is_logged_with_its_component(engine: Engine) -> Result {
    let app = app(engine).await?;
    let mut wrong = Wrong::default();
    for (id, path) in [("said-1", "/print"), ("said-2", "/plain/print")] {
        check_eq!(wrong, call(&app, "POST", path, id).await?.status, 200, "{id:?} {path:?}");
        let table = [
            ("to stdout", "INFO", json!("stdout")),
            ("to stderr", "WARN", json!("stderr")),
            ("to the log", "INFO", json!(null)),
        ];
        for (text, level, stream) in table {
            let is_it = |line: &Json| line["message"] == text && line["request"] == id;
            let line = app.log.wait_until(text, is_it).await?;
            check_eq!(
                wrong,
                (&line["level"], &line["stream"]),
                (&json!(level), &stream),
                "{id:?} {path:?} {text:?}: {line}"
            );
            check_eq!(
                wrong,
                (&line["component"], &line["target"]),
                (&json!("faulty"), &json!("guest")),
                "{id:?} {path:?} {text:?}: {line}"
            );
        }
    }
    // The message of a panic is logged too.
    call(&app, "GET", "/panic", "said-3").await?;
    let is_it = |line: &Json| line["request"] == "said-3" && line["message"].as_str() == Some("as asked");
    assert_eq!(app.log.wait_until("the panic", is_it).await?["stream"], "stderr");
    Ok(())
}

async fn guests_have_no_files_network_environment_or_arguments(engine: Engine) -> Result {
    let app = app(engine).await?;
    let answer = app.get("/nosy").await?;
    let found = answer.json()?;
    let attempts = found.as_object().ok_or("no object")?;
    assert_eq!((&found["args"], &found["vars"]), (&json!([]), &json!([])));
    let mut tried = 0;
    let mut wrong = Wrong::default();
    for (what, error) in attempts.iter().filter(|(what, _)| !["args", "vars"].contains(&what.as_str())) {
        check!(wrong, error.is_string(), "{what}: {error}");
        tried += 1;
    }
    assert_eq!(tried, 7);
    assert!(!std::path::Path::new("/tmp/nosy").exists());
    Ok(())
}

async fn a_handle_dies_with_its_call(engine: Engine) -> Result {
    let app = app(engine).await?;
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let answer = app.call(method, "/kept/keep").await?;
        check_eq!(wrong, (answer.status, answer.header("x-kept")), (200, "lost"), "{method}: {}", answer.text());
        // A handle that the controller leaks does not affect the request.
        check_eq!(wrong, app.call(method, "/kept/print").await?.status, 200, "{method:?}");
    }
    Ok(())
}

async fn requests_are_served_while_guests_spin_and_fill_memory(engine: Engine) -> Result {
    let app = app(engine).await?;
    app.get("/json").await?;
    let abuse =
        async { tokio::join!(app.get("/spin"), app.post("/spin", ""), app.get("/plain/memory"), app.get("/spin")) };
    let others = async {
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        while begun.elapsed() < Duration::from_millis(400) {
            let asked = Instant::now();
            let answer = app.get("/json").await?;
            assert_eq!(answer.status, 200);
            slowest = slowest.max(asked.elapsed());
        }
        Result::Ok(slowest)
    };
    let (abused, slowest) = tokio::join!(abuse, others);
    let statuses = (abused.0?.status, abused.1?.status, abused.2?.status, abused.3?.status);
    assert_eq!((statuses.0, statuses.1, statuses.3), (504, 504, 504));
    assert!([500, 504].contains(&statuses.2), "{}", statuses.2);
    let slowest = slowest?;
    assert!(slowest < Duration::from_millis(250), "the slowest took {slowest:?} of a spin of 500 ms");
    Ok(())
}

on_each_engine! {
    every_fault_is_a_short_answer_and_a_long_log_line,
    an_answer_of_100_megabytes_is_not_sent,
    a_body_of_rows_that_fails_is_a_database_error,
    valid_responses_pass,
    output_of_guests_is_logged_with_its_component,
    guests_have_no_files_network_environment_or_arguments,
    a_handle_dies_with_its_call,
    requests_are_served_while_guests_spin_and_fill_memory,
}
