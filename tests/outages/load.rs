//! Primaries that are killed and restarted while clients write. Acknowledged writes are complete, no write is partial,
//! and the host recovers without help.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use super::{assert_unavailable, serve, whole, write};
use crate::{
    script::send,
    support::{
        App, Result, eventually,
        servers::{Engine, Pair},
    },
};

const CLIENTS: usize = 6;
const KILLS: usize = 4;
/// Number of requests that must be acknowledged before each outage.
const WARM: usize = 25;

/// Responses that the clients have received.
#[derive(Default)]
struct Told {
    next: AtomicU32,
    acknowledged: Mutex<Vec<u32>>,
    refused: AtomicU32,
    is_over: AtomicBool,
}

impl Told {
    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends writes, and a read after every fifth, until the test is over.
    async fn write(&self, app: &App) -> Result {
        while !self.is_over.load(Relaxed) {
            let id = self.next.fetch_add(1, Relaxed);
            let answer = send(app, "POST", &write(id)).await?;
            if answer.status == 200 {
                self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            } else {
                assert_unavailable(&answer, "an outage is told as one");
                self.refused.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if id.is_multiple_of(5) {
                let answer = send(app, "GET", &json!([{ "sql": "SELECT count(*) FROM ones" }])).await?;
                if answer.status != 200 {
                    assert_unavailable(&answer, "an outage is told as one");
                }
            }
        }
        Ok(())
    }

    /// Waits until `count` more requests have been acknowledged.
    async fn more(&self, count: usize) -> Result {
        let before = self.acknowledged();
        eventually("requests are acknowledged", async || Ok(self.acknowledged() >= before + count)).await
    }
}

async fn primaries_die_under_load(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let pair = Pair::start(engine).await?.ok_or("not installed")?;
    let database = pair.database().await?;
    let app = serve(&database.primary_url(), "[transaction]\nretries = 0").await?;
    let told = Told::default();

    let hurting = async {
        let mut slowest = Duration::ZERO;
        for outage in 0..=KILLS {
            told.more(WARM).await?;
            // A random delay, so that the outage hits requests at any moment.
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
            if outage < KILLS {
                pair.kill_primary().await?;
                pair.start_primary().await?;
            } else {
                pair.restart_primary().await?;
            }
            let back = Instant::now();
            told.more(1).await?;
            slowest = slowest.max(back.elapsed());
        }
        told.more(WARM).await?;
        told.is_over.store(true, Relaxed);
        Result::Ok(slowest)
    };
    let clients = futures_util::future::try_join_all((0..CLIENTS).map(|_| told.write(&app)));
    let (slowest, _) = tokio::try_join!(hurting, clients)?;

    let there = whole(&database.primary()?).await?;
    let mut acknowledged = told.acknowledged.into_inner()?;
    acknowledged.sort_unstable();
    let lost: Vec<_> = acknowledged.iter().filter(|id| there.binary_search(id).is_err()).collect();
    let resolved: Vec<_> = app.log.lines().into_iter().filter(|line| line["committed"] == true).collect();
    assert!(lost.is_empty(), "{engine}: acknowledged and lost: {lost:?}; {resolved:#?}");
    println!(
        "{engine}: {} acknowledged, none lost; {} told 503, of which {} are there; {KILLS} kills and a restart, \
         served again within {slowest:.1?} of the server's return",
        acknowledged.len(),
        told.refused.into_inner(),
        there.len() - acknowledged.len(),
    );
    Ok(())
}

#[tokio::test]
async fn postgres_dies_under_load_and_commits_are_whole() -> Result {
    primaries_die_under_load(Engine::Postgres).await
}

#[tokio::test]
async fn mariadb_dies_under_load_and_commits_are_whole() -> Result {
    primaries_die_under_load(Engine::MariaDb).await
}
