//! Requests at the limits of the host: body size, places for concurrent requests, request and trace ids, and the format
//! of errors.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::json;

use super::{call, error_of};
use crate::{
    faults::app,
    script::{results, serve_with},
    support::{App, Engine, Response, Result, Wrong, check, check_eq, eventually, on_each_engine},
};

async fn with_header(app: &App, path: &str, name: &'static str, value: &str) -> Result<Response> {
    app.send("GET", path, HeaderMap::from_iter([(name.parse()?, value.parse()?)]), "").await
}

async fn a_body_over_the_limit_is_413(engine: Engine) -> Result {
    let app = serve_with(engine, "SELECT 1", "[server]\nmax_body = '1KiB'").await?;
    let exact = format!("[{}]", " ".repeat(1022));
    assert_eq!(app.post("/x", exact.clone()).await?.status, 200);
    let answer = app.post("/x", exact + " ").await?;
    assert_eq!(
        (answer.status, answer.json()?["detail"].as_str()),
        (413, Some("The body may have at most 1024 bytes."))
    );
    assert_eq!((answer.steps().as_str(), answer.header("connection")), ("", "close"), "no guest ran");
    let chunks = futures_util::stream::iter((0..3).map(|_| std::io::Result::Ok(vec![b' '; 1000])));
    let answer = app.post("/x", reqwest::Body::wrap_stream(chunks)).await?;
    assert_eq!(answer.status, 413, "without a content-length too");
    let refused = app.log.wait_for("refused").await?;
    assert_eq!((&refused["status"], &refused["path"]), (&json!(413), &json!("/x")));
    assert_eq!(app.post("/x", "[]").await?.status, 200);
    Ok(())
}

async fn requests_beyond_the_limit_wait_and_then_get_503(engine: Engine) -> Result {
    let app = serve_with(engine, "SELECT 1", "[server]\nmax_concurrent_requests = 1").await?;
    // A request waits for a place for at most 1 s.
    let sleep = |ms: u32| json!([{ "log": "has a place" }, { "sleep_ms": ms }]);
    let begun = Instant::now();
    let (short, shorter) = (sleep(200), sleep(150));
    let (one, other) = tokio::join!(results(&app, "GET", &short), results(&app, "POST", &shorter));
    one?;
    other?;
    assert!(begun.elapsed() >= Duration::from_millis(350), "they ran at the same time");
    let long = sleep(4000);
    let late = async {
        let is_it = |line: &serde_json::Value| line["message"] == "has a place";
        let has_begun = async || Ok(app.log.lines().iter().filter(|line| is_it(line)).count() >= 3);
        eventually("a request of 4 s runs", has_begun).await?;
        app.get("/x").await
    };
    let (_, late) = tokio::try_join!(results(&app, "GET", &long), late)?;
    assert_eq!((late.status, late.header("retry-after")), (503, "1"), "{}", late.text());
    assert_eq!(late.json()?["detail"], "The server is busy.");
    Ok(())
}

async fn request_ids_are_accepted_and_returned(engine: Engine) -> Result {
    let app = serve_with(engine, "SELECT 1", "").await?;
    let long = "x".repeat(128);
    for (given, taken) in
        [("abc-1", true), ("a/b:c.d_e~f", true), (&*long, true), ("a b", false), (&format!("{long}x"), false)]
    {
        let headers = HeaderMap::from_iter([("x-request-id".parse()?, given.parse()?)]);
        let answer = app.send("GET", "/x", headers, json!([{ "echo": true }]).to_string()).await?;
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(id == given, taken, "{given}");
        assert!(taken || (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{id}");
        assert_eq!(answer.json()?[0]["id"], id, "the guest knows it");
        let line = app.log.wait_until(&id, |line| line["request"] == id && line["message"] == "request").await?;
        assert_eq!(
            (&line["status"], &line["method"], &line["outcome"]),
            (&json!(200), &json!("GET"), &json!("nothing"))
        );
    }
    let first = app.get("/x").await?.header("x-request-id").to_owned();
    assert_ne!(first, app.get("/x").await?.header("x-request-id"));
    assert_eq!(call(&app, "GET", "/", "none").await?.json()?["request_id"], "none", "and so do refusals");
    Ok(())
}

async fn a_trace_parent_is_in_every_line_of_the_request(engine: Engine) -> Result {
    let app = app(engine).await?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = with_header(&app, "/error", "traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")).await?;
    let id = answer.header("x-request-id");
    assert_eq!(error_of(&app, id).await?["trace"], trace);
    let access = app.log.wait_until(id, |line| line["request"] == id && line["message"] == "request").await?;
    assert_eq!((&access["trace"], &access["status"]), (&json!(trace), &json!(500)));
    Ok(())
}

async fn clients_that_prefer_text_get_text(engine: Engine) -> Result {
    let app = app(engine).await?;
    let mut wrong = Wrong::default();
    for path in ["/error", "/spin", "/no/such/path"] {
        for (accept, content_type) in [
            ("text/plain", "text/plain; charset=utf-8"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain; charset=utf-8"),
            ("application/json", "application/problem+json"),
            ("*/*", "application/problem+json"),
        ] {
            if path == "/spin" && accept != "text/plain" {
                continue;
            }
            let answer = with_header(&app, path, "accept", accept).await?;
            check_eq!(wrong, answer.header("content-type"), content_type, "{path} {accept}");
            let (status, id) = (answer.status.to_string(), answer.header("x-request-id"));
            let text = answer.text();
            check!(wrong, text.contains(&status) && text.contains(id), "{path:?} {accept:?}: {text}");
            check!(wrong, !text.contains("faulty") && !text.contains("as asked"), "{path:?} {accept:?}: {text}");
        }
    }
    Ok(())
}

on_each_engine! {
    a_body_over_the_limit_is_413,
    requests_beyond_the_limit_wait_and_then_get_503,
    request_ids_are_accepted_and_returned,
    a_trace_parent_is_in_every_line_of_the_request,
    clients_that_prefer_text_get_text,
}
