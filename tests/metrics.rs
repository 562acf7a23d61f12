//! Metrics, which the host serves on an address of their own.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    script::{answer, insert, play, start_with},
    support::{App, Engine, Result, Wrong, carya, check_eq, write},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;

/// Starts an application that serves metrics. Returns it and the URL of its metrics.
async fn start(env: &[(&str, &str)]) -> Result<(App, String)> {
    let env = [&[("CARYA_SERVER__METRICS", "127.0.0.1:0")], env].concat();
    let app = start_with(Engine::Sqlite, ROUTE, &env).await?;
    let url = url(&app).await?;
    Ok((app, url))
}

/// Returns the URL of an application's metrics.
async fn url(app: &App) -> Result<String> {
    let line = app.log.wait_for("metrics").await?;
    let address = line["address"].as_str().ok_or("no address")?;
    Ok(format!("http://{address}/metrics"))
}

/// Returns the metrics of an application with `server.metrics`, by series.
pub async fn of(app: &App) -> Result<BTreeMap<String, f64>> {
    read(&url(app).await?).await
}

/// Returns the metrics at a URL, by series.
async fn read(url: &str) -> Result<BTreeMap<String, f64>> {
    let answer = reqwest::get(url).await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await?;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, number) = line.rsplit_once(' ').ok_or("no number")?;
        Ok((series.to_owned(), number.parse()?))
    });
    samples.collect()
}

fn requests(found: &BTreeMap<String, f64>, status: &str, outcome: &str) -> f64 {
    let series = format!("carya_requests_total{{status=\"{status}\",outcome=\"{outcome}\"}}");
    found.get(&series).copied().unwrap_or(f64::NAN)
}

#[tokio::test]
async fn requests_are_counted_by_status_and_outcome() -> Result {
    let (app, url) = start(&[]).await?;
    let before = read(&url).await?;
    assert_eq!(before[concat!("carya_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}")], 1.0);
    assert_eq!((requests(&before, "2xx", "committed"), before["carya_request_seconds_count"]), (0.0, 0.0));

    let mut wrong = Wrong::default();
    for (method, path, script, status) in [
        ("POST", "/", json!([insert("a")]), 200),
        ("POST", "/", json!([insert("b")]), 200),
        ("POST", "/", json!([insert("c"), answer(422)]), 422),
        ("GET", "/", json!([{ "sql": "SELECT 1" }]), 200),
        ("GET", "/nowhere", json!([]), 404),
    ] {
        check_eq!(wrong, play(&app, method, path, &script).await?.status, status, "{method:?} {path:?} {script:?}");
    }
    assert_eq!(app.post("/", vec![b' '; (1 << 20) + 1]).await?.status, 413);

    let found = read(&url).await?;
    assert_eq!(requests(&found, "2xx", "committed"), 2.0, "{found:#?}");
    assert_eq!(requests(&found, "4xx", "rolled back"), 1.0, "{found:#?}");
    assert_eq!(requests(&found, "2xx", "nothing"), 1.0, "{found:#?}");
    assert_eq!(requests(&found, "4xx", "nothing"), 1.0, "{found:#?}");
    assert_eq!(requests(&found, "4xx", "refused"), 1.0, "{found:#?}");
    assert_eq!(found["carya_request_seconds_count"], 5.0, "what is refused takes no time");
    assert_eq!(found["carya_request_seconds_bucket{le=\"+Inf\"}"], 5.0);
    assert!(found["carya_request_seconds_sum"] > 0.0);
    assert_eq!(found["carya_retries_total"], 0.0);
    assert_eq!(found["carya_statements_total{access=\"read-write\"}"], 3.0);
    assert_eq!(found["carya_statements_total{access=\"read-only\"}"], 1.0);
    Ok(())
}

#[tokio::test]
async fn retries_are_counted() -> Result {
    let env = [("CARYA_DATABASE__BUSY_TIMEOUT", "30ms"), ("CARYA_TRANSACTION__RETRIES", "2")];
    let (app, url) = start(&env).await?;
    let mut other = app.database().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await?;
    assert_eq!(play(&app, "POST", "/", &json!([insert("a")])).await?.status, 503);
    let found = read(&url).await?;
    assert_eq!((found["carya_retries_total"], requests(&found, "5xx", "rolled back")), (2.0, 1.0), "{found:#?}");
    assert_eq!(found["carya_conflicts_total"], 3.0);
    Ok(())
}

#[tokio::test]
async fn metrics_have_their_own_listener() -> Result {
    let (app, url) = start(&[]).await?;
    assert_eq!(app.get("/metrics").await?.status, 404);
    assert_eq!(reqwest::get(url.replace("/metrics", "/")).await?.status(), 404);
    let posted = reqwest::Client::new().post(&url).send().await?;
    assert_eq!(posted.status(), 405);
    assert_eq!(app.stop().await?.1, Some(0));
    Ok(())
}

#[tokio::test]
async fn no_metrics_without_an_address() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[]).await?;
    assert!(!app.log.lines().iter().any(|line| line["message"] == "metrics"));
    Ok(())
}

#[tokio::test]
async fn reports_an_address_in_use() -> Result {
    let folder = tempfile::tempdir()?;
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = other.local_addr()?;
    write(folder.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\nmetrics = \"{address}\"\n"), &[])?;
    let output = carya().arg("serve").current_dir(folder.path()).output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    let expected = format!("error: carya.toml:3: server.metrics: cannot listen on {address}: Address already in use");
    assert!(output.status.code() == Some(1) && told.contains(&expected), "{told}");
    Ok(())
}
