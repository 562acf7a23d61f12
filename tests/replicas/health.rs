//! Servers that lag behind, stop, and return.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Stage, begun, insert, seen, write};
use crate::{
    outages::assert_unavailable,
    script::send,
    support::{Result, eventually, servers::Engine},
};

const AGAIN: &str = "a replica is used again";

#[tokio::test]
async fn a_lagging_or_missing_replica_is_unused_until_it_recovers() -> Result {
    for engine in Engine::servers() {
        let settings = "replica_max_lag = \"1500ms\"\nreplica_check = \"50ms\"";
        let Stage { pair, app, .. } = &Stage::new(engine, settings).await?;
        pair.pause_replica().await?;
        write(app).await?;
        assert_eq!(seen(app).await?, 0, "{engine}: it may be a little behind");
        app.log.wait_until("behind", |line| line["error"].to_string().contains("behind")).await?;
        assert_eq!(seen(app).await?, 1, "{engine}: it is too far behind");
        pair.resume_replica().await?;
        app.log.wait_for(AGAIN).await?;
        let [on_primary, _] = begun(app).await?;
        assert_eq!(seen(app).await?, 1, "{engine}");
        assert_eq!(begun(app).await?[0], on_primary, "{engine}: it is used again");

        let again = || app.log.lines().iter().filter(|line| line["message"] == AGAIN).count();
        for (round, is_killed) in [(1, false), (2, true)] {
            if is_killed {
                pair.kill_replica().await?
            } else {
                pair.stop_replica().await?
            }
            write(app).await?;
            let [_, on_replica] = begun(app).await?;
            assert_eq!(seen(app).await?, 1 + round, "{engine}: the primary stands in");
            assert_eq!(begun(app).await?[1], on_replica, "{engine}");
            let before = again();
            pair.start_replica().await?;
            eventually("it is used again", async || Ok(again() > before)).await?;
            pair.synchronize().await?;
            let [on_primary, _] = begun(app).await?;
            assert_eq!(seen(app).await?, 1 + round, "{engine}");
            assert_eq!(begun(app).await?[0], on_primary, "{engine}: it is used again");
        }
    }
    Ok(())
}

#[tokio::test]
async fn reads_continue_while_the_primary_is_down() -> Result {
    for engine in Engine::servers() {
        let settings = "replica_max_lag = \"1500ms\"\nreplica_check = \"20ms\"";
        let Stage { pair, app, .. } = &Stage::new(engine, settings).await?;
        write(app).await?;
        pair.synchronize().await?;
        // Pause the replica, so that it does not show the second row while the primary is down.
        pair.pause_replica().await?;
        write(app).await?;
        // Give the host time to check the primary after the write.
        tokio::time::sleep(Duration::from_millis(100)).await;
        pair.kill_primary().await?;
        // Read for longer than `replica_max_lag`: while the primary is down, the lag of the replica does not grow.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(seen(app).await?, 1, "{engine}: the replica is all there is");
            assert_unavailable(&send(app, "POST", &insert()).await?, "the primary is down");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_unavailable(&app.get("/pinned?script=[{\"sql\":\"SELECT 1\"}]").await?, "a route for the primary");
        pair.resume_replica().await?;
        pair.start_primary().await?;
        assert_eq!(send(app, "POST", &json!([])).await?.status, 200, "{engine}");
        write(app).await?;
        pair.synchronize().await?;
        eventually("everything is there", async || Ok(seen(app).await? == 3)).await?;
    }
    Ok(())
}
