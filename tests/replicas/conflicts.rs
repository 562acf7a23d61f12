//! Reads that conflict with the replay of changes on a replica, or with serializable writers.

use std::time::Duration;

use serde_json::json;

use super::{Stage, begun, serve, write};
use crate::{
    script::{self, send},
    support::{
        Result,
        client::Client,
        eventually,
        servers::{Engine, postgres},
    },
};

/// A query that runs for about a second, so that the test can act meanwhile.
const SLOW: &str = "SELECT count(*) FROM generate_series(1, 8000000)";

/// Starts a primary with a row and a replica that immediately cancels reads which conflict with the replay.
async fn impatient_replica(settings: &str) -> Result<(Stage, Client, Client)> {
    let stage = Stage::new(Engine::Postgres, settings).await?;
    let (primary, replica) = (Client::new(&stage.urls[0])?, Client::new(&stage.urls[1])?);
    replica.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0").await?;
    replica.execute("SELECT pg_reload_conf()").await?;
    write(&stage.app).await?;
    stage.pair.synchronize().await?;
    Ok((stage, primary, replica))
}

/// Waits until a session of the server runs [`SLOW`].
async fn slow_query_runs(server: &Client) -> Result {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 8%' \
        AND pid <> pg_backend_pid()";
    eventually("the slow query runs", async || Ok(server.number(sql).await? > 0)).await
}

#[tokio::test]
async fn retries_a_read_that_a_replica_cancels_on_the_primary() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let (Stage { app, pair, .. }, primary, replica) = &impatient_replica("statement_timeout = \"20s\"").await?;
    for retries in [true, false] {
        // The replay of the last change would cancel the read before it runs the slow query.
        pair.synchronize().await?;
        let before = begun(app).await?;
        let script = json!([{ "sql": "SELECT id FROM ones" }, { "sql": SLOW }, { "sql": "SELECT id FROM ones" }]);
        let path = if retries { "/x" } else { "/once" };
        let reading = script::play(app, "GET", path, &script);
        let altering = async {
            slow_query_runs(replica).await?;
            primary.execute("ALTER TABLE ones ADD COLUMN IF NOT EXISTS extra integer").await?;
            primary.execute("ALTER TABLE ones DROP COLUMN extra").await
        };
        let (answer, ()) = tokio::try_join!(reading, altering)?;
        let after = begun(app).await?;
        if retries {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.events().contains(&"retry".to_owned()), "{:?}", answer.events());
            assert_eq!((after[0] - before[0], after[1] - before[1]), (1, 1), "once on each");
        } else {
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "retries = 0");
        }
    }
    Ok(())
}

/// PostgreSQL does not cancel a session that is idle in a transaction. It terminates the session.
#[tokio::test]
async fn retries_a_read_whose_session_a_replica_ends_on_the_primary() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let (Stage { app, .. }, primary, _) = &impatient_replica("").await?;
    let read = json!({ "sql": "SELECT id FROM ones" });
    let script = json!([read, { "log": "has read" }, { "sleep_ms": 1000 }, read]);
    let altering = async {
        app.log.wait_for("has read").await?;
        primary.execute("ALTER TABLE ones ADD COLUMN extra integer").await
    };
    let (answer, ()) = tokio::try_join!(send(app, "GET", &script), altering)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.events().contains(&"retry".to_owned()), "{:?}", answer.events());
    Ok(())
}

#[tokio::test]
async fn retries_a_serializable_read_that_meets_a_conflict() -> Result {
    let tables = "CREATE TABLE x (v integer); CREATE TABLE y (v integer); INSERT INTO x VALUES (0);
        INSERT INTO y VALUES (0)";
    let Some(cluster) = postgres().await? else { return Ok(()) };
    let settings = "statement_timeout = \"20s\"\n[transaction]\nisolation = \"serializable\"";
    let app = serve(&cluster.database().await?.primary_url(), &[], settings).await?;
    app.execute(tables).await?;
    // Two writers. Without a conflict error the reader would see the change of the later one, but not that of
    // the earlier.
    let client = app.client()?;
    let mut first = client.connect().await?;
    first.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM x; SELECT v FROM y").await?;
    client.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM y; UPDATE y SET v = 20; COMMIT").await?;
    let value = |table: &str| json!({ "sql": format!("SELECT v FROM {table}"), "op": "query_one" });
    let script = json!([value("y"), { "sql": SLOW }, value("x")]);
    let others = async {
        slow_query_runs(&client).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.execute("UPDATE x SET v = -11; COMMIT").await
    };
    let (answer, ()) = tokio::try_join!(send(&app, "GET", &script), others)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.events().contains(&"retry".to_owned()), "{:?}", answer.events());
    let got = answer.json()?;
    assert_eq!((&got[0]["row"][0]["v"], &got[2]["row"][0]["v"]), (&json!("20"), &json!("-11")));
    Ok(())
}
