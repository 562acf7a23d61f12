//! Limited address space: the host makes its pool of instances smaller. Requests then wait for an instance, and none
//! fails.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::support::{Log, PATIENCE, Result, Wrong, check, check_eq, write};

const CONFIG: &str = r#"
    [server]
    max_waiting = 200
    max_concurrent_per_component = 256
    [database]
    url = "sqlite:app.sqlite"
    [component.probe]
    path = "{guest:probe}"
    [component.timing]
    path = "{guest:timing}"
    [component.trace]
    path = "{guest:trace-hook}"
    [[hook]]
    component = "timing"
    [[hook]]
    component = "trace"
    [[route]]
    path = "/{what}"
    component = "probe"
"#;

/// Returns a command that runs the program with `kib` KiB of address space.
fn limited(kib: u64, folder: &std::path::Path, args: &[&str]) -> Command {
    // The HTTP client of this process needs a default crypto provider, although it uses no TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut command = Command::new("bash");
    let script = format!("ulimit -v {kib}; exec \"$0\" --log-format json \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_carya")]).args(args).current_dir(folder);
    command.env("CARYA_SERVER__LISTEN", "127.0.0.1:0");
    command.env("CARYA_SERVER__CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/code"));
    command.stderr(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts the server. Returns the process, its log, its address, and the number of concurrent requests that the address
/// space has room for.
async fn serve(kib: u64, folder: &std::path::Path) -> Result<(Child, Log, String, u64)> {
    let mut process = limited(kib, folder, &["serve"]).spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    let serving = log.wait_for("serving").await?;
    let address = serving["address"].as_str().ok_or("no address")?.to_owned();
    let lines = log.lines();
    let warning = lines.iter().find(|line| line["wanted"].is_number());
    let requests = warning.and_then(|line| line["requests"].as_u64()).unwrap_or(u64::MAX);
    Ok((process, log, address, requests))
}

#[tokio::test]
async fn the_pool_is_as_large_as_fits_and_no_request_fails() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    let mut wrong = Wrong::default();
    for kib in [2_000_000, 4_000_000, 16_000_000, 600_000_000] {
        let (process, log, address, requests) = serve(kib, folder.path()).await?;
        check!(wrong, (1..256).contains(&requests), "{kib} KiB: {requests} requests");
        let lines = log.lines();
        let warning = lines.iter().find(|line| line["wanted"] == 256).ok_or("no warning")?;
        let message = warning["message"].as_str().unwrap_or_default();
        let cause = format!("the address space is limited to {} MiB (`ulimit -v`", kib >> 10);
        check!(
            wrong,
            message.starts_with(&cause) && message.contains(&format!("room for {requests} of the 256")),
            "{kib:?}: {message}"
        );

        let client = reqwest::Client::builder().no_proxy().build()?;
        // A request waits for at most 1 s.
        let all = (0..40).map(|_| {
            let request = client.post(format!("http://{address}/x")).body(r#"[{"sql":"SELECT 1"},{"sleep_ms":5}]"#);
            tokio::spawn(async move { Ok::<_, reqwest::Error>(request.send().await?.status().as_u16()) })
        });
        for answer in all.collect::<Vec<_>>() {
            check_eq!(
                wrong,
                tokio::time::timeout(PATIENCE, answer).await???,
                200,
                "{kib} KiB: {:#?}",
                log.lines().last()
            );
        }
        drop(process);
    }
    Ok(())
}

#[tokio::test]
async fn reports_a_limit_without_room_for_a_request() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    let ran = tokio::time::timeout(PATIENCE, limited(600_000, folder.path(), &["serve"]).output()).await??;
    let err = String::from_utf8_lossy(&ran.stderr);
    let expected =
        "the address space is limited to 585 MiB (`ulimit -v`, LimitAS), which has no room for a single request";
    assert!(ran.status.code() == Some(1) && err.contains(expected), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_component_with_more_memory_than_the_slots_is_refused_by_name() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    let (process, log, address, _) = serve(4_000_000, folder.path()).await?;
    let larger = CONFIG.replace("[component.timing]", "memory = \"256MiB\"\n[component.timing]");
    write(folder.path(), &larger, &[])?;
    let pid = process.id().ok_or("it has ended")?.to_string();
    assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().await?.success());
    let line = log.wait_for("the old generation stays").await?;
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.contains("component.probe.path: ") && message.contains("at most 64 MiB of memory"), "{message}");
    assert_eq!(reqwest::get(format!("http://{address}/x")).await?.status(), 200);
    Ok(())
}

/// Commands that only check components create one instance at a time, and need no pool of instances.
#[tokio::test]
async fn inspecting_components_needs_no_pool() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    let component = super::support::guest("probe").display().to_string();
    let mut wrong = Wrong::default();
    for args in [
        ["check", "--json"].as_slice(),
        &["routes", "--json"],
        &["diff", "--json", "carya.toml", "carya.toml"],
        &["inspect", "--json", &component],
    ] {
        let running = limited(600_000, folder.path(), args).output();
        let ran = tokio::time::timeout(Duration::from_secs(60), running).await??;
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        check!(wrong, ran.status.success(), "{args:?}: {err}");
        let _: Value = serde_json::from_str(&out)?;
    }
    Ok(())
}

/// `serve` loads the code that `check` has compiled.
#[tokio::test]
async fn engines_with_and_without_a_pool_share_their_code() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    let run = |args: &'static [&str]| {
        let mut command = limited(u64::MAX >> 12, folder.path(), args);
        command.env("CARYA_SERVER__CACHE", "code");
        command
    };
    assert!(run(&["check"]).output().await?.status.success());
    let mut process = run(&["serve"]).spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    log.wait_for("serving").await?;
    let compiled = log.lines().iter().any(|line| line["message"] == "compiled");
    assert!(!compiled, "{:#?}", log.lines());
    Ok(())
}
