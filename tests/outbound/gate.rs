//! When guests may send requests: before the first statement of a transaction, and outside of transactions. A request
//! with another method than GET and HEAD must not be sent twice.

use reqwest::Method;

use super::config;
use crate::{
    script::lock,
    support::{App, Result, Wrong, check, check_eq, eventually, upstream::Upstream},
};

const TABLE: (&str, &str) =
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)");

/// Hooks outside (`out`) and inside (`in`) the transaction, and a model, all of the guest `caller`.
const HOOKS: &str = r#"
    [component.out]
    path = "{guest:caller}"
    http = ["{to}"]
    settings.name = "out"
    [component.in]
    path = "{guest:caller}"
    http = ["{to}"]
    settings.name = "in"
    [component.m]
    path = "{guest:caller}"
    http = ["{to}"]
    settings.name = "m"
    settings.init = "GET {to}/init|sql SELECT 1|GET {to}/init"
    [[hook]]
    component = "out"
    priority = 0
    [[hook]]
    component = "in"
    priority = 1000
    [model]
    migrations = "migrations"
    component = "m"
    [[smoke]]
    path = "/plain?it.plain=GET+{to}/smoke"
    status = [200]
"#;

async fn serve(upstream: &Upstream, more: &str) -> Result<App> {
    let to = upstream.url("");
    let host = format!("allow = [\"{to}\"]\nallow_private = true\n{more}");
    let text = config(&host, &format!("http = [\"{to}\"]")) + &HOOKS.replace("{to}", &to);
    let env = [("CARYA_DATABASE__BUSY_TIMEOUT", "30ms"), ("CARYA_TRANSACTION__RETRIES", "5")];
    App::start_in(tempfile::tempdir()?, &text, &[TABLE], &env).await
}

/// Returns the results of the steps that a phase has logged, from line `from` on.
fn results(app: &App, from: usize, phase: &str) -> Vec<String> {
    let result = |line: &serde_json::Value| {
        let step = line["message"].as_str()?.strip_prefix(phase)?.strip_prefix(' ')?;
        Some(step.split_once(": ")?.1.to_owned())
    };
    app.log.lines()[from..].iter().filter_map(result).collect()
}

/// Result of a refused request.
const REFUSED: &str = "ErrorCode::InternalError(Some(\"the transaction has begun";

/// Method and path, query, the phase whose results are compared, and these results without and with `in_transaction`.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, [&'a [&'a str]; 2]);

/// Result of a request that was sent.
const OK: &str = "200 GET";

/// Replaces the text of refusals by `refused`.
fn short(results: Vec<String>) -> Vec<String> {
    results.into_iter().map(|result| if result.starts_with(REFUSED) { "refused".to_owned() } else { result }).collect()
}

#[tokio::test]
async fn requests_leave_before_the_first_statement_of_a_transaction_and_outside_of_transactions() -> Result {
    let upstream = Upstream::start().await?;
    let [strict, free] = [serve(&upstream, "").await?, serve(&upstream, "in_transaction = true").await?];
    let get = format!("GET {}", upstream.url("/ok"));
    let both = format!("{get}|sql SELECT 1|{get}");
    let insert = "sql INSERT INTO marks VALUES ('m')";
    let table: [Case<'_>; 13] = [
        ("GET", "/plain", &[("it.plain", &both)], "it.plain", [&[OK, "no handle", OK]; 2]),
        ("GET", "/rw", &[("out.on-route", &both)], "out.on-route", [&[OK, "no handle", OK]; 2]),
        ("GET", "/rw", &[("out.before", &both)], "out.before", [&[OK, "no handle", OK]; 2]),
        ("POST", "/rw", &[("out.before", &both)], "out.before", [&[OK, "no handle", OK]; 2]),
        ("POST", "/rw", &[("it.write", insert), ("out.after", &both)], "out.after", [&[OK, "no handle", OK]; 2]),
        ("GET", "/rw", &[("in.before", &both)], "in.before", [&[OK, "done", "refused"], &[OK, "done", OK]]),
        ("POST", "/rw", &[("in.before", &both)], "in.before", [&[OK, "done", "refused"], &[OK, "done", OK]]),
        ("POST", "/rw", &[("in.before", "sql SELECT 1"), ("it.write", &get)], "it.write", [&["refused"], &[OK]]),
        ("GET", "/rw", &[("it.read", &both)], "it.read", [&[OK, "done", "refused"], &[OK, "done", OK]]),
        ("POST", "/rw", &[("it.write", &both)], "it.write", [&[OK, "done", "refused"], &[OK, "done", OK]]),
        ("POST", "/rw", &[("in.after", &both)], "in.after", [&[OK, "done", "refused"], &[OK, "done", OK]]),
        (
            "POST",
            "/rw",
            &[("it.write", "sql SELECT 1|err x"), ("in.on-error", &get)],
            "in.on-error",
            [&["refused"], &[OK]],
        ),
        ("POST", "/rw", &[("it.write", "sql SELECT 1|err x"), ("out.on-error", &get)], "out.on-error", [&[OK]; 2]),
    ];
    let mut wrong = Wrong::default();
    for (method, path, query, phase, expected) in table {
        for (app, expected) in [&strict, &free].into_iter().zip(expected) {
            app.execute("DELETE FROM marks").await?;
            let from = app.log.lines().len();
            let method = Method::from_bytes(method.as_bytes())?;
            app.request(method.as_str(), path).query(query).send().await?.bytes().await?;
            let said = async || Ok(results(app, from, phase).len() >= expected.len());
            eventually(phase, said).await?;
            check_eq!(wrong, short(results(app, from, phase)), expected, "{method} {path} {query:?}");
        }
    }
    let warned = strict.log.wait_for("the transaction has begun").await?;
    check_eq!(wrong, warned["level"], "WARN", "{warned}");
    Ok(())
}

#[tokio::test]
async fn an_action_sends_requests_and_the_outbox_repeats_it() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "").await?;
    let script = format!("sql INSERT INTO marks VALUES ('m')|action hook POST {} body=5", upstream.url("/hook"));
    let answer = app.request("POST", "/rw").query(&[("it.write", script)]).send().await?;
    assert_eq!(answer.status(), 200);
    eventually("the action has run", async || Ok(!results(&app, 0, "it.run").is_empty())).await?;
    assert_eq!(results(&app, 0, "it.run"), ["200 POST"]);
    assert_eq!(upstream.lines(), ["POST /hook"]);
    Ok(())
}

#[tokio::test]
async fn an_action_sends_no_requests_after_its_first_statement() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "").await?;
    let url = upstream.url("/hook");
    let script = format!("action hook POST {url};sql INSERT INTO marks VALUES ('a');POST {url}");
    let answer = app.request("POST", "/rw").query(&[("it.write", script)]).send().await?;
    assert_eq!(answer.status(), 200);
    eventually("the action has run", async || Ok(app.texts("SELECT mark FROM marks").await? == ["a"])).await?;
    let found = results(&app, 0, "it.run");
    assert_eq!((found.len(), &found[..2]), (3, &["200 POST".to_owned(), "done".to_owned()][..]));
    assert!(found[2].starts_with(REFUSED), "{found:?}");
    assert_eq!(upstream.lines(), ["POST /hook"]);
    Ok(())
}

#[tokio::test]
async fn the_initialization_of_a_model_and_smoke_requests_send_nothing() -> Result {
    let upstream = Upstream::start().await?;
    for more in ["", "in_transaction = true"] {
        let app = serve(&upstream, more).await?;
        let refused =
            |caller: &str| format!("ErrorCode::InternalError(Some(\"{caller} must not send HTTP requests\"))");
        let (init, smoke) = (refused("`init` of a model"), refused("a smoke request"));
        assert_eq!(results(&app, 0, "m.init"), [&*init, "done", &*init], "{more}");
        // Smoke requests run before a reload.
        let file = app.folder.path().join("carya.toml");
        std::fs::write(&file, std::fs::read_to_string(&file)? + "# changed")?;
        app.signal("HUP").await?;
        eventually("the smoke request has run", async || Ok(!results(&app, 0, "it.plain").is_empty())).await?;
        assert_eq!(results(&app, 0, "it.plain"), [smoke], "{more}");
    }
    assert!(upstream.lines().is_empty());
    Ok(())
}

/// A conflict after a request: everything inside runs again only if the request may be sent twice.
#[tokio::test]
async fn only_get_and_head_are_sent_again_after_a_conflict() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "").await?;
    let insert = "sql INSERT INTO marks VALUES ('m')";
    let mut wrong = Wrong::default();
    for (phase, method, is_repeated) in [
        ("it.write", "GET", true),
        ("it.write", "HEAD", true),
        ("it.write", "POST", false),
        ("it.write", "PUT", false),
        ("in.before", "GET", true),
        ("in.before", "POST", false),
        // Hooks outside do not run again, so they do not prevent a rerun.
        ("out.before", "POST", true),
        ("out.on-route", "POST", true),
    ] {
        let path = format!("/{phase}-{method}");
        let step = format!("{method} {}", upstream.url(&path));
        let query = match phase {
            "it.write" => vec![(phase, format!("{step}|{insert}"))],
            _ => vec![(phase, step), ("it.write", insert.to_owned())],
        };
        let mut other = lock(&app).await?;
        let from = app.log.lines().len();
        let sending = async { Result::Ok(app.request("POST", "/rw").query(&query).send().await?.status().as_u16()) };
        let unlocking = async {
            let attempts = || results(&app, from, "it.write").iter().filter(|result| result.contains("locked")).count();
            if is_repeated {
                eventually("the first attempt has failed", async || Ok(attempts() > 0)).await?;
                other.execute("ROLLBACK").await?;
            }
            Ok(other)
        };
        let (status, mut other) = tokio::try_join!(sending, unlocking)?;
        if !is_repeated {
            other.execute("ROLLBACK").await?;
        }
        check_eq!(wrong, status, if is_repeated { 200 } else { 503 }, "{phase} {method}");
        let line = format!("{method} {path}");
        let count = upstream.lines().iter().filter(|other| **other == line).count();
        let is_inside = phase == "it.write" || phase == "in.before";
        check!(wrong, (count > 1) == (is_repeated && is_inside), "{phase} {method}: {count}");
        app.execute("DELETE FROM marks").await?;
    }
    Ok(())
}
