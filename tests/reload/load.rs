//! A hundred swaps of the generation under a constant load of requests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::json;
use tokio::{
    sync::Mutex as Turns,
    time::{MissedTickBehavior, interval},
};

use super::{CONFIG, Page, Watched, ms, show};
use crate::support::{Engine, PATIENCE, Response, Result, Wrong, check_eq, guest, on_each_engine};

const SWAPS: usize = 100;
const CLIENTS: usize = 20;
/// Interval between two requests of a client. All clients send 500 requests/s if the machine is fast enough.
const EVERY: Duration = Duration::from_millis(40);
/// Upper limit for every request, also during a swap.
const BEYOND_REASON: Duration = Duration::from_secs(2);

/// Responses that the clients have received.
#[derive(Default)]
struct Seen {
    pages: Mutex<BTreeMap<String, (Page, usize)>>,
    times: Mutex<Vec<Duration>>,
    failed: Mutex<Vec<String>>,
    written: AtomicUsize,
}

impl Seen {
    /// Sends one request. Every fourth request writes.
    async fn call(&self, client: &Client, url: &str, number: usize, nth: usize) -> Result {
        let (is_writing, begun) = (nth.is_multiple_of(4), Instant::now());
        let answer = if is_writing {
            let insert = json!({ "sql": "INSERT INTO marks VALUES (?)", "params": [format!("{number}-{nth}")] });
            let script = json!([insert, show()[0]]);
            Response::read(client.post(url).body(script.to_string()).send().await?).await?
        } else {
            let count = json!({ "sql": "SELECT count(*) FROM marks" });
            Response::read(client.get(url).body(json!([count, show()[0]]).to_string()).send().await?).await?
        };
        let page = Page::of(&answer)?;
        self.times.lock().map_err(|_| "poisoned")?.push(begun.elapsed());
        self.written.fetch_add(usize::from(is_writing), Ordering::Relaxed);
        let mut pages = self.pages.lock().map_err(|_| "poisoned")?;
        let (known, count) = pages.entry(page.generation.clone()).or_insert((page.clone(), 0));
        *count += 1;
        // All responses of a generation must show the same content.
        if *known == page { Ok(()) } else { Err(format!("mixed: {known:?} and {page:?}").into()) }
    }
}

/// Makes a change that cannot be served, and reverts it.
async fn break_and_mend(watched: &mut Watched, nth: usize, served: &str) -> Result {
    let broken: [(&str, Option<&[u8]>); 5] = [
        ("hook.wasm", Some(b"garbage")),
        ("hook.wasm", None),
        ("templates/page.html", Some(b"page {% if %}")),
        ("carya.toml", Some(b"[server\n")),
        ("hook.wasm", Some(b"\0asm\x0d\0\x01\0half of it")),
    ];
    let (name, content) = broken[nth % broken.len()];
    let whole = std::fs::read(watched.path().join(name))?;
    match content {
        Some(content) => watched.put(name, content)?,
        None => std::fs::remove_file(watched.path().join(name))?,
    }
    watched.refused().await?;
    watched.put(name, whole)?;
    assert_eq!(watched.served().await?, served, "{name}: it is what it was");
    Ok(())
}

on_each_engine!(a_hundred_swaps_lose_no_request_and_mix_no_generations);

async fn a_hundred_swaps_lose_no_request_and_mix_no_generations(engine: Engine) -> Result {
    // The tests of the engines run one after the other, so that each has the machine to itself.
    static TURN: Turns<()> = Turns::const_new(());
    let _turn = TURN.lock().await;
    let mut watched = Watched::start_on(engine).await?;
    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let url = format!("http://{}/x", watched.app.address());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (seen, stop, url) = (seen.clone(), stop.clone(), url.clone());
            tokio::spawn(async move {
                let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
                let mut ticks = interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for nth in 0.. {
                    ticks.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Err(error) = seen.call(&client, &url, number, nth).await {
                        seen.failed.lock().map_err(|_| "poisoned")?.push(error.to_string());
                    }
                }
                Result::Ok(())
            })
        })
        .collect();

    let (timing, trace) = (std::fs::read(guest("timing"))?, std::fs::read(guest("trace-hook"))?);
    let begun = Instant::now();
    // Template, configuration and component change in turn. Record the content of each generation by its id.
    let (mut text, mut is_timing) = ("page one".to_owned(), true);
    let mut expected = BTreeMap::from([(watched.page().await?.generation, (text.clone(), is_timing))]);
    for swap in 0..SWAPS {
        match swap % 3 {
            0 => {
                text = format!("page {swap}");
                watched.put("templates/page.html", &text)?;
            }
            1 => watched.put_config(&CONFIG.replace("mark = \"one\"", &format!("mark = \"{swap}\"")))?,
            _ => {
                is_timing = !is_timing;
                watched.put("hook.wasm", if is_timing { &timing } else { &trace })?;
            }
        }
        let id = watched.served().await?;
        expected.insert(id.clone(), (text.clone(), is_timing));
        if swap % 10 == 9 {
            break_and_mend(&mut watched, swap / 10, &id).await?;
        }
    }
    let elapsed = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }

    let failed = seen.failed.lock().map_err(|_| "poisoned")?.clone();
    let mut times = seen.times.lock().map_err(|_| "poisoned")?.clone();
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let slowest = *times.last().ok_or("no requests")?;
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    println!(
        "{}: {} requests at {rate:.0}/s, {SWAPS} swaps in {:.1} s, failed {}, p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        engine,
        times.len(),
        elapsed.as_secs_f64(),
        failed.len(),
        ms(p50),
        ms(p99),
        ms(slowest)
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(rate >= 200.0, "{rate} requests/s are no load");
    assert!(slowest < BEYOND_REASON, "{slowest:?}");
    let pages = seen.pages.lock().map_err(|_| "poisoned")?.clone();
    let mut wrong = Wrong::default();
    for (generation, (page, _)) in &pages {
        let content = Some((page.text.clone(), page.has_timing));
        check_eq!(wrong, expected.get(generation).cloned(), content, "{generation} answered what it is not");
    }
    assert!(pages.len() > SWAPS / 2, "only {} generations were met", pages.len());
    let marks = watched.app.number("SELECT count(*) FROM marks").await?;
    assert_eq!(usize::try_from(marks)?, seen.written.load(Ordering::Relaxed), "commits and answers differ");
    Ok(())
}
