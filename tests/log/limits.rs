//! Limits of the log: for the guests of one request, and for each source in a second. Every record is either written or
//! counted in a record about dropped ones.

use futures_util::{StreamExt, stream};
use serde_json::{Value as Json, json};

use super::{Host, of_guests, size};
use crate::{
    script::{config, play, send, serve_with, start_with},
    support::{App, Engine, Result, Wrong, check, check_eq, eventually},
};

const OF_REQUEST: &str = "records of a request's guests were dropped: log.max_per_request";
const OF_SECOND: &str = "records were dropped: log.max_per_second";

/// Returns the sum of a number in the records with this message that `matches` accepts.
fn sum(app: &App, message: &str, key: &str, matches: impl Fn(&Json) -> bool) -> u64 {
    let lines = app.log.lines();
    lines.iter().filter(|line| line["message"] == message && matches(line)).filter_map(|line| line[key].as_u64()).sum()
}

/// With `reuse`, the counts start again for each request.
async fn a_request_logs_up_to_its_limit(reuse: &str) -> Result {
    let route = "[[route]]\npath = '/{what}'\ncomponent = 'probe'";
    let app = start_with(Engine::Sqlite, &format!("{reuse}{route}\n[log]\nmax_per_request = '4KiB'"), &[]).await?;
    let text = "x".repeat(100);
    let mut wrong = Wrong::default();
    for step in [
        json!({ "log": text, "times": 1000 }),
        json!({ "print": format!("{text}\n"), "times": 1000 }),
        json!({ "eprint": format!("{text}\n"), "times": 1000 }),
    ] {
        let answer = send(&app, "GET", &json!([step])).await?;
        check_eq!(wrong, answer.status, 200, "{step}");
        let id = answer.header("x-request-id");
        let dropped = app.log.wait_until(id, |line| line["message"] == OF_REQUEST && line["request"] == id).await?;
        // Every line counts with its text and some more bytes.
        let logged = of_guests(&app, id).iter().filter(|line| line["message"] == *text).count() as u64;
        check!(wrong, (10..=40).contains(&logged), "{step}: {logged}");
        check_eq!(wrong, dropped["records"].as_u64(), Some(1000 - logged), "{step}: {dropped}");
        check_eq!(wrong, dropped["bytes"].as_u64(), Some(100 * (1000 - logged)), "{step}: {dropped}");
    }
    let answer = send(&app, "GET", &json!([{ "log": "once" }])).await?;
    let id = answer.header("x-request-id");
    app.log.wait_until("the message", |line| line["message"] == "once" && line["request"] == id).await?;
    check_eq!(wrong, app.log.lines().iter().filter(|line| line["message"] == OF_REQUEST).count(), 3, "requests");
    Ok(())
}

#[tokio::test]
async fn the_guests_of_a_request_log_up_to_a_limit() -> Result {
    a_request_logs_up_to_its_limit("").await
}

#[tokio::test]
async fn a_reused_instance_logs_up_to_the_limit_of_each_request() -> Result {
    a_request_logs_up_to_its_limit("[component.probe.reuse]\nmax_requests = 10\n").await
}

/// Messages that the filter excludes do not count.
#[tokio::test]
async fn only_lines_in_the_log_count() -> Result {
    let more = "[[route]]\npath = '/{what}'\ncomponent = 'probe'\n[log]\nmax_per_request = '4KiB'";
    let app = start_with(Engine::Sqlite, more, &[("CARYA_LOG", "info,guest=warn")]).await?;
    let script = json!([{ "log": "hidden", "times": 1000 }, { "eprint": "shown\n" }]);
    send(&app, "GET", &script).await?;
    app.log.wait_for("shown").await?;
    send(&app, "GET", &json!([{ "eprint": "the end\n" }])).await?;
    app.log.wait_for("the end").await?;
    assert!(!app.log.lines().iter().any(|line| line["message"] == OF_REQUEST));
    Ok(())
}

#[tokio::test]
async fn a_component_logs_up_to_a_limit_per_second() -> Result {
    let other = "[component.other]\npath = '{guest:probe}'\n[[route]]\npath = '/other/{what}'\ncomponent = 'other'";
    let limits = "[log]\nmax_per_request = '1GiB'\nmax_per_second = '16KiB'";
    let app = serve_with(Engine::Sqlite, "SELECT 1", &format!("{other}\n{limits}")).await?;
    send(&app, "GET", &json!([{ "log": "flood", "times": 20_000 }])).await?;
    let flood = || app.log.lines().iter().filter(|line| line["message"] == "flood").count() as u64;
    let dropped = || sum(&app, OF_SECOND, "records", |line| line["of"] == "guest" && line["component"] == "probe");
    eventually("each line is logged or counted", async || Ok(flood() + dropped() == 20_000)).await?;
    assert!(dropped() > 0 && flood() < 20_000, "{} of 20000", dropped());

    // Another component has a limit of its own.
    let both = async {
        let (one, two) = (json!([{ "log": "flood", "times": 5000 }]), json!([{ "log": "heard" }]));
        send(&app, "GET", &one).await?;
        play(&app, "GET", "/other/x", &two).await
    };
    both.await?;
    app.log.wait_for("heard").await?;
    Ok(())
}

#[tokio::test]
async fn a_storm_of_failures_is_summarized() -> Result {
    const REQUESTS: usize = 300;
    let limits = "[log]\nmax_per_second = '8KiB'";
    let app = serve_with(Engine::Sqlite, "SELECT 1", limits).await?;
    let script = json!([{ "panic": true }]);
    let statuses: Vec<u16> = stream::iter(0..REQUESTS)
        .map(|_| async { Result::Ok(send(&app, "GET", &script).await?.status) })
        .buffer_unordered(20)
        .map(|status| status.unwrap_or_default())
        .collect()
        .await;
    assert!(statuses.iter().all(|status| *status == 500), "{statuses:?}");
    let failures =
        || app.log.lines().into_iter().filter(|line| line["level"] == "ERROR" && line["target"] == "carya::exchange");
    let counted = || sum(&app, OF_SECOND, "records", |line| line["of"] == "carya::exchange");
    let all = async || Ok(failures().count() as u64 + counted() == REQUESTS as u64);
    eventually("each failure is logged or counted", all).await?;
    assert!(failures().count() < REQUESTS, "the storm is longer than a second of the limit");
    let access = |line: &&Json| line["message"] == "request" && line["status"] == 500;
    eventually("each request has its line", async || Ok(app.log.lines().iter().filter(access).count() == REQUESTS))
        .await
}

#[tokio::test]
async fn dropped_records_are_counted_before_the_host_stops() -> Result {
    let limits = "[log]\nmax_per_request = '1GiB'\nmax_per_second = '1KiB'";
    let app = serve_with(Engine::Sqlite, "SELECT 1", limits).await?;
    send(&app, "GET", &json!([{ "log": "flood", "times": 1000 }])).await?;
    app.signal("TERM").await?;
    app.log.wait_for("stopped").await?;
    let flood = || app.log.lines().iter().filter(|line| line["message"] == "flood").count() as u64;
    eventually("all lines are logged or counted", async || {
        Ok(flood() + sum(&app, OF_SECOND, "records", |_| true) == 1000)
    })
    .await
}

/// One request of a guest that logs 24 MB.
#[tokio::test]
async fn the_default_limits_bound_the_log() -> Result {
    let host = Host::start(
        "text",
        &format!("{}[database]\nurl = 'sqlite:a.db'", config()),
        &[("migrations/0001_t.sql", "SELECT 1")],
    )
    .await?;
    let step = json!({ "log": "x".repeat(8000), "times": 3000 });
    host.play("/x", &json!([step])).await?;
    eventually("the lines are counted", async || Ok(host.log()?.contains(OF_REQUEST))).await?;
    let bytes = size(&host.folder.path().join("log"));
    assert!(bytes < 200_000, "{bytes} bytes");
    Ok(())
}
