//! Streams that end before their last row: failed queries, clients that disconnect, and a host that shuts down.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{begin, failing, length, many, read_raw, rows, send_raw, start};
use crate::{
    cancellation::used,
    connections::http2,
    script::{self, play},
    support::{App, Engine, PATIENCE, Result, eventually, on_each_engine},
};

const METRICS: &str = "[server]\nmetrics = \"127.0.0.1:0\"\n";

/// Asserts that no database connection is in use, and that a stream still works.
async fn all_is_well(app: &App) -> Result {
    eventually("all connections are back", async || Ok(used(app).await? == 0.0)).await?;
    let answer = play(app, "GET", "/x", &rows(&many(5), "csv")).await?;
    assert_eq!((answer.status, answer.text().lines().count()), (200, 5001));
    Ok(())
}

async fn a_late_failure_cuts_the_chunked_body(engine: Engine) -> Result {
    let app = start(engine, METRICS).await?;
    for _ in 0..2 {
        let received = read_raw(send_raw(&app, "GET", "1.1", &rows(&failing(engine), "json")).await?).await?;
        assert!(received.starts_with("HTTP/1.1 200"), "{received}");
        assert!(received.contains("\"n\":100") && !received.ends_with("0\r\n\r\n"), "{received}");
    }
    let line = app.log.wait_for("the response was cut off after").await?;
    assert_eq!((&line["level"], &line["fault"]), (&"ERROR".into(), &"database".into()), "{line}");
    let answer = play(&app, "GET", "/x", &rows(&failing(engine), "json")).await;
    assert!(answer.is_err(), "{answer:?}");
    all_is_well(&app).await
}

async fn a_late_failure_resets_the_stream_of_http2(engine: Engine) -> Result {
    let app = start(engine, METRICS).await?;
    let (mut client, connection) = http2(app.address(), 1 << 20).await?;
    let request = Request::get(format!("http://{}/x", app.address())).body(())?;
    let (answer, mut body) = client.send_request(request, false)?;
    body.send_data(Bytes::from(rows(&failing(engine), "json").to_string()), true)?;
    let answer = timeout(PATIENCE, answer).await??;
    assert_eq!(answer.status(), 200);
    let (mut body, mut received) = (answer.into_body(), 0);
    let error = loop {
        match timeout(PATIENCE, body.data()).await? {
            Some(Ok(data)) => received += data.len(),
            Some(Err(error)) => break error,
            None => return Err(format!("it ended after {received} bytes").into()),
        }
    };
    assert!(error.is_reset() && error.reason() == Some(h2::Reason::INTERNAL_ERROR), "{error:?}");
    assert!(received > 0);
    connection.abort();
    all_is_well(&app).await
}

async fn a_client_that_disconnects_frees_its_places(engine: Engine) -> Result {
    let extra = "[server]\nmetrics = \"127.0.0.1:0\"\nmax_concurrent_requests = 1\n[database]\nmax_connections = 1\n";
    let app = start(engine, extra).await?;
    for _ in 0..3 {
        let mut client = send_raw(&app, "GET", "1.1", &rows(&many(1000), "csv")).await?;
        let mut head = [0; 1000];
        client.read_exact(&mut head).await?;
        assert!(head.starts_with(b"HTTP/1.1 200"));
        assert_eq!(used(&app).await?, 1.0);
        drop(client);
        // The only place is free again.
        script::results(&app, "GET", &json!([{ "sql": "SELECT 1" }])).await?;
    }
    all_is_well(&app).await
}

async fn a_client_that_does_not_read_is_disconnected(engine: Engine) -> Result {
    let app = start(engine, "[server]\nmetrics = \"127.0.0.1:0\"\nsend_timeout = \"1s\"\n").await?;
    let client = send_raw(&app, "GET", "1.1", &rows(&many(1000), "csv")).await?;
    eventually("the stream runs", async || Ok(used(&app).await? == 1.0)).await?;
    all_is_well(&app).await?;
    let received = read_raw(client).await;
    assert!(!matches!(&received, Ok(text) if text.ends_with("0\r\n\r\n")));
    Ok(())
}

async fn a_slow_client_gets_all_rows(engine: Engine) -> Result {
    let app = start(engine, "[database]\nstatement_timeout = \"1s\"\n").await?;
    let mut answer = begin(&app, &many(300)).await?;
    let mut received = 0;
    for _ in 0..2 {
        // Longer than `statement_timeout`, while more rows than fit into the buffers of the system are not read.
        sleep(Duration::from_secs(3)).await;
        received += answer.chunk().await?.map_or(0, |chunk| chunk.len());
    }
    received += length(answer).await?;
    let lines = (0..300_000).map(|i: usize| format!("{i},a row of the table\r\n").len()).sum::<usize>();
    assert_eq!(received, lines + "i,name\r\n".len());
    Ok(())
}

async fn a_stream_ends_after_its_timeout(engine: Engine) -> Result {
    let app = start(engine, &format!("{METRICS}[database]\nstream_timeout = \"1s\"\n")).await?;
    let client = send_raw(&app, "GET", "1.1", &rows(&many(1000), "csv")).await?;
    app.log.wait_for("longer than stream_timeout").await?;
    all_is_well(&app).await?;
    let received = read_raw(client).await?;
    assert!(received.starts_with("HTTP/1.1 200") && !received.ends_with("0\r\n\r\n"));
    Ok(())
}

async fn a_shutdown_waits_for_streams_and_then_cuts_them_off(engine: Engine) -> Result {
    for (drain_timeout, is_complete) in [("60s", true), ("200ms", false)] {
        let app = start(engine, &format!("[server]\ndrain_timeout = \"{drain_timeout}\"\n")).await?;
        let client = send_raw(&app, "GET", "1.1", &rows(&many(500), "csv")).await?;
        client.readable().await?;
        app.signal("TERM").await?;
        app.log.wait_for("shutting down").await?;
        if is_complete {
            sleep(Duration::from_millis(500)).await;
        } else {
            app.log.wait_for("the host is shutting down").await?;
        }
        let received = read_raw(client).await.unwrap_or_default();
        assert_eq!(received.ends_with("0\r\n\r\n"), is_complete, "{drain_timeout}");
        assert_eq!(app.stop().await?.1, Some(0));
    }
    Ok(())
}

async fn a_retired_generation_ends_after_its_streams(engine: Engine) -> Result {
    let app = start(engine, "[server]\ndrain_timeout = \"1s\"\n").await?;
    let mut client = send_raw(&app, "GET", "1.1", &rows(&many(1000), "csv")).await?;
    client.readable().await?;
    let file = app.folder.path().join("carya.toml");
    std::fs::write(&file, std::fs::read_to_string(&file)? + "[transaction]\nretries = 1\n")?;
    app.signal("HUP").await?;
    app.log.wait_for("the old generation has drained").await?;
    app.log.wait_for("the response was cut off after").await?;
    // The new generation serves requests.
    let answer = play(&app, "GET", "/x", &rows(&many(5), "csv")).await?;
    assert_eq!((answer.status, answer.text().lines().count()), (200, 5001));
    client.shutdown().await?;
    Ok(())
}

on_each_engine!(
    a_late_failure_cuts_the_chunked_body,
    a_late_failure_resets_the_stream_of_http2,
    a_client_that_disconnects_frees_its_places,
    a_client_that_does_not_read_is_disconnected,
    a_slow_client_gets_all_rows,
    a_stream_ends_after_its_timeout,
    a_shutdown_waits_for_streams_and_then_cuts_them_off,
    a_retired_generation_ends_after_its_streams,
);
