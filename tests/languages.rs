//! One controller, written in Rust, JavaScript (on two engines), TypeScript, Python and C: on every database, all six
//! components return the same responses. The module `suite` compares all parts of the libraries.

mod actions;
mod bodies;
mod case;
mod errors;
mod requests;
mod suite;
mod values;

use serde_json::Value;

use super::{
    shop,
    support::{App, Engine, Result, Wrong, carya, check, check_eq, guest},
};

/// The parts of a response that are compared.
#[derive(Debug, PartialEq)]
pub struct Seen {
    status: u16,
    content_type: String,
    location: String,
    body: Value,
    /// The body as it was sent. All guests must produce the same bytes.
    text: String,
}

const ITEM: &str = r#"{"name":"Hickory spoon","price_cents":1250,"stock":8}"#;

/// Returns the requests in the order in which they are sent. Later requests see the items that earlier ones made.
fn requests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = |method, path, body: &str| (method, path, body.as_bytes().to_vec());
    vec![
        text("GET", "/items", ""),
        text("GET", "/items?page=2&per_page=2", ""),
        text("GET", "/items?page=0&per_page=101", ""),
        text("GET", "/items?page=%2B1", ""),
        text("GET", "/items/2", ""),
        text("HEAD", "/items/2", ""),
        text("GET", "/items/4711", ""),
        text("GET", "/items/2.0", ""),
        text("GET", "/items/9999999999999999", ""),
        text("POST", "/items", ITEM),
        text("POST", "/items", ITEM),
        text("POST", "/items", r#"{"name":"Nüsse \"🌰\"\n\u2028","price_cents":5.0,"stock":1e2,"more":null}"#),
        text("POST", "/items", r#"{"name":"","price_cents":-1}"#),
        text("POST", "/items", r#"{"name":7,"price_cents":0.5,"stock":1000000001}"#),
        text("POST", "/items", r#"{"name":"a","name":"b","price_cents":0,"stock":0}"#),
        text("POST", "/items", "[1]"),
        text("POST", "/items", "{"),
        text("POST", "/items", ""),
        ("POST", "/items", b"{\"name\":\"\xff\"}".to_vec()),
        text("POST", "/items", r#"{"name":"\ud800","price_cents":1,"stock":1}"#),
        text("PUT", "/items/6", r#"{"name":"Hickory ladle","price_cents":1500,"stock":0}"#),
        text("PUT", "/items/6", r#"{"name":"Nutcracker","price_cents":1500,"stock":0}"#),
        text("PUT", "/items/4711", ITEM),
        text("PUT", "/items/x", ITEM),
        text("PUT", "/items/6", "null"),
        text("DELETE", "/items/6", ""),
        text("DELETE", "/items/6", ""),
        text("DELETE", "/items/x", ""),
        text("GET", "/items?per_page=100", ""),
    ]
}

/// Compiles a guest and stores the code in the cache. The compilation of a guest that contains a language engine takes
/// longer than `App::start_on` waits for the host.
pub async fn compile(name: &str) -> Result {
    let compiled = carya().arg("inspect").arg(guest(name)).output().await?;
    assert!(compiled.status.success(), "{name}: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(())
}

/// Returns whether `make guests` has built a guest. It leaves out a guest if the tools of its language are missing,
/// except in CI.
pub fn is_built(name: &str) -> bool {
    let is_built = guest("items").with_file_name(format!("{name}.wasm")).exists();
    if !is_built {
        eprintln!("{name} was not built: not tested");
    }
    is_built || std::env::var("CI").as_deref() == Ok("true")
}

/// Returns the configuration of a host with the component `name` as the controller of `/items`. `own` is added to the
/// section of the component.
pub fn configuration(name: &str, own: &str) -> String {
    format!(
        r#"
        [model]
        component = "shop-model"
        migrations = "migrations"
        [component.shop-model]
        path = "{{guest:shop-model}}"
        [component.items]
        path = "{{guest:{name}}}"
        {own}
        [[route]]
        path = "/items"
        component = "items"
        [[route]]
        path = "/items/{{id}}"
        component = "items"
        "#
    )
}

/// Starts a host with a [`configuration`]. Returns the responses to all requests.
pub async fn answers(engine: Engine, name: &str, own: &str) -> Result<Vec<Seen>> {
    compile(name).await?;
    let config = configuration(name, own);
    let files = shop::files_on(engine)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let app = App::start_on(engine, &config, &files).await?;
    let mut seen = Vec::new();
    for (method, path, body) in requests() {
        let answer = app.send(method, path, reqwest::header::HeaderMap::new(), body).await?;
        seen.push(Seen {
            status: answer.status,
            content_type: answer.header("content-type").to_owned(),
            location: answer.header("location").to_owned(),
            body: answer.json().unwrap_or_default(),
            text: answer.text(),
        });
    }
    Ok(seen)
}

/// Compares a guest with the one in Rust.
async fn like_rust(name: &str) -> Result {
    if !is_built(name) {
        return Ok(());
    }
    for engine in Engine::all() {
        let (expected, found) = tokio::try_join!(answers(engine, "items", ""), answers(engine, name, ""))?;
        let mut wrong = Wrong::default();
        for (((method, path, body), expected), found) in requests().into_iter().zip(expected).zip(found) {
            check_eq!(wrong, found, expected, "{name} on {engine}: {method} {path} {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(())
}

#[tokio::test]
async fn rust_answers_with_the_expected_statuses() -> Result {
    let expected = [
        200, 200, 422, 422, 200, 200, 404, 404, 404, // read
        201, 409, 201, 422, 422, 201, 400, 400, 400, 400, 400, // create
        200, 409, 404, 404, 400, 204, 404, 404, 200, // change, delete
    ];
    for engine in Engine::all() {
        let statuses: Vec<u16> = answers(engine, "items", "").await?.iter().map(|seen| seen.status).collect();
        assert_eq!(statuses, expected, "{engine}");
    }
    Ok(())
}

/// Serves the items of a database without the table, so that every statement fails.
async fn keeps_messages(name: &str) -> Result {
    if !is_built(name) {
        return Ok(());
    }
    let config = format!(
        r#"
        [component.items]
        path = "{{guest:{name}}}"
        [[route]]
        path = "/items"
        component = "items"
        "#
    );
    compile(name).await?;
    for engine in Engine::all() {
        let app = App::start_on(engine, &config, &[]).await?;
        let mut wrong = Wrong::default();
        let rows = [
            ("GET", ["component `items` failed: ", "in `SELECT id, name, price_cents, stock FROM items"]),
            ("POST", ["component `items` failed: ", "in `INSERT INTO items (name, price_cents, stock)"]),
        ];
        for (method, texts) in rows {
            let answer = app.send(method, "/items", reqwest::header::HeaderMap::new(), ITEM).await?;
            check_eq!(wrong, answer.status, 500, "{name} on {engine}: {method}");
            let id = answer.header("x-request-id");
            let is_it = |line: &Value| line["request"] == id && line["level"] == "ERROR" && line["target"] != "guest";
            let line = app.log.wait_until(method, is_it).await?;
            for text in texts {
                let found = line["message"].as_str().is_some_and(|message| message.contains(text));
                check!(wrong, found, "{name} on {engine}: {method}: {text:?} is missing: {line}");
            }
            // Each engine names the missing table: `items`.
            check!(wrong, line["message"].to_string().contains("(other, code "), "{line}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_rust_guest_keeps_its_messages() -> Result {
    keeps_messages("items").await
}

#[tokio::test]
async fn a_javascript_guest_keeps_its_messages() -> Result {
    keeps_messages("items-js").await?;
    keeps_messages("items-qjs").await
}

#[tokio::test]
async fn a_python_guest_keeps_its_messages() -> Result {
    keeps_messages("items-python").await
}

#[tokio::test]
async fn a_guest_in_c_keeps_its_messages() -> Result {
    keeps_messages("items-c").await
}

#[tokio::test]
async fn c_answers_like_rust() -> Result {
    like_rust("items-c").await
}

#[tokio::test]
async fn javascript_on_starlingmonkey_answers_like_rust() -> Result {
    like_rust("items-js").await
}

#[tokio::test]
async fn javascript_on_quickjs_answers_like_rust() -> Result {
    like_rust("items-qjs").await
}

#[tokio::test]
async fn typescript_answers_like_rust() -> Result {
    like_rust("items-ts").await
}

#[tokio::test]
async fn python_answers_like_rust() -> Result {
    like_rust("items-python").await
}
