//! Controller for the shop's items: lists a page of items, reads one item, and creates, updates or deletes an item.
//!
//! `items-js`, `items-ts`, `items-python` and `items-c` return the same responses, byte for byte: change them together.

use carya_guest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

#[carya_guest::routes]
mod items {
    use super::*;

    // The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
    #[get("/items")]
    fn page(db: &Reader, request: Request) -> Result<JsonText, Problem> {
        let number = |name, default, max| match request.query(name) {
            Some(text) => whole(&text).filter(|number| (1..=max).contains(number)),
            None => Some(default),
        };
        let (page, per_page) = (number("page", 1, 1_000_000), number("per_page", 20, 100));
        Checks::new()
            .check("page", page.is_some(), "must be a whole number from 1 to 1000000")
            .check("per_page", per_page.is_some(), "must be a whole number from 1 to 100")
            .finish()?;
        let (page, per_page) = (page.unwrap_or_default(), per_page.unwrap_or_default());
        let items = db.fetch_json(
            "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?",
            (per_page, (page - 1) * per_page),
        )?;
        let total: i64 = db.fetch_one("SELECT count(*) FROM items", ())?;
        Ok(JsonText(format!(r#"{{"items":{items},"page":{page},"total":{total}}}"#)))
    }

    #[get("/items/{id}")]
    fn one(db: &Reader, Path(id): Path<String>) -> Result<JsonText, Problem> {
        let sql = "SELECT id, name, price_cents, stock FROM items WHERE id = ?";
        db.fetch_optional_json(sql, (whole(&id),))?.ok_or_else(missing)
    }

    #[post("/items")]
    fn create(db: &Writer, body: Vec<u8>) -> Result<Created<Item>, Problem> {
        let Draft { name, price_cents, stock } = Draft::parse(&body)?;
        let sql = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id";
        let id: i64 = db.fetch_one(sql, (&name, price_cents, stock)).on_violation(ViolationKind::Unique, name_taken)?;
        Ok(Created::at(format!("/items/{id}"), Item { id, name, price_cents, stock }))
    }

    #[put("/items/{id}")]
    fn update(db: &Writer, Path(id): Path<String>, body: Vec<u8>) -> Result<Json<Item>, Problem> {
        let Draft { name, price_cents, stock } = Draft::parse(&body)?;
        let id = whole(&id).ok_or_else(missing)?;
        let sql = "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?";
        let done = db.execute(sql, (&name, price_cents, stock, id)).on_violation(ViolationKind::Unique, name_taken)?;
        match done.rows_affected {
            0 => Err(missing()),
            _ => Ok(Json(Item { id, name, price_cents, stock })),
        }
    }

    #[delete("/items/{id}")]
    fn delete(db: &Writer, Path(id): Path<String>) -> Result<NoContent, Problem> {
        let done = db
            .execute("DELETE FROM items WHERE id = ?", (whole(&id),))
            .on_violation(ViolationKind::ForeignKey, || Problem::conflict("there are orders of this item"))?;
        if done.rows_affected == 0 { Err(missing()) } else { Ok(NoContent) }
    }
}

#[derive(Serialize)]
struct Item {
    id: i64,
    name: String,
    price_cents: i64,
    stock: i64,
}

/// An item as the client sends it.
struct Draft {
    name: String,
    price_cents: i64,
    stock: i64,
}

impl Draft {
    /// Parses a body of any media type.
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| Problem::bad_request("the body is not a JSON object"))?;
        let name = body.get("name").and_then(Value::as_str).filter(|name| (1..=100).contains(&name.chars().count()));
        // Accept 5.0 as a whole number: JavaScript cannot distinguish it from 5.
        let amount = |field| {
            let number = body.get(field).and_then(Value::as_f64);
            number.filter(|n| n.fract() == 0.0 && (0.0..=1e9).contains(n)).map(|n| n as i64)
        };
        let (price_cents, stock) = (amount("price_cents"), amount("stock"));
        Checks::new()
            .check("name", name.is_some(), "must be a text of 1 to 100 characters")
            .check("price_cents", price_cents.is_some(), "must be a whole number from 0 to 1000000000")
            .check("stock", stock.is_some(), "must be a whole number from 0 to 1000000000")
            .finish()?;
        let name = name.unwrap_or_default().to_owned();
        Ok(Self { name, price_cents: price_cents.unwrap_or_default(), stock: stock.unwrap_or_default() })
    }
}

/// Parses decimal digits, at most as many as a JavaScript number represents exactly. As a parameter, `None` is NULL, which
/// equals no id.
fn whole(text: &str) -> Option<i64> {
    let digits = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn missing() -> Problem {
    Problem::not_found("there is no such item")
}

fn name_taken() -> Problem {
    Problem::conflict("another item has this name")
}
