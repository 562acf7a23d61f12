//! The head of a response with streamed rows, and requests that are not streamed.

use serde_json::{Value as Json, json};

use super::{failing, many, read_raw, rows, send_raw, start};
use crate::{
    script::play,
    support::{Engine, Result, Wrong, check, check_eq, on_each_engine},
};

const LIMITS: &str = "[database]\nmax_rows = 1000\n";

/// Returns a global hook with these settings, and a response header.
fn hook(settings: &str, priority: u32) -> String {
    format!(
        "[component.hook]\npath = \"{{guest:trace-hook}}\"\nsettings = {{ {settings} }}\n\
         [[hook]]\ncomponent = \"hook\"\npriority = {priority}\n"
    )
}

async fn a_head_request_reads_only_the_first_piece(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    let mut wrong = Wrong::default();
    for attempt in 0..2 {
        let answer = play(&app, "HEAD", "/x", &rows(&many(1000), "csv")).await?;
        check_eq!(wrong, (answer.status, answer.header("content-length")), (200, ""), "{attempt}");
        check_eq!(wrong, answer.header("content-type"), "text/csv; charset=utf-8; header=present", "{attempt}");
        let answer = play(&app, "HEAD", "/x", &rows("SELECT n FROM thousand WHERE n = 7", "csv")).await?;
        check_eq!(wrong, (answer.status, answer.header("content-length")), (200, "6"), "{attempt}");
    }
    Ok(())
}

async fn http_1_0_gets_complete_responses_within_the_limits(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    let all =
        rows("SELECT n, 'some more text, so that the result has more than one piece of it' AS t FROM thousand", "csv");
    let answer = read_raw(send_raw(&app, "GET", "1.0", &all).await?).await?;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("content-length: "), "{answer}");
    assert_eq!(answer.split("\r\n\r\n").nth(1).map(|body| body.lines().count()), Some(1001));
    let answer = read_raw(send_raw(&app, "GET", "1.0", &rows(&many(2), "csv")).await?).await?;
    assert!(answer.starts_with("HTTP/1.0 500"), "{answer}");
    app.log.wait_for("more than 1000 rows").await?;
    Ok(())
}

async fn early_failures_keep_their_status_and_their_hooks(engine: Engine) -> Result {
    let early = failing(engine).replace("900", "3");
    let app = start(engine, "").await?;
    let mut wrong = Wrong::default();
    for sql in [&*early, "SELECT * FROM nowhere", "DELETE FROM thousand"] {
        for attempt in 0..2 {
            let answer = play(&app, "GET", "/x", &rows(sql, "json")).await?;
            check_eq!(wrong, answer.status, 500, "{attempt}: {sql}: {}", answer.text());
        }
    }
    let app = start(engine, &hook("on_error = \"tell\"", 100)).await?;
    let answer = play(&app, "GET", "/x", &rows(&early, "json")).await?;
    check_eq!(wrong, (answer.status, &*answer.text()), (200, "500 Fault::Database hook:reader"), "{early}");
    Ok(())
}

async fn after_hooks_change_only_the_head(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for (priority, mark) in [(100, "hook:reader"), (99, "hook:none")] {
        let app = start(engine, &hook("after = \"header\"", priority)).await?;
        for attempt in 0..2 {
            let answer = play(&app, "GET", "/x", &rows(&many(10), "csv")).await?;
            check_eq!(wrong, (answer.status, answer.header("x-after")), (200, mark), "{attempt}");
            check_eq!(wrong, answer.text().lines().count(), 10_001, "{attempt}");
        }
        let app = start(engine, &hook("after = \"rewrite\"", priority)).await?;
        let answer = play(&app, "GET", "/x", &rows(&many(10), "csv")).await?;
        // A hook outside cannot make the request fail any more.
        let expected = if priority == 100 { 500 } else { 203 };
        check_eq!(wrong, answer.status, expected, "{priority}");
        app.log.wait_until("the reason", |line| line.to_string().contains("its rows are streamed")).await?;
    }
    Ok(())
}

async fn a_hook_reads_beside_the_rows(engine: Engine) -> Result {
    let sql = "sql = \"SELECT count(*) FROM thousand\"";
    let app = start(engine, &hook(&format!("after = \"write\", {sql}"), 100)).await?;
    for _ in 0..3 {
        let answer = play(&app, "GET", "/x", &rows(&many(10), "csv")).await?;
        assert_eq!((answer.status, answer.text().lines().count()), (200, 10_001), "{}", answer.text());
    }
    Ok(())
}

async fn the_log_has_the_whole_request(engine: Engine) -> Result {
    let app = start(engine, "").await?;
    let answer = play(&app, "GET", "/x", &rows(&many(10), "csv")).await?;
    let mut wrong = Wrong::default();
    let (events, id) = (answer.events(), answer.header("x-request-id"));
    check_eq!(
        wrong,
        events.last().map(String::as_str),
        Some("stream"),
        "the head cannot have later events: {events:?}"
    );
    let is_of = |line: &Json, target: &str| line["request"] == id && line["target"] == target;
    let line = app.log.wait_until("the request", |line| is_of(line, "carya::access")).await?;
    check_eq!(wrong, line["bytes_out"], json!(answer.body.len()), "{line}");
    check!(wrong, line.to_string().contains("\"outcome\":\"nothing\""), "{line}");
    let line = app.log.wait_until("the events", |line| is_of(line, "carya::lifecycle")).await?;
    check!(wrong, line.to_string().contains(", stream;dur="), "{line}");
    check!(wrong, line.to_string().contains(", clear\""), "{line}");
    Ok(())
}

on_each_engine!(
    a_head_request_reads_only_the_first_piece,
    http_1_0_gets_complete_responses_within_the_limits,
    early_failures_keep_their_status_and_their_hooks,
    after_hooks_change_only_the_head,
    a_hook_reads_beside_the_rows,
    the_log_has_the_whole_request,
);
