//! The limits of streams: their number, and the memory of rows that clients have not read.

use serde_json::json;

use super::{begin, failing, length, many, read_raw, rows, send_raw, start};
use crate::{
    metrics,
    script::play,
    support::{Engine, Result, Wrong, check_eq, eventually, on_each_engine},
};

async fn half_of_the_connections_stream_at_a_time(engine: Engine) -> Result {
    let app = start(engine, "[database]\nmax_connections = 4\nacquire_timeout = \"3s\"\n").await?;
    let streams = [begin(&app, &many(1000)).await?, begin(&app, &many(1000)).await?];
    let mut wrong = Wrong::default();
    // The first of these requests is for a statement that the host does not know yet.
    for sql in [&*many(999), &*many(1000)] {
        let answer = play(&app, "GET", "/x", &rows(sql, "csv")).await?;
        check_eq!(wrong, (answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
        let small = play(&app, "GET", "/x", &json!([{ "sql": "SELECT 1" }])).await?;
        check_eq!(wrong, small.status, 200, "requests that do not stream have the other half");
    }
    app.log.wait_for("it streams 2 responses already").await?;
    let [first, _second] = streams;
    drop(first);
    let answer = play(&app, "GET", "/x", &rows(&many(10), "csv")).await?;
    check_eq!(wrong, answer.status, 200, "a disconnected client frees a place");
    Ok(())
}

async fn a_request_waits_for_another_stream(engine: Engine) -> Result {
    let app = start(engine, "[database]\nmax_connections = 1\nacquire_timeout = \"30s\"\n").await?;
    let (one, two) = tokio::join!(async { length(begin(&app, &many(100)).await?).await }, async {
        length(begin(&app, &many(100)).await?).await
    });
    assert_eq!(one?, two?);
    Ok(())
}

async fn a_stream_keeps_the_place_of_its_request(engine: Engine) -> Result {
    let app = start(engine, "[server]\nmax_concurrent_requests = 1\n").await?;
    let stream = begin(&app, &many(1000)).await?;
    let waiting = app.request("GET", "/x").body("[]").send();
    let waiting = tokio::spawn(waiting);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "the only place is taken");
    drop(stream);
    assert_eq!(waiting.await??.status(), 200);
    Ok(())
}

async fn unread_streams_count_as_unsent(engine: Engine) -> Result {
    let app = start(engine, "[server]\nmax_unsent = \"300KiB\"\n[database]\nmax_connections = 24\n").await?;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let client = send_raw(&app, "GET", "1.1", &rows(&many(1000), "csv")).await?;
        client.readable().await?;
        clients.push(client);
    }
    app.log.wait_for("closing the slowest connection: server.max_unsent").await?;
    let mut complete = 0;
    for client in clients {
        complete += usize::from(read_raw(client).await.is_ok_and(|text| text.ends_with("0\r\n\r\n")));
    }
    assert!(complete < 12, "all streams are complete");
    eventually("it works", async || Ok(play(&app, "GET", "/x", &rows(&many(10), "csv")).await?.status == 200)).await
}

async fn metrics_count_streams(engine: Engine) -> Result {
    let app = start(engine, "[server]\nmetrics = \"127.0.0.1:0\"\n").await?;
    let counts = async || {
        let found = metrics::of(&app).await?;
        let number = |series: &str| found.get(series).copied().unwrap_or(f64::NAN);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>([
            number("carya_streams_open{database=\"default\"}"),
            number("carya_streams_total{database=\"default\",end=\"complete\"}"),
            number("carya_streams_total{database=\"default\",end=\"cut off\"}"),
            number("carya_streamed_bytes_total{database=\"default\"}"),
        ])
    };
    let small = play(&app, "GET", "/x", &rows("SELECT n FROM thousand", "csv")).await?;
    assert_eq!((small.status, counts().await?), (200, [0.0; 4]), "a small result is no stream");
    let sent = length(begin(&app, &many(100)).await?).await? as f64;
    eventually("a complete stream", async || Ok(counts().await? == [0.0, 1.0, 0.0, sent])).await?;
    let stream = begin(&app, &many(1000)).await?;
    eventually("an open stream", async || Ok(counts().await?[..3] == [1.0, 1.0, 0.0])).await?;
    drop(stream);
    eventually("a stream without its end", async || Ok(counts().await?[..3] == [0.0, 1.0, 1.0])).await?;
    assert!(counts().await?[3] > sent, "the bytes of both streams");
    let failed = play(&app, "GET", "/x", &rows(&failing(engine), "json")).await;
    assert!(failed.is_err(), "the response is cut off");
    eventually("a failed stream", async || Ok(counts().await?[..3] == [0.0, 1.0, 2.0])).await
}

on_each_engine!(
    half_of_the_connections_stream_at_a_time,
    a_request_waits_for_another_stream,
    a_stream_keeps_the_place_of_its_request,
    unread_streams_count_as_unsent,
    metrics_count_streams,
);
