//! Warm images: the key `warm` of a component.

use std::fs;

use serde_json::Value;
use tokio::time::timeout;

use super::{
    javascript,
    languages::{self, answers, compile},
    shop,
    support::{App, Engine, PATIENCE, Result, Wrong, carya, check, check_eq, write},
};

/// Components of interpreters that can have an image.
const ITEMS: [&str; 2] = ["items-js", "items-python"];
const WARM: &str = "warm = { path = '/items/2' }";

/// Returns keys of a component whose image is not in the cache, which all tests and runs share.
fn not_in_cache(warm: &str) -> String {
    format!("{warm}\nhttp_timeout = \"{}ms\"", rand::random::<u32>() % 1_000_000_000 + 1)
}

#[tokio::test]
async fn warm_guests_answer_like_rust() -> Result {
    let mut wrong = Wrong::default();
    let expected = answers(Engine::Sqlite, "items", "").await?;
    for name in ITEMS.into_iter().filter(|name| languages::is_built(name)) {
        for (found, expected) in answers(Engine::Sqlite, name, WARM).await?.iter().zip(&expected) {
            check_eq!(wrong, found, expected, "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn instances_share_neither_random_numbers_nor_changes() -> Result {
    let mut wrong = Wrong::default();
    let name = "library-js";
    if let Some(app) = javascript::serve(Engine::Sqlite, name, "", &not_in_cache("warm = { path = '/random' }")).await?
    {
        app.log.wait_for("warmed").await?;
        let mut seen: Vec<Value> = Vec::new();
        for _ in 0..5 {
            seen.push(app.get("/random").await?.json()?);
        }
        for part in 0..3 {
            let mut values: Vec<_> = seen.iter().map(|numbers| numbers[part].to_string()).collect();
            values.sort();
            values.dedup();
            check_eq!(wrong, values.len(), 5, "{name}: part {part} of {seen:?}");
        }
        check_eq!(wrong, app.get("/keep").await?.status, 204, "{name}");
        check_eq!(wrong, app.get("/kept").await?.text(), "nothing was kept", "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_image_is_made_once() -> Result {
    let files = shop::files_on(Engine::Sqlite)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    if !languages::is_built("items-js") {
        return Ok(());
    }
    compile("items-js").await?;
    let config = languages::configuration("items-js", &not_in_cache(WARM));
    let app = App::start(&config, &files).await?;
    app.log.wait_for("warmed").await?;
    let (folder, _) = app.stop().await?;
    let app = App::start_in(folder, &config, &files, &[]).await?;
    assert_eq!(app.get("/items/2").await?.status, 200);
    assert!(!app.log.lines().iter().any(|line| line["message"] == "warmed"), "the image is in the cache");
    Ok(())
}

/// Returns the number of page faults of a process.
fn page_faults(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command in parentheses may contain spaces.
    let (_, fields) = status.rsplit_once(')').ok_or("no command")?;
    Ok(fields.split_whitespace().nth(7).ok_or("no page faults")?.parse()?)
}

#[tokio::test]
async fn pages_of_an_image_stay_mapped_as_far_as_the_configuration_allows() -> Result {
    if !languages::is_built("items-js") {
        return Ok(());
    }
    compile("items-js").await?;
    let files = shop::files_on(Engine::Sqlite)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let config = languages::configuration("items-js", &not_in_cache(WARM));
    let mut faults = Vec::new();
    for keep_resident in ["8MiB", "64KiB"] {
        // With one thread, page faults may cost less than copies.
        let env = [("CARYA_SERVER__KEEP_RESIDENT", keep_resident), ("TOKIO_WORKER_THREADS", "2")];
        let app = App::start_in(tempfile::tempdir()?, &config, &files, &env).await?;
        let is_off = app.log.lines().iter().any(|line| line.to_string().contains("no page scan"));
        if is_off || !wasmtime::PoolingAllocationConfig::is_pagemap_scan_available() {
            eprintln!("skipped: this machine has swap, or its kernel has no page scan");
            return Ok(());
        }
        if keep_resident == "64KiB" {
            let line = app.log.wait_for("pages are not written ahead: a request writes").await?;
            assert!(
                line["message"].as_str().is_some_and(|text| text.contains("set server.keep_resident to")),
                "{line}"
            );
        }
        let mut before = 0;
        for round in 0..60 {
            // The first requests map the pages.
            if round == 30 {
                before = page_faults(app.pid())?;
            }
            assert_eq!(app.get("/items/2").await?.status, 200);
        }
        faults.push((page_faults(app.pid())? - before) / 30);
    }
    assert!(faults[0] * 4 < faults[1], "page faults of a request: {faults:?}");
    Ok(())
}

/// Returns the error of a start with a guest as a component that serves `/items/{id}`. The database has no tables.
async fn refusal(guest: &str, warm: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let config = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [database]
        url = "sqlite://app.sqlite"
        [component.it]
        path = "{{guest:{guest}}}"
        warm = {warm}
        [component.other]
        path = "{{guest:items}}"
        [[route]]
        path = "/items/{{id}}"
        methods = ["GET"]
        component = "it"
        [[route]]
        path = "/items"
        methods = ["GET"]
        component = "other"
        "#
    );
    write(folder.path(), &config, &[])?;
    // The component is compiled again for its image.
    let output = timeout(6 * PATIENCE, carya().arg("serve").current_dir(folder.path()).output()).await??;
    assert!(!output.status.success(), "{warm}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn components_that_cannot_have_an_image_are_refused() -> Result {
    let mut wrong = Wrong::default();
    let rows = [
        ("foreign-js", "{ path = '/items/1' }", "imports wasi:"),
        ("items-qjs", "{ path = '/items/1' }", "cannot have a warm image: nested components"),
        ("items-js", "{ path = '/items/1' }", "GET /items/1 answers 500"),
        ("items-js", "{ path = '/none' }", "GET /none answers 404"),
        ("items-js", "{}", "component.it.warm.path: is missing"),
        ("items-js", "{ path = 'items' }", "component.it.warm.path"),
    ];
    for (guest, warm, expected) in rows.into_iter().filter(|(guest, ..)| languages::is_built(guest)) {
        compile(guest).await?;
        let text = refusal(guest, warm).await?;
        check!(wrong, text.contains(expected) && text.contains("carya.toml:"), "{guest}, {warm}: {text}");
    }
    Ok(())
}
