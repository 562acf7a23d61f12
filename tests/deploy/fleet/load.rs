//! Swaps of the generation of a fleet under constant load on all of its hosts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Client;

use super::{Fleet, bring, until_served};
use crate::support::{Engine, PATIENCE, Result, on_each_server};

const SWAPS: usize = 5;
/// Interval between the requests of one client. Four clients for each of three hosts send 300 requests a second, if the
/// machine is fast enough.
const EVERY: Duration = Duration::from_millis(40);

on_each_server! { no_request_fails_while_a_fleet_swaps }

/// Results of one client: the number of requests, the ids of the generations that answered, and the errors.
type Seen = (usize, BTreeSet<String>, Vec<String>);

async fn call(url: String, stop: Arc<AtomicBool>) -> Result<Seen> {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let (mut ticks, mut seen) = (tokio::time::interval(EVERY), Seen::default());
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        seen.0 += 1;
        match client.post(&url).body("[{\"sql\": \"SELECT 1\"}]").send().await {
            Ok(answer) if answer.status() == 200 => {
                let generation = answer.headers().get("x-carya-generation").ok_or("no generation")?;
                seen.1.insert(generation.to_str()?.to_owned());
            }
            Ok(answer) => seen.2.push(answer.status().to_string()),
            Err(error) => seen.2.push(error.to_string()),
        }
    }
    Ok(seen)
}

async fn no_request_fails_while_a_fleet_swaps(engine: Engine) -> Result {
    let fleet = Fleet::new(engine).await?;
    let (hosts, first) = fleet.three().await?;
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let clients: Vec<_> = (0..12)
        .map(|number| {
            let url = format!("http://{}/x", hosts[number % 3].app.address());
            tokio::spawn(call(url, stop.clone()))
        })
        .collect();
    let mut expected = BTreeSet::from([first.id.to_string()]);
    let mut slowest = Duration::ZERO;
    for swap in 0..SWAPS {
        let wanted = bring(&hosts[swap % 3], &format!("page {swap}")).await?;
        expected.insert(wanted.id.to_string());
        for host in &hosts {
            slowest = slowest.max(until_served(host, &wanted).await?);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (mut count, mut met, mut failed) = Seen::default();
    for client in clients {
        let (asked, generations, wrong) = client.await??;
        count += asked;
        met.extend(generations);
        failed.extend(wrong);
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{}: {count} requests at {rate:.0}/s, {SWAPS} swaps, failed {}, slowest to follow {slowest:?}",
        engine,
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(met, expected, "they met all generations and no others");
    Ok(())
}
