//! Primaries that are killed at chosen moments: between requests, inside a transaction, during a commit.

use serde_json::{Value as Json, json};

use super::{assert_unavailable, insert, serve, whole, write};
use crate::{
    script::send,
    support::{
        App, Response, Result,
        client::Client,
        proxy::{Fate, Proxy},
        servers::{Engine, Pair},
    },
};

/// A primary for this test alone, and an application that reaches it through a proxy.
struct Stage {
    pair: Pair,
    direct: Client,
    proxy: Proxy,
    app: App,
}

impl Stage {
    async fn new(engine: Engine) -> Result<Self> {
        let pair = Pair::start(engine).await?.ok_or("not installed")?;
        let database = pair.database().await?;
        let (url, direct) = (database.primary_url(), database.primary()?);
        let proxy = Proxy::to(&url).await?;
        let app = serve(proxy.url(), "").await?;
        Ok(Self { pair, direct, proxy, app })
    }

    /// Sends a request and holds its first message that contains `text`. Then kills the primary, starts it again, and
    /// runs `meanwhile` before the held message, and thus the request, continues.
    async fn kill_at(
        &self,
        text: &'static str,
        script: &Json,
        meanwhile: impl AsyncFnOnce() -> Result,
    ) -> Result<Response> {
        let before = self.proxy.sprung_so_far();
        self.proxy.trap(text, Fate::Held);
        let killing = async {
            self.proxy.sprung(before + 1).await?;
            self.pair.kill_primary().await?;
            self.pair.start_primary().await?;
            meanwhile().await?;
            self.proxy.release();
            Ok(())
        };
        Ok(tokio::try_join!(send(&self.app, "POST", script), killing)?.0)
    }
}

#[tokio::test]
async fn a_primary_killed_in_a_transaction_leaves_nothing_of_it() -> Result {
    for engine in Engine::servers() {
        let stage = Stage::new(engine).await?;
        let halfway = json!([insert("ones", 1), { "sql": "SELECT 1 AS halfway" }, insert("twos", 1)]);
        let answer = stage.kill_at("halfway", &halfway, async || Ok(())).await?;
        assert_unavailable(&answer, "killed in the middle");
        assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "{engine}: it is back");

        let answer = stage.kill_at("COMMIT", &write(3), async || Ok(())).await?;
        assert_unavailable(&answer, "killed before the commit");
        assert_eq!(send(&stage.app, "POST", &write(4)).await?.status, 200, "{engine}: it is back");

        stage.pair.kill_primary().await?;
        for method in ["GET", "POST"] {
            let answer = send(&stage.app, method, &json!([{ "sql": "SELECT id FROM ones" }])).await?;
            assert_unavailable(&answer, "while it is dead");
        }
        stage.pair.start_primary().await?;
        assert_eq!(send(&stage.app, "POST", &write(5)).await?.status, 200, "{engine}: it is back");
        assert_eq!(whole(&stage.direct).await?, [2, 4, 5], "{engine}");
    }
    Ok(())
}

/// After a crash, PostgreSQL reuses the numbers of transactions that never reached its disk.
#[tokio::test]
async fn the_commit_of_another_transaction_is_not_mistaken() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let stage = Stage::new(Engine::Postgres).await?;
    // With this delay only commits flush the write-ahead log to the disk.
    stage.pair.primary()?.execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await?;
    stage.pair.restart_primary().await?;
    let number = "SELECT pg_current_xact_id()::text";
    let before = stage.direct.number(number).await?;
    // Use up transaction numbers up to that of the lost transaction.
    let again = async || {
        while stage.direct.number(number).await? < before + 1 {}
        Ok(())
    };
    let answer = stage.kill_at("COMMIT", &write(1), again).await?;
    assert_eq!(whole(&stage.direct).await?, [0; 0], "it was lost");
    assert_unavailable(&answer, "it was lost");
    Ok(())
}

#[tokio::test]
async fn the_first_request_after_a_restart_is_served() -> Result {
    for engine in Engine::servers() {
        let pair = Pair::start(engine).await?.ok_or("not installed")?;
        let database = pair.database().await?;
        // A server responds slowly right after its recovery if the machine is busy.
        let app = serve(&database.primary_url(), "[database]\nacquire_timeout = \"15s\"").await?;
        for round in 0..2 {
            // The pool keeps several connections, and the outage breaks all of them.
            let [one, two, three] = [0, 1, 2].map(
                |id| json!([insert("ones", 10 * round + id), insert("twos", 10 * round + id), { "sleep_ms": 50 }]),
            );
            let (one, two, three) =
                tokio::try_join!(send(&app, "POST", &one), send(&app, "POST", &two), send(&app, "POST", &three))?;
            assert_eq!([one.status, two.status, three.status], [200; 3], "{engine}");
            let read = json!([{ "sql": "SELECT id FROM ones" }]);
            let answers = if round == 0 {
                pair.restart_primary().await?;
                [send(&app, "GET", &read).await?, send(&app, "POST", &write(10 * round + 3)).await?]
            } else {
                pair.kill_primary().await?;
                pair.start_primary().await?;
                [send(&app, "POST", &write(10 * round + 3)).await?, send(&app, "GET", &read).await?]
            };
            let statuses = answers.map(|answer| answer.status);
            let lines = app.log.lines();
            let told = &lines[lines.len().saturating_sub(8)..];
            assert_eq!(statuses, [200; 2], "{engine}, round {round}: {told:#?}");
        }
        assert_eq!(whole(&database.primary()?).await?, [0, 1, 2, 3, 10, 11, 12, 13], "{engine}");
    }
    Ok(())
}
