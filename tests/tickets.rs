//! The controllers `guest-examples/tickets` in Rust, `tickets-ts` in TypeScript and `tickets-python`, which use the libraries for
//! guests: validation, entity tags, a form with a redirect, and an action.

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::{
    languages,
    support::{App, Engine, Response, Result, Wrong, check, check_eq, eventually, guest, on_each_engine},
};

/// Serves a controller on an engine.
async fn open(engine: Engine, name: &str) -> Result<App> {
    languages::compile(name).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/tickets");
    let config = fs::read_to_string(folder.join("carya.toml"))?;
    let config = config.replace("../dist/tickets.wasm", &guest(name).display().to_string());
    let migrations = match engine {
        Engine::Sqlite => "migrations",
        Engine::Postgres => "migrations-postgres",
        Engine::MariaDb => "migrations-mariadb",
    };
    let read = |path: PathBuf| fs::read_to_string(folder.join(path));
    let migration = read(Path::new(migrations).join("0001_tickets.sql"))?;
    let template = read("templates/ticket.html".into())?;
    let files = [("migrations/0001_tickets.sql", &*migration), ("templates/ticket.html", &*template)];
    App::start_on(engine, &config, &files).await
}

async fn send(app: &App, method: &str, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Result<Response> {
    let header = |(name, value): &(HeaderName, &str)| Ok((name.clone(), HeaderValue::from_str(value)?));
    let headers = headers.iter().map(header).collect::<Result<HeaderMap>>()?;
    app.send(method, path, headers, body.to_owned()).await
}

async fn json(app: &App, method: &str, path: &str, body: &Value) -> Result<Response> {
    send(app, method, path, &[(CONTENT_TYPE, "application/json")], &body.to_string()).await
}

async fn a_ticket_lives(engine: Engine, name: &str) -> Result {
    let app = open(engine, name).await?;
    assert_eq!(app.get("/tickets").await?.text(), "[]");

    let made = json(&app, "POST", "/tickets", &json!({ "title": "Größe", "priority": 2 })).await?;
    let text = r#"{"id":1,"title":"Größe","priority":2,"state":"open","version":1}"#;
    assert_eq!((made.status, made.header("location"), made.text()), (201, "/tickets/1", text.to_owned()));

    let shown = app.get("/tickets/1").await?;
    assert_eq!((shown.status, shown.header("etag"), shown.text()), (200, "\"1\"", text.to_owned()));
    let held = send(&app, "GET", "/tickets/1", &[(IF_NONE_MATCH, "\"1\"")], "").await?;
    assert_eq!((held.status, held.header("etag"), held.text()), (304, "\"1\"", String::new()));

    let closed = json!({ "title": "Größe", "priority": 1, "state": "closed" });
    let put = async |held: &[(HeaderName, &str)]| {
        let headers = [&[(CONTENT_TYPE, "application/json")], held].concat();
        send(&app, "PUT", "/tickets/1", &headers, &closed.to_string()).await
    };
    assert_eq!(put(&[]).await?.status, 428);
    let stale = put(&[(IF_MATCH, "\"7\"")]).await?;
    assert_eq!((stale.status, stale.header("etag")), (412, "\"1\""));
    let changed = put(&[(IF_MATCH, "\"1\"")]).await?;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""));
    assert_eq!(changed.json()?["state"], "closed");
    assert_eq!(put(&[(IF_MATCH, "\"1\"")]).await?.status, 412);

    assert_eq!(app.get("/tickets?state=open").await?.text(), "[]");
    assert_eq!(app.get("/tickets?state=closed").await?.json()?[0]["version"], 2);
    assert_eq!(app.get("/tickets?after=1").await?.text(), "[]");

    let removed = app.call("DELETE", "/tickets/1").await?;
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    for (method, path) in [("GET", "/tickets/1"), ("DELETE", "/tickets/1"), ("GET", "/tickets/x")] {
        assert_eq!(app.call(method, path).await?.status, 404, "{method} {path}");
    }
    Ok(())
}

/// Problem details name the fields. A response with an error status leaves no rows.
async fn invalid_tickets_are_refused(engine: Engine, name: &str) -> Result {
    let app = open(engine, name).await?;
    let ticket = json!({ "title": "broken", "priority": 5 });
    assert_eq!(json(&app, "POST", "/tickets", &ticket).await?.status, 201);
    let fields = |errors: Value| {
        let detail = "some fields are not valid";
        json!({ "detail": detail, "errors": errors, "status": 422, "title": "Unprocessable Content" })
    };
    let mut wrong = Wrong::default();
    for (body, status, problem) in [
        (json!({ "title": "", "priority": 3 }), 422, Some(fields(json!({ "title": "must have 1 to 100 characters" })))),
        (
            json!({ "title": "x".repeat(101), "priority": 6 }),
            422,
            Some(fields(json!({ "title": "must have 1 to 100 characters", "priority": "must be from 1 to 5" }))),
        ),
        (json!({ "title": "x" }), 422, None),
        (json!({ "title": "x", "priority": "high" }), 422, None),
        (json!({ "title": "x", "priority": 1, "owner": 7 }), 422, None),
        (
            ticket.clone(),
            409,
            Some(json!({ "detail": "another ticket has this title", "status": 409, "title": "Conflict" })),
        ),
    ] {
        let answer = json(&app, "POST", "/tickets", &body).await?;
        let seen = (answer.status, answer.header("content-type"));
        check_eq!(wrong, seen, (status, "application/problem+json"), "{body}");
        if let Some(problem) = problem {
            check_eq!(wrong, answer.json()?, problem, "{body}");
        }
    }
    for (media_type, body, status) in [
        ("application/json", "{", 400),
        ("text/plain", r#"{"title":"x","priority":1}"#, 415),
        ("application/x-www-form-urlencoded", "title=x&priority=1", 415),
    ] {
        let answer = send(&app, "POST", "/tickets", &[(CONTENT_TYPE, media_type)], body).await?;
        check_eq!(wrong, answer.status, status, "{media_type}: {body}");
    }
    let query = app.get("/tickets?after=x").await?;
    check_eq!(wrong, query.status, 422, "a query parameter of the wrong type");
    check!(wrong, query.json()?["errors"]["after"].is_string(), "{}", query.text());
    check_eq!(wrong, app.number("SELECT count(*) FROM tickets").await?, 1, "no refused ticket was stored");
    Ok(())
}

async fn a_comment_redirects_to_a_page_that_reports_it_once(engine: Engine, name: &str) -> Result {
    let app = open(engine, name).await?;
    let ticket = json!({ "title": "broken", "priority": 5, "state": "closed" });
    assert_eq!(json(&app, "POST", "/tickets", &ticket).await?.status, 201);
    let form = [(CONTENT_TYPE, "application/x-www-form-urlencoded")];
    let mut wrong = Wrong::default();
    for (text, flash, comments) in
        [("%20", "A comment needs a text.", 0), ("%3Cb%3Ebold", "Thank you for the comment.", 1)]
    {
        let sent = send(&app, "POST", "/tickets/1/comments", &form, &format!("text={text}")).await?;
        check_eq!(wrong, (sent.status, sent.header("location")), (303, "/tickets/1/page"), "{text}");
        let cookie = sent.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let page = send(&app, "GET", "/tickets/1/page", &[(COOKIE, &cookie)], "").await?;
        check!(wrong, page.text().contains(flash), "{text}: {}", page.text());
        check!(wrong, page.header("set-cookie").starts_with("flash=; "), "{text}: {:?}", page.headers);
        check_eq!(wrong, app.number("SELECT count(*) FROM comments").await?, comments, "{text}");
    }
    let page = app.get("/tickets/1/page").await?;
    check!(wrong, page.text().contains("&lt;b&gt;bold") && !page.text().contains("Thank"), "{}", page.text());
    check_eq!(wrong, page.header("content-type"), "text/html; charset=utf-8", "the page");
    let missing = send(&app, "POST", "/tickets/7/comments", &form, "text=x").await?;
    check_eq!(wrong, missing.status, 404, "a comment on a ticket that does not exist");
    let fieldless = send(&app, "POST", "/tickets/1/comments", &form, "").await?;
    check_eq!(wrong, fieldless.json()?["errors"], json!({ "text": "is missing" }), "a form without its field");

    // The action writes in a transaction of its own.
    eventually("the ticket was reopened", async || {
        Ok(app.number("SELECT count(*) FROM tickets WHERE state = 'open' AND version = 2").await? == 1)
    })
    .await?;
    app.log.wait_for("ticket 1 was reopened").await?;
    Ok(())
}

/// The tests of a controller on each engine.
macro_rules! tests_of {
    ($module:ident, $name:literal, $($test:ident),+) => {
        mod $module {
            use super::{Engine, Result, languages, on_each_engine};

            $(
                async fn $test(engine: Engine) -> Result {
                    if languages::is_built($name) { super::$test(engine, $name).await } else { Ok(()) }
                }
            )+

            on_each_engine!($($test),+);
        }
    };
}

tests_of!(
    rust,
    "tickets",
    a_ticket_lives,
    invalid_tickets_are_refused,
    a_comment_redirects_to_a_page_that_reports_it_once
);
tests_of!(
    typescript,
    "tickets-ts",
    a_ticket_lives,
    invalid_tickets_are_refused,
    a_comment_redirects_to_a_page_that_reports_it_once
);
tests_of!(
    python,
    "tickets-python",
    a_ticket_lives,
    invalid_tickets_are_refused,
    a_comment_redirects_to_a_page_that_reports_it_once
);
