//! Interrupted requests: the row PX-18. Every interruption before the commit has begun rolls back the transaction.

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    script::{ENDLESS, NUMBERS, insert, marks, play, start, start_with},
    support::{App, Engine, Result, Wrong, check_eq, on_each_engine},
};

const ROUTES: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
    [component.faulty]
    path = "{guest:faulty}"
    memory = "16MiB"
    timeout = "500ms"
    [component.writer]
    path = "{guest:only-before}"
    settings = { before = "write", sql = "INSERT INTO marks VALUES ('m')" }
    [[route]]
    path = "/{what}"
    methods = ["POST"]
    component = "faulty"
    hooks = ["writer"]
"#;

/// Returns a script that inserts a mark, logs `it is written`, and sleeps for a minute.
fn slow() -> serde_json::Value {
    json!([insert("m"), { "log": "it is written" }, { "sleep_ms": 60_000 }])
}

/// Returns a query that only ends when it is interrupted.
fn endless() -> String {
    format!("{NUMBERS} SELECT count(*) FROM {ENDLESS}")
}

/// Sends a request, and closes the client's connection as soon as the guest has logged that its mark is written.
async fn go_away(app: &App, script: &serde_json::Value) -> Result {
    let body = script.to_string();
    let head = format!("POST / HTTP/1.1\r\nhost: carya\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut client = TcpStream::connect(app.address()).await?;
    client.write_all((head + &body).as_bytes()).await?;
    app.log.wait_for("it is written").await?;
    drop(client);
    let line = app.log.wait_for("the client disconnected").await?;
    assert_eq!(line["fault"], "client", "{line}");
    Ok(())
}

/// Asserts that the request has left no mark, and that another request can write.
async fn check_healthy(app: &App, row: &str) -> Result {
    assert_eq!(marks(app).await?, "", "{row}");
    let answer = play(app, "POST", "/", &json!([{ "sql": "DELETE FROM marks" }])).await?;
    assert_eq!(answer.steps(), "start, inside, commit, clear", "{row}: the next request");
    Ok(())
}

async fn px_18_a_guest_that_fails(engine: Engine) -> Result {
    let app = start(engine, ROUTES).await?;
    let table = [
        ("panic", 500),
        ("error", 500),
        ("exit", 500),
        ("spin", 504),
        ("sleep", 504),
        ("memory", 500),
        ("recursion", 500),
        ("stack", 500),
    ];
    let mut wrong = Wrong::default();
    for (what, status) in table {
        let row = format!("PX-18 {what}");
        let answer = app.post(&format!("/{what}"), "").await?;
        check_eq!(
            wrong,
            (answer.status, answer.steps().as_str()),
            (status, "start, before:writer, rollback, clear"),
            "{what:?} {status:?}: {row}"
        );
        check_healthy(&app, &row).await?;
    }
    let answer = app.post("/print", "").await?;
    assert_eq!((answer.status, marks(&app).await?.as_str()), (200, "m"), "PX-18: one that does not fail");
    Ok(())
}

async fn px_18_a_statement_that_takes_too_long(engine: Engine) -> Result {
    let app = start_with(engine, ROUTES, &[("CARYA_DATABASE__STATEMENT_TIMEOUT", "1s")]).await?;
    let mut wrong = Wrong::default();
    for swallow in [false, true] {
        let script = json!([insert("m"), { "sql": endless(), "swallow": swallow }]);
        let answer = play(&app, "POST", "/", &script).await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (500, "start, rollback, clear"), "PX-18: {swallow}");
        check_healthy(&app, "PX-18: statement").await?;
    }
    Ok(())
}

async fn px_18_a_component_out_of_time_within_a_statement(engine: Engine) -> Result {
    let app = start_with(engine, ROUTES, &[("CARYA_COMPONENT__PROBE__TIMEOUT", "2s")]).await?;
    let answer = play(&app, "POST", "/", &json!([insert("m"), { "sql": endless(), "swallow": true }])).await?;
    assert_eq!((answer.status, answer.steps().as_str()), (504, "start, rollback, clear"), "PX-18");
    check_healthy(&app, "PX-18: component").await
}

async fn px_18_a_request_out_of_time(engine: Engine) -> Result {
    let app = start_with(engine, ROUTES, &[("CARYA_SERVER__REQUEST_TIMEOUT", "2s")]).await?;
    let answer = play(&app, "POST", "/", &slow()).await?;
    assert_eq!((answer.status, answer.steps().as_str()), (504, "start, rollback, clear"), "PX-18");
    check_healthy(&app, "PX-18: request").await
}

async fn px_18_the_client_goes_away(engine: Engine) -> Result {
    let app = start(engine, ROUTES).await?;
    go_away(&app, &slow()).await?;
    check_healthy(&app, "PX-18: client").await
}

async fn px_18_the_client_goes_away_within_a_statement(engine: Engine) -> Result {
    let app = start_with(engine, ROUTES, &[("CARYA_DATABASE__STATEMENT_TIMEOUT", "60s")]).await?;
    go_away(&app, &json!([insert("m"), { "log": "it is written" }, { "sql": endless() }])).await?;
    check_healthy(&app, "PX-18: client").await
}

async fn px_18_the_host_shuts_down(engine: Engine) -> Result {
    let app = start_with(engine, ROUTES, &[("CARYA_SERVER__DRAIN_TIMEOUT", "50ms")]).await?;
    let ending = async {
        app.log.wait_for("it is written").await?;
        app.signal("TERM").await?;
        app.log.wait_for("the host is shutting down").await?;
        app.log.wait_for("stopped").await
    };
    // The client receives a 503 or finds the connection closed.
    let script = slow();
    let (answer, ended) = tokio::join!(play(&app, "POST", "/", &script), ending);
    ended?;
    if let Ok(answer) = answer {
        assert_eq!((answer.status, answer.steps().as_str()), (503, "start, rollback, clear"), "PX-18");
    }
    assert_eq!(marks(&app).await?, "", "PX-18: shutdown");
    assert_eq!(app.stop().await?.1, Some(0), "PX-18: shutdown");
    Ok(())
}

async fn px_18_the_host_is_killed(engine: Engine) -> Result {
    let app = start(engine, ROUTES).await?;
    let script = slow();
    let killing = async {
        app.log.wait_for("it is written").await?;
        app.signal("KILL").await
    };
    let (answer, killed) = tokio::join!(play(&app, "POST", "/", &script), killing);
    killed?;
    assert!(answer.is_err(), "PX-18: nobody answers");
    assert_eq!(marks(&app).await?, "", "PX-18: killed");
    Ok(())
}

on_each_engine! {
    px_18_a_guest_that_fails,
    px_18_a_statement_that_takes_too_long,
    px_18_a_component_out_of_time_within_a_statement,
    px_18_a_request_out_of_time,
    px_18_the_client_goes_away,
    px_18_the_client_goes_away_within_a_statement,
    px_18_the_host_shuts_down,
    px_18_the_host_is_killed,
}
