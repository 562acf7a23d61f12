//! The JavaScript library for guests on both engines, by the guest `faulty/library-js`: promises, errors with lines of the
//! source, integers, savepoints, hooks, actions, and features of one engine.

mod conformance;
mod orms;
pub mod package;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{
    languages,
    support::{App, Engine, Response, Result, Wrong, check, check_eq, upstream::Upstream},
};

/// The guest on each engine of JavaScript.
pub const GUESTS: [&str; 2] = ["library-js", "library-qjs"];

/// Paths of the guest.
const PATHS: [&str; 18] = [
    "/late",
    "/broken",
    "/late-broken",
    "/never",
    "/rejected",
    "/nothing",
    "/statement",
    "/forced-handle",
    "/forced-statement",
    "/keep",
    "/kept",
    "/large-integer",
    "/random",
    "/console",
    "/nested",
    "/marked",
    "/whoami",
    "/violated",
];

/// Serves the guest, if it was built. `more` is added to the configuration, and `own` to its component.
pub async fn serve(engine: Engine, name: &str, more: &str, own: &str) -> Result<Option<App>> {
    if !languages::is_built(name) {
        return Ok(None);
    }
    languages::compile(name).await?;
    let routes: String =
        PATHS.iter().map(|path| format!("[[route]]\npath = \"{path}\"\ncomponent = \"library\"\n")).collect();
    let config = format!(
        r#"
        {more}
        [model]
        component = "library"
        migrations = "migrations"
        [component.library]
        path = "{{guest:{name}}}"
        {own}
        [component.library.settings]
        name = "library"
        [[hook]]
        component = "library"
        priority = 10
        {routes}
        [[route]]
        path = "/outbound"
        component = "library"
        transaction = "none"
        "#
    );
    let key = if engine == Engine::MariaDb { "VARCHAR(100)" } else { "TEXT" };
    let table = format!("CREATE TABLE marks (text {key} PRIMARY KEY);");
    Ok(Some(App::start_on(engine, &config, &[("migrations/0001_marks.sql", &table)]).await?))
}

/// Returns the message that the log has for a failed request.
async fn failure(app: &App, answer: &Response) -> Result<String> {
    let id = answer.header("x-request-id");
    let is_it = |line: &Value| line["request"] == id && line["level"] == "ERROR" && line["target"] != "guest";
    let line = app.log.wait_until("the failure", is_it).await?;
    Ok(line["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn promises_settle_within_the_call() -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "").await? else { continue };
        let answer = app.get("/late").await?;
        check_eq!(wrong, (answer.status, answer.text()), (200, "[2,3]".to_owned()), "{name}");
        app.log.wait_for("later: unawaited").await?;
        let never = app.get("/never").await?;
        check_eq!(wrong, never.status, 500, "{name}: a promise that never settles");
        check_eq!(wrong, app.get("/late").await?.status, 200, "{name}: the next request");
    }
    Ok(())
}

#[tokio::test]
async fn errors_name_lines_of_the_source() -> Result {
    let source = include_str!("../guest-examples/faulty/library-js/library.js");
    let line = |text: &str| 1 + source.lines().position(|line| line.contains(text)).unwrap_or_default();
    let file = "guest-examples/faulty/library-js/library.js";
    let (thrown, called) = (line("throw new TypeError("), line("broken('now')"));
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "").await? else { continue };
        for (path, texts) in [
            (
                "/broken",
                vec!["TypeError: broken now".to_owned(), format!("{file}:{thrown})"), format!("{file}:{called}")],
            ),
            ("/broken", vec!["caused by: RangeError: deeper".to_owned()]),
            ("/late-broken", vec!["TypeError: broken later".to_owned(), format!("{file}:{thrown})")]),
            ("/rejected", vec![r#"{"code":7}"#.to_owned()]),
            ("/nothing", vec!["return `noContent()`".to_owned()]),
            ("/statement", vec!["DbError: no such table: nowhere".to_owned(), file.to_owned()]),
            ("/forced-handle", vec!["TypeError: ".to_owned(), format!("{file}:{}", line("db.raw.execute"))]),
            ("/forced-statement", vec!["this handle is a reader (read-only)".to_owned()]),
        ] {
            let answer = app.get(path).await?;
            check_eq!(wrong, answer.status, 500, "{name}: {path}");
            let message = failure(&app, &answer).await?;
            for text in texts {
                check!(wrong, message.contains(&text), "{name}: {path}: {text:?} is missing: {message}");
            }
            check!(wrong, !message.contains("guest/javascript"), "{name}: {path} shows the library: {message}");
        }
        check_eq!(wrong, app.number("SELECT count(*) FROM marks").await?, 1, "{name}: a forced write");
    }
    Ok(())
}

#[tokio::test]
async fn a_large_integer_is_exact_or_an_error() -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "").await? else { continue };
        let large = app.get("/large-integer").await?;
        match name {
            "library-qjs" => {
                let message = failure(&app, &large).await?;
                let text = "which QuickJS does not represent exactly; select it as text";
                check!(wrong, large.status == 500 && message.contains(text), "{name}: {message}");
            }
            _ => check_eq!(wrong, large.text(), "9007199254740993".to_owned(), "{name}"),
        }
    }
    Ok(())
}

/// `init` has stored the mark `first`.
async fn an_error_undoes_its_savepoint_alone(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(engine, name, "", "").await? else { continue };
        let answer = app.post("/nested", "").await?;
        let expected = json!({ "kind": "unique", "columns": ["text"], "marks": ["first", "outer"] });
        check_eq!(wrong, (answer.status, answer.json()?), (200, expected), "{name} on {engine}");
        check_eq!(wrong, app.number("SELECT count(*) FROM marks").await?, 2, "{name} on {engine}");
        let marked = app.post("/marked", "").await?;
        check_eq!(wrong, (marked.status, marked.text()), (200, "4".to_owned()), "{name} on {engine}");
        check_eq!(wrong, app.number("SELECT count(*) FROM marks").await?, 2, "{name} on {engine}: marked for rollback");
        let violated = app.post("/violated", "").await?;
        check_eq!(wrong, violated.status, 409, "{name} on {engine}: {}", violated.text());
    }
    Ok(())
}

crate::support::on_each_engine!(an_error_undoes_its_savepoint_alone);

#[tokio::test]
async fn random_numbers_differ_and_the_console_logs() -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "").await? else { continue };
        let (first, second) = (app.get("/random").await?.json()?, app.get("/random").await?.json()?);
        for index in 0..3 {
            check!(wrong, first[index] != second[index], "{name}: {first} and {second}");
        }
        check!(wrong, first[3].as_u64() > Some(1_700_000_000_000), "{name}: the time of {first}");
        check_eq!(wrong, app.get("/console").await?.status, 204, "{name}");
        let info = app.log.wait_for("to the log").await?;
        let expected = (&json!("INFO"), &json!(r#"to the log {"a":[1]}"#));
        check_eq!(wrong, (&info["level"], &info["message"]), expected, "{name}");
        let error = app.log.wait_for("Error: as an error").await?;
        check!(wrong, error["message"].to_string().contains("library.js:"), "{name}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn hooks_see_each_other() -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "").await? else { continue };
        let get = async |who: &'static str| {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-name"), HeaderValue::from_static(who))]);
            app.send("GET", "/whoami", headers, Vec::new()).await
        };
        let known = get("ann").await?;
        check_eq!(wrong, known.json()?, json!(["ann", ["admin"], "/whoami before"]), "{name}");
        check_eq!(wrong, known.header("x-after"), "200 library", "{name}");
        check_eq!(wrong, get("intruder").await?.status, 403, "{name}");
        check_eq!(wrong, app.get("/whoami").await?.status, 401, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn only_starlingmonkey_sends_requests() -> Result {
    let upstream = Upstream::start().await?;
    let url = upstream.url("");
    let (more, own) = (format!("[outbound]\nallow = [\"{url}\"]\nallow_private = true"), format!("http = [\"{url}\"]"));
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, &more, &own).await? else { continue };
        let answer = app.post("/outbound", upstream.url("/ok")).await?;
        match name {
            "library-js" => check!(wrong, answer.text().starts_with("200 "), "{name}: {}", answer.text()),
            _ => {
                let message = failure(&app, &answer).await?;
                let text = "QuickJS has no `fetch`: build with `--engine starlingmonkey`";
                check!(wrong, message.contains(text), "{name}: {message}");
            }
        }
    }
    Ok(())
}

/// An instance that is reused gives each call a handle of its own.
#[tokio::test]
async fn a_kept_handle_is_refused() -> Result {
    let mut wrong = Wrong::default();
    for name in GUESTS {
        let Some(app) = serve(Engine::Sqlite, name, "", "reuse = { max_requests = 1000 }").await? else { continue };
        check_eq!(wrong, app.get("/keep").await?.status, 204, "{name}");
        let kept = app.get("/kept").await?;
        let message = failure(&app, &kept).await?;
        let text = "was used after the call that received it had ended";
        check!(wrong, kept.status == 500 && message.contains(text), "{name}: {message}");
        for _ in 0..200 {
            check_eq!(wrong, app.get("/late").await?.status, 200, "{name}");
        }
    }
    Ok(())
}
