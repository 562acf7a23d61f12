//! Entity tags that the host adds to the responses of guests.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, Response, Result, Wrong, check, check_eq},
};

const ON: (&str, &str) = ("CARYA_SERVER__ETAG", "true");

/// Sends a script in the query of a request with headers.
async fn send(app: &App, method: &str, script: &Json, headers: &[(&str, &str)]) -> Result<Response> {
    let script: String = form_urlencoded::byte_serialize(script.to_string().as_bytes()).collect();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
    }
    app.send(method, &format!("/x?script={script}"), map, "").await
}

/// Returns a script that responds with a body and headers.
fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Json {
    json!([{ "answer": { "status": status, "text": body, "headers": headers } }])
}

#[tokio::test]
async fn a_client_that_has_the_body_gets_304() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[ON]).await?;
    let script = answer(200, "one", &[("content-type", "text/plain"), ("x-a", "b"), ("cache-control", "max-age=5")]);
    let first = send(&app, "GET", &script, &[]).await?;
    let tag = first.header("etag").to_owned();
    let mut wrong = Wrong::default();
    check_eq!(wrong, (first.status, &*first.text()), (200, "one"), "the first response");
    check!(wrong, tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let weak = format!("W/{tag}");
    for list in [&tag, &weak, &format!("\"x\", {tag}"), "*"] {
        for method in ["GET", "HEAD"] {
            let again = send(&app, method, &script, &[("if-none-match", list)]).await?;
            check_eq!(wrong, (again.status, again.body.len()), (304, 0), "{method} {list}");
            check_eq!(wrong, (again.header("etag"), again.header("x-a")), (&*tag, "b"), "{method} {list}");
            check_eq!(wrong, again.header("cache-control"), "max-age=5", "{method} {list}");
            check_eq!(wrong, again.header("content-type"), "", "{method} {list}: of the body");
            let id = again.header("x-request-id").to_owned();
            let is_it = |line: &Json| line["target"] == "carya::access" && line["request"] == id;
            let line = app.log.wait_until("the request", is_it).await?;
            check_eq!(wrong, line["status"], json!(304), "{method} {list}: {line}");
        }
    }
    let other = send(&app, "GET", &answer(200, "two", &[]), &[("if-none-match", &tag)]).await?;
    check_eq!(wrong, (other.status, &*other.text()), (200, "two"), "another body");
    check!(wrong, other.header("etag") != tag, "another body has another tag");
    let head = send(&app, "HEAD", &script, &[]).await?;
    check_eq!(wrong, (head.header("etag"), head.header("content-length")), (&*tag, "3"), "HEAD");
    Ok(())
}

#[tokio::test]
async fn only_complete_successes_of_get_have_a_tag() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[ON]).await?;
    let mut wrong = Wrong::default();
    for (what, method, script) in [
        ("POST", "POST", answer(200, "one", &[])),
        ("201", "GET", answer(201, "one", &[])),
        ("404", "GET", answer(404, "one", &[])),
        ("204", "GET", answer(204, "", &[])),
        ("no-store", "GET", answer(200, "one", &[("cache-control", "private, No-Store")])),
        ("failure", "GET", json!([{ "fail": "on purpose" }])),
    ] {
        let found = send(&app, method, &script, &[("if-none-match", "*")]).await?;
        check_eq!(wrong, found.header("etag"), "", "{what}");
        check!(wrong, found.status != 304, "{what}");
    }
    let own = answer(200, "one", &[("etag", "\"own\"")]);
    check_eq!(wrong, send(&app, "GET", &own, &[]).await?.header("etag"), "\"own\"", "a guest's tag");
    check_eq!(wrong, send(&app, "GET", &own, &[("if-none-match", "W/\"own\"")]).await?.status, 304, "a guest's tag");
    Ok(())
}

#[tokio::test]
async fn the_host_adds_no_tags_by_default() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[]).await?;
    let found = send(&app, "GET", &answer(200, "one", &[]), &[("if-none-match", "*")]).await?;
    assert_eq!((found.status, found.header("etag")), (200, ""));
    Ok(())
}
