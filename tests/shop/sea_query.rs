//! Statements of sea-query in a guest: the same component on every engine.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::files_on;
use crate::support::{App, Engine, Result, Wrong, check_eq, on_each_engine};

const CONFIG: &str = r#"
    [model]
    migrations = "migrations"
    [component.shop]
    path = "{guest:shop-sea-query}"
    [[route]]
    path = "/items/{id}/orders"
    component = "shop"
"#;

async fn statements_run_on_each_engine(engine: Engine) -> Result {
    let files = files_on(engine)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let app = App::start_on(engine, CONFIG, &files).await?;
    app.execute("INSERT INTO items (name, price_cents, stock) VALUES ('Hickory spoon', 1250, 8)").await?;
    let mut wrong = Wrong::default();
    let path = "/items/1/orders";
    let place = async |quantities: Value| -> Result<(u16, Value)> {
        let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = app.send("POST", path, json, quantities.to_string()).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    };
    // 0 and -1 violate the check of the order after its stock was taken, 9 that of the stock.
    let (status, placed) = place(json!([2, 0, 9, 3, -1])).await?;
    check_eq!(wrong, (status, &placed["refused"]), (200, &json!([0, 9, -1])), "{placed}");
    let ids: Vec<i64> = serde_json::from_value(placed["placed"].clone())?;
    check_eq!(wrong, ids.len(), 2, "{placed}");
    let found: Value = serde_json::from_slice(&app.get(path).await?.body)?;
    let orders = json!([
        { "id": ids[0], "quantity": 2, "price_cents": 1250 },
        { "id": ids[1], "quantity": 3, "price_cents": 1250 },
    ]);
    let item = json!({ "id": 1, "name": "Hickory spoon", "price_cents": 1250, "orders": orders });
    check_eq!(wrong, found, item, "the item with its orders");
    check_eq!(wrong, app.number("SELECT stock FROM items").await?, 3, "refused orders leave the stock");
    check_eq!(wrong, app.get("/items/2/orders").await?.status, 404, "no such item");
    check_eq!(wrong, place(json!(["two"])).await?.0, 422, "a text");
    Ok(())
}

on_each_engine!(statements_run_on_each_engine);
