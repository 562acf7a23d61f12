//! Hosts that poll a tag of a registry.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use reqwest::Client;
use tokio::task::JoinHandle;

use super::{TYPE, config, pulled, serve};
use crate::support::{App, PATIENCE, Response, Result, eventually, module, registry::Registry};

const POLL: &str = "[reload]\npoll = \"200ms\"\n";
/// Number of responses of the new version after which a client has seen enough.
const ENOUGH: usize = 20;

/// Response texts that a client has seen, by generation.
type Seen = BTreeMap<String, String>;

/// Starts a client that sends requests without a pause until `stop` is set. Counts in `enough` once it has seen
/// [`ENOUGH`] responses of the new version. Also returns the number of its requests.
fn client(app: &App, enough: &Arc<AtomicUsize>, stop: &Arc<AtomicBool>) -> JoinHandle<Result<(Seen, usize)>> {
    let (url, enough, stop) = (format!("http://{}/x", app.address()), enough.clone(), stop.clone());
    tokio::spawn(async move {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let (mut seen, mut count, mut news) = (Seen::new(), 0, 0);
        while !stop.load(Relaxed) {
            let answer = Response::read(client.get(&url).send().await?).await?;
            if answer.status != 200 {
                return Err(format!("{}: {}", answer.status, answer.text()).into());
            }
            let (generation, text) = (answer.header("x-carya-generation").to_owned(), answer.text());
            if news > 0 && text == "one /x" {
                return Err("it went back".into());
            }
            count += 1;
            news += usize::from(text == "two /x");
            if news == ENOUGH {
                enough.fetch_add(1, Relaxed);
            }
            let known = seen.entry(generation).or_insert(text.clone());
            if *known != text {
                return Err(format!("mixed: {known} and {text}").into());
            }
        }
        Ok((seen, count))
    })
}

#[tokio::test]
async fn three_hosts_converge_under_load_and_a_digest_does_not_move() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    let digest = registry.push("shop/echo", "1", TYPE, &module::echo("one ")?).await?;
    let by_tag = format!("{}{POLL}", config(&format!("oci://{}/shop/echo:1", registry.host)));
    let by_digest = format!("{}{POLL}", config(&format!("oci://{}/shop/echo@{digest}", registry.host)));
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(serve(tempfile::tempdir()?, &by_tag).await?);
    }
    let fixed = serve(tempfile::tempdir()?, &by_digest).await?;
    let (enough, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = hosts.iter().flat_map(|app| [app, app]).map(|app| client(app, &enough, &stop)).collect();

    registry.push("shop/echo", "1", TYPE, &module::echo("two ")?).await?;
    for app in &hosts {
        app.log.wait_for("a new generation is served").await?;
    }
    let all = async || Ok(enough.load(Relaxed) >= clients.len() || clients.iter().any(JoinHandle::is_finished));
    eventually("all clients have seen the new generation", all).await?;
    stop.store(true, Relaxed);
    let (mut seen, mut count) = (Seen::new(), 0);
    for client in clients {
        let (own, requests) = client.await??;
        seen.extend(own);
        count += requests;
    }
    println!("{count} requests on three hosts, none failed");
    // A generation has the same name on each host, because its files and its component are the same.
    let mut texts: Vec<_> = seen.values().map(String::as_str).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["one /x", "two /x"], "{seen:?}");
    for app in &hosts {
        let answer = app.get("/x").await?;
        assert_eq!(seen.get(answer.header("x-carya-generation")), Some(&answer.text()));
        assert_eq!(pulled(app), 2, "each asks often and pulls once");
    }
    assert_eq!((fixed.get("/x").await?.text(), pulled(&fixed)), ("one /x".to_owned(), 1));
    assert!(!fixed.log.lines().iter().any(|line| line["message"] == "a new generation is served"));
    Ok(())
}

/// The host tries a component that it cannot serve once, not at every poll.
#[tokio::test]
async fn a_tag_of_a_broken_component_is_tried_once() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let app =
        serve(tempfile::tempdir()?, &format!("{}{POLL}", config(&format!("oci://{}/echo:1", registry.host)))).await?;
    registry.push("echo", "1", TYPE, b"not wasm").await?;
    app.log.wait_for("the old generation stays").await?;
    // Polling continues, so the host serves a valid component.
    registry.push("echo", "1", TYPE, &module::echo("two ")?).await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(app.get("/x").await?.text(), "two /x");
    let kept = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.contains("the old generation stays"))
    };
    assert_eq!(app.log.lines().iter().filter(|line| kept(line)).count(), 1);
    Ok(())
}
