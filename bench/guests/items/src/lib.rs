//! Controller that reads one row, reads a hundred rows in three ways, inserts a row, or increments a counter that all
//! requests share.

use carya::host::database::{DbError, Reader, Value, Writer};
use carya::host::request;
use carya::host::types::{Body, Response, RowsFormat, RowsQuery};
use exports::carya::host::{read_controller, write_controller};
use serde::{Deserialize, Serialize};

wit_bindgen::generate!({ path: "../../../wit", world: "controller" });

const HUNDRED: &str = "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT 100";

struct Items;
export!(Items);

#[derive(Serialize)]
struct Item<'a> {
    id: i64,
    name: &'a str,
    price_cents: i64,
    stock: i64,
}

#[derive(Deserialize)]
struct Order {
    item_id: i64,
    quantity: i64,
}

impl read_controller::Guest for Items {
    fn read(db: Reader) -> Result<Response, String> {
        let body = match request::path().as_str() {
            "/rows/guest" => {
                let rows = db.query(HUNDRED, &[])?.rows;
                json(&rows.iter().map(|row| Item::of(row)).collect::<Result<Vec<_>, _>>()?)?
            }
            "/rows/json" => Body::Json(db.query_json(HUNDRED, &[])?),
            "/rows/streamed" => {
                Body::Rows(RowsQuery { sql: HUNDRED.to_owned(), params: vec![], format: RowsFormat::Json })
            }
            _ => one(&db)?,
        };
        Ok(Response { status: 200, headers: vec![], body })
    }
}

fn one(db: &Reader) -> Result<Body, String> {
    let id = request::param("id").and_then(|id| id.parse().ok()).ok_or("the id is no number")?;
    let sql = "SELECT id, name, price_cents, stock FROM items WHERE id = ?";
    let row = db.query_one(sql, &[Value::Int64(id)])?.ok_or("there is no such item")?;
    json(&Item::of(&row)?)
}

impl write_controller::Guest for Items {
    fn write(db: Writer) -> Result<Response, String> {
        match request::path().as_str() {
            "/counter" => count(&db),
            _ => order(&db),
        }
    }
}

fn order(db: &Writer) -> Result<Response, String> {
    let order: Order = serde_json::from_slice(&request::body()).map_err(|error| error.to_string())?;
    let sql = "INSERT INTO orders (item_id, quantity) VALUES (?, ?) RETURNING id";
    let row = db.query_one(sql, &[Value::Int64(order.item_id), Value::Int64(order.quantity)])?;
    let Some([Value::Int64(id)]) = row.as_deref() else {
        return Err(format!("RETURNING id gave {row:?}"));
    };
    Ok(Response { status: 201, headers: vec![], body: Body::Json(format!(r#"{{"id":{id}}}"#)) })
}

/// Increments the counter. Reads and writes it in separate statements, so that the host must retry one of two
/// concurrent requests.
fn count(db: &Writer) -> Result<Response, String> {
    let row = db.query_one("SELECT n FROM counters WHERE id = 1", &[])?;
    let Some([Value::Int64(n)]) = row.as_deref() else {
        return Err(format!("the counter is {row:?}"));
    };
    db.execute("UPDATE counters SET n = ? WHERE id = 1", &[Value::Int64(n + 1)])?;
    Ok(Response { status: 200, headers: vec![], body: Body::Json(format!(r#"{{"n":{}}}"#, n + 1)) })
}

impl<'a> Item<'a> {
    fn of(row: &'a [Value]) -> Result<Self, String> {
        match row {
            [Value::Int64(id), Value::Text(name), Value::Int64(price_cents), Value::Int64(stock)] => {
                Ok(Self { id: *id, name, price_cents: *price_cents, stock: *stock })
            }
            _ => Err(format!("no item: {row:?}")),
        }
    }
}

fn json(value: &impl Serialize) -> Result<Body, String> {
    serde_json::to_string(value).map(Body::Json).map_err(|error| error.to_string())
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
