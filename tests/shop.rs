//! The example application in `guest-examples/carya.toml`.

mod curl;
mod sea_query;
mod webhook;

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::support::{App, Engine, Response, Result, Wrong, check, check_eq, eventually};

/// Returns the folder of the example.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples")
}

/// Returns the configuration of the example, with absolute paths to the built components.
pub fn config() -> Result<String> {
    let text = fs::read_to_string(folder().join("carya.toml"))?;
    let dist = folder().join("dist").canonicalize()?;
    Ok(text.replace("path = \"dist/", &format!("path = \"{}/", dist.display())))
}

/// Returns the other files of the example, to be written to a temporary folder.
pub fn files() -> Result<Vec<(String, String)>> {
    files_on(Engine::Sqlite)
}

/// Like [`files`], with the migrations for an engine.
pub fn files_on(engine: Engine) -> Result<Vec<(String, String)>> {
    let migrations = match engine {
        Engine::Sqlite => "migrations",
        Engine::Postgres => "migrations-postgres",
        Engine::MariaDb => "migrations-mariadb",
    };
    let mut found = Vec::new();
    for (part, source) in [("migrations", migrations), ("templates", "templates"), ("static", "static")] {
        for entry in fs::read_dir(folder().join(source))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((format!("{part}/{name}"), fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

/// Serves the shop on SQLite.
pub async fn open() -> Result<App> {
    open_on(Engine::Sqlite).await
}

/// Serves the shop on an engine. The components are the same for all engines.
pub async fn open_on(engine: Engine) -> Result<App> {
    let files = files_on(engine)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    App::start_on(engine, &config()?, &files).await
}

/// Sends JSON with the API key of the example.
async fn change(app: &App, method: &str, path: &str, body: Value) -> Result<Response> {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("demo"));
    app.send(method, path, headers, body.to_string()).await
}

/// Waits until the host has delivered all confirmations.
async fn until_confirmed(app: &App) -> Result {
    let waiting = format!("SELECT count(*) FROM {}", app.client()?.outbox().await?);
    eventually("the outbox is empty", async || Ok(app.number(&waiting).await? == 0)).await
}

/// Returns one line of text for each row of the tables that an order can change.
async fn traces(app: &App) -> Result<Vec<String>> {
    let outbox = app.client()?.outbox().await?;
    app.texts(&format!(
        "SELECT 'item ' || id || ' stock ' || stock FROM items
         UNION ALL SELECT 'order ' || id || ' item ' || item_id || ' quantity ' || quantity FROM orders
         UNION ALL SELECT 'audit ' || id || ' ' || method || ' ' || path || ' ' || who FROM audit
         UNION ALL SELECT 'outbox ' || id FROM {outbox}",
    ))
    .await
}

#[tokio::test]
async fn an_order_takes_stock_and_is_written_down_in_one_transaction() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        let before = traces(&app).await?;
        let answer = change(&app, "POST", "/orders", json!({"item_id": 2, "quantity": 2})).await?;
        assert_eq!((answer.status, answer.header("location")), (201, "/orders/1"), "{}", answer.text());
        assert_eq!(answer.json()?, json!({"id": 1, "item_id": 2, "quantity": 2}));

        until_confirmed(&app).await?;
        let after = traces(&app).await?;
        let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        assert_eq!(new, ["item 2 stock 4", "order 1 item 2 quantity 2", "audit 1 POST /orders key-1"]);
        let row = app.texts("SELECT request_id FROM audit").await?;
        assert_eq!(row, [answer.header("x-request-id")]);
        let order = app.get("/orders/1").await?.json()?;
        assert_eq!((&order["price_cents"], &order["quantity"]), (&json!(2450), &json!(2)));

        let events = answer.events();
        let place = |event: &str| events.iter().position(|other| other == event);
        assert_eq!(events.iter().filter(|event| *event == "commit").count(), 1, "{events:?}");
        assert!(place("after:audit") < place("commit"), "{events:?}");
        assert_eq!(place("after_commit:confirm"), None, "the response does not wait for a durable action: {events:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_confirmation_is_logged_after_the_commit_and_only_then() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        assert_eq!(change(&app, "POST", "/orders", json!({"item_id": 2, "quantity": 7})).await?.status, 409);
        let made = change(&app, "POST", "/orders", json!({"item_id": 2, "quantity": 6})).await?;
        assert_eq!(made.status, 201);
        let line = app.log.wait_for("order confirmed").await?;
        assert_eq!(line["component"], "orders", "{line}");
        assert!(line["message"].as_str().is_some_and(|text| text.ends_with(&made.text())), "{line}");
        let confirmed = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("order confirmed"));
        assert_eq!(app.log.lines().iter().filter(|line| confirmed(line)).count(), 1);
        until_confirmed(&app).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_order_leaves_no_trace() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        assert_eq!(change(&app, "POST", "/orders", json!({"item_id": 1, "quantity": 1})).await?.status, 201);
        until_confirmed(&app).await?;
        let before = traces(&app).await?;
        let table = [
            (json!({"item_id": 2, "quantity": 7}), 409),
            (json!({"item_id": 4711, "quantity": 1}), 409),
            (json!({"item_id": 2, "quantity": 0}), 422),
            (json!({"item_id": "2", "quantity": 1}), 422),
            (json!([]), 422),
        ];
        let mut wrong = Wrong::default();
        for (order, status) in table {
            let answer = change(&app, "POST", "/orders", order.clone()).await?;
            check_eq!(
                wrong,
                (answer.status, answer.header("content-type")),
                (status, "application/problem+json"),
                "{order}"
            );
            let events = answer.events();
            check!(
                wrong,
                !events.iter().any(|event| event == "commit" || event.starts_with("after_commit")),
                "{order:?} {status:?}: {events:?}"
            );
        }
        assert_eq!(traces(&app).await?, before);
    }
    Ok(())
}

#[tokio::test]
async fn the_last_items_are_never_sold_twice() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        let order = || change(&app, "POST", "/orders", json!({"item_id": 5, "quantity": 1}));
        let answers = futures_util::future::try_join_all((0..16).map(|_| order())).await?;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(201), count(409)), (3, 13));
        assert_eq!(app.number("SELECT stock FROM items WHERE id = 5").await?, 0);
        assert_eq!(app.number("SELECT sum(quantity) FROM orders").await?, 3);
        assert_eq!(app.number("SELECT count(*) FROM audit").await?, 3);
    }
    Ok(())
}

/// The report shows the result of an order by form once, from a cookie.
#[tokio::test]
async fn an_order_by_form_redirects_to_the_report() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        let mut wrong = Wrong::default();
        for (form, flash, words, orders) in [
            ("item_id=2&quantity=2&key=demo", "ordered", "Your order was placed.", 1),
            ("item_id=2&quantity=900&key=demo", "sold-out", "There is not that much of this item.", 1),
            ("item_id=2&quantity=no&key=demo", "invalid", "Choose an item and a quantity from 1 to 1000.", 1),
        ] {
            let headers =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
            let answer = app.send("POST", "/orders/form", headers, form).await?;
            check_eq!(wrong, (answer.status, answer.header("location")), (303, "/report"), "{form}");
            let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
            check_eq!(wrong, cookie, format!("flash={flash}"), "{form}");
            check_eq!(wrong, app.number("SELECT count(*) FROM orders").await?, orders, "{form}");
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&cookie)?)]);
            let page = app.send("GET", "/report", headers, "").await?;
            check!(wrong, page.text().contains(words), "{form}: {}", page.text());
            check!(wrong, page.header("set-cookie").starts_with("flash=; "), "{form}: the page forgets the cookie");
        }
        let who = app.texts("SELECT who FROM audit").await?;
        check_eq!(wrong, who, ["key-1"], "the identity of the client is in the audit of the only order");
        check_eq!(wrong, app.post("/orders/form", "item_id=2&quantity=1").await?.status, 401, "without a key");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_key_changes_nothing_and_takes_no_connection() -> Result {
    let app = open().await?;
    let before = traces(&app).await?;
    let mut wrong = Wrong::default();
    for key in [None, Some(""), Some("demO"), Some("demo2")] {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert("x-api-key", HeaderValue::from_static(key));
        }
        for (method, path) in [("POST", "/orders"), ("POST", "/items"), ("PUT", "/items/1"), ("DELETE", "/items/1")] {
            let answer = app.send(method, path, headers.clone(), r#"{"item_id":1,"quantity":1}"#).await?;
            check_eq!(
                wrong,
                (answer.status, answer.header("www-authenticate")),
                (401, "ApiKey"),
                "{method} {path} {key:?}"
            );
            check!(wrong, answer.header("x-response-time").ends_with("ms"), "{key:?} {method:?} {path:?}");
            let events = answer.events();
            check!(
                wrong,
                !events.iter().any(|event| event == "begin" || event.starts_with("controller")),
                "{key:?} {method:?} {path:?}: {events:?}"
            );
        }
    }
    assert_eq!(traces(&app).await?, before);
    Ok(())
}

#[tokio::test]
async fn every_response_has_its_duration() -> Result {
    let app = open().await?;
    let mut wrong = Wrong::default();
    for (method, path) in [("GET", "/items/1"), ("HEAD", "/items/1"), ("GET", "/items/4711"), ("GET", "/report")] {
        let answer = app.call(method, path).await?;
        let time = answer.header("x-response-time").trim_end_matches("ms");
        check!(wrong, time.parse::<f64>().is_ok_and(|ms| ms > 0.0), "{method} {path}: {time:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_report_is_a_page_and_rows() -> Result {
    for engine in Engine::all() {
        let app = open_on(engine).await?;
        let item = json!({"name": "<b>Spoon</b> & fork", "price_cents": 1205, "stock": 1});
        assert_eq!(change(&app, "POST", "/items", item).await?.status, 201);
        assert_eq!(change(&app, "POST", "/orders", json!({"item_id": 6, "quantity": 1})).await?.status, 201);

        let page = app.get("/report").await?;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let text = page.text();
        for part in
            ["&lt;b&gt;Spoon&lt;&#x2f;b&gt; &amp; fork", "12.05", "sold-out", "POST &#x2f;orders</code> by key-1"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }

        let rows = app.get("/report/rows").await?;
        assert_eq!((rows.status, rows.header("content-type")), (200, "application/json"));
        let first = json!({
            "name": "<b>Spoon</b> & fork", "price_cents": 1205, "stock": 0, "sold": 1, "revenue_cents": 1205
        });
        let rows = rows.json()?;
        assert_eq!((&rows[0], rows.as_array().map(Vec::len)), (&first, Some(6)));

        let csv = app.get("/report.csv").await?;
        assert_eq!((csv.status, csv.header("content-type")), (200, "text/csv; charset=utf-8; header=present"));
        let lines: Vec<_> = csv.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], ["name,price_cents,stock,sold,revenue_cents", "<b>Spoon</b> & fork,1205,0,1,1205"]);

        let css = app.get("/static/report.css").await?;
        assert_eq!((css.status, css.header("content-type")), (200, "text/css"));
        assert_eq!(css.text(), fs::read_to_string(folder().join("static/report.css"))?);
        assert_eq!(app.get("/static/..%2fcarya.toml").await?.status, 404);
    }
    Ok(())
}
