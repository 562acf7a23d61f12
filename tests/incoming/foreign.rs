//! Components that published SDKs make for every host of `wasi:http`: `wstd` for Rust, componentize-js and componentize-py.

use reqwest::header::{HeaderMap, HeaderValue};

use super::TABLE;
use crate::{
    languages::{compile, is_built},
    support::{App, Result, upstream::Upstream},
};

/// Destination of components that send no requests.
const NOWHERE: &str = "http://localhost";

/// Starts an application with one of the components behind `/x/{what}`. It may send requests to `to`.
async fn start(component: &str, to: &str) -> Result<App> {
    compile(component).await?;
    let config = format!(
        r#"
        [outbound]
        allow = ["{to}"]
        allow_private = true
        [model]
        migrations = "migrations"
        [component.it]
        path = "{{guest:{component}}}"
        http = ["{to}"]
        [[route]]
        path = "/x/{{what}}"
        component = "it"
        "#
    );
    App::start_in(tempfile::tempdir()?, &config, &[TABLE], &[]).await
}

async fn rows(app: &App) -> Result<String> {
    Ok(app.texts("SELECT mark FROM marks ORDER BY mark").await?.join(" "))
}

/// A component responds, reads a body and sets header fields. It writes a row, and loses another one when it fails after
/// its response.
async fn serves(component: &str, to: &str) -> Result<App> {
    let app = start(component, to).await?;
    let headers = HeaderMap::from_iter([("x-sent".parse()?, HeaderValue::from_static("field"))]);
    let answer = app.send("POST", "/x/echo", headers, "a body").await?;
    assert_eq!((answer.status, &*answer.text()), (200, "POST a body"), "{component}");
    assert_eq!(answer.header("x-sdk"), component.trim_start_matches("foreign-"));
    assert_eq!(answer.header("x-sent"), "field", "{component}");
    assert_eq!(answer.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"], "{component}");
    assert_eq!(answer.events().join(" "), "start controller:it commit clear", "{component}");
    let answer = app.get("/x/echo").await?;
    assert_eq!((answer.status, &*answer.text()), (200, "GET "), "{component}");
    let large = "x".repeat(1_000_000);
    assert_eq!(app.post("/x/echo", large.clone()).await?.text(), format!("POST {large}"), "{component}");

    let answer = app.post("/x/row", "kept").await?;
    assert_eq!((answer.status, &*answer.text()), (201, "written"), "{component}");
    assert_eq!(answer.events().join(" "), "start controller:it begin commit clear", "{component}");
    let answer = app.post("/x/trap", "lost").await?;
    assert_eq!(answer.status, 500, "{component}");
    assert_eq!(answer.events().join(" "), "start controller:it begin rollback clear", "{component}");
    assert_eq!(rows(&app).await?, "kept", "{component}");
    Ok(app)
}

#[tokio::test]
async fn wstd_serves() -> Result {
    serves("foreign-wstd", NOWHERE).await.map(drop)
}

#[tokio::test]
async fn javascript_serves_and_fetches() -> Result {
    if !is_built("foreign-js") {
        return Ok(());
    }
    let upstream = Upstream::start().await?;
    let app = serves("foreign-js", &upstream.url("")).await?;
    let answer = app.post("/x/stream", "streamed").await?;
    assert_eq!((answer.status, &*answer.text()), (200, "part0part1part2"));
    // The error of a stream ends the body as its end does, so the host cannot distinguish them.
    let answer = app.post("/x/broken", "broken").await?;
    assert_eq!((answer.status, &*answer.text()), (200, "part0"));
    assert_eq!(rows(&app).await?, "broken kept streamed");

    let answer = app.post("/x/out", upstream.url("/ok")).await?;
    assert_eq!((answer.status, &*answer.text()), (200, "200 GET"));
    assert_eq!(upstream.lines(), ["GET /ok"]);
    let answer = app.post("/x/out", "http://localhost:1/other").await?;
    assert_eq!(answer.status, 500);
    app.log.wait_for("outbound HTTP was refused: GET http://localhost:1/other").await?;
    Ok(())
}

#[tokio::test]
async fn python_serves() -> Result {
    if !is_built("foreign-python") {
        return Ok(());
    }
    serves("foreign-python", NOWHERE).await.map(drop)
}
