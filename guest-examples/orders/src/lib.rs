//! Controller for orders: takes the stock and records the order in one transaction, and confirms it after the commit.

mod webhook;

use carya::host::database::{DbError, Delivery, Reader, Value, Writer};
use carya::host::log::{self, Level};
use carya::host::types::{Body, Response, RowsFormat, RowsQuery};
use carya::host::{config, request};
use exports::carya::host::{actions, read_controller, write_controller};
use serde_json::{Value as Json, json};

wit_bindgen::generate!({
    inline: "
        package shop:orders;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/read-controller@0.2.0;
            export carya:host/write-controller@0.2.0;
            export carya:host/actions@0.2.0;
        }
    ",
    path: "../../wit",
    generate_all,
});

struct Orders;
export!(Orders);

impl read_controller::Guest for Orders {
    fn read(db: Reader) -> Result<Response, String> {
        let Some(id) = request::param("id") else {
            let sql = "SELECT * FROM orders ORDER BY id DESC LIMIT 100".to_owned();
            return Ok(answer(200, Body::Rows(RowsQuery { sql, params: vec![], format: RowsFormat::Json })));
        };
        // A text that is not a number becomes NULL, which equals no id.
        let id = id.parse().map_or(Value::Null, Value::Int64);
        match db.query_one_json("SELECT * FROM orders WHERE id = ?", &[id])? {
            Some(order) => Ok(answer(200, Body::Json(order))),
            None => Ok(problem(404, "Not Found", "there is no such order")),
        }
    }
}

impl write_controller::Guest for Orders {
    fn write(db: Writer) -> Result<Response, String> {
        match request::route().as_deref() {
            Some("/orders/form") => order_by_form(&db),
            _ => order_by_json(&db),
        }
    }
}

/// Reads an order from a JSON body. Returns the order as JSON, or problem details.
fn order_by_json(db: &Writer) -> Result<Response, String> {
    let body = serde_json::from_slice::<Json>(&request::body()).unwrap_or_default();
    let (Some(item), Some(quantity)) = (body["item_id"].as_i64(), body["quantity"].as_i64().filter(is_quantity)) else {
        let detail = "expected item_id and a quantity from 1 to 1000";
        return Ok(problem(422, "Unprocessable Content", detail));
    };
    let Some(id) = place(db, item, quantity)? else {
        // A 4xx rolls back all writes of this request, including its audit row.
        return Ok(problem(409, "Conflict", "there is not that much of this item"));
    };
    let mut response = answer(201, Body::Json(confirmation(id, item, quantity)));
    response.headers.push(("location".into(), format!("/orders/{id}")));
    Ok(response)
}

/// Reads an order from the form of the report. Redirects to the report, which shows the result once: it is in a cookie.
fn order_by_form(db: &Writer) -> Result<Response, String> {
    let fields = request::form().map_err(|error| format!("the form: {error:?}"))?;
    let number = |name: &str| -> Option<i64> {
        let field = fields.iter().find(|field| field.name == name)?;
        std::str::from_utf8(&field.value).ok()?.parse().ok()
    };
    let flash = match (number("item_id"), number("quantity").filter(is_quantity)) {
        (Some(item), Some(quantity)) => match place(db, item, quantity)? {
            Some(_) => "ordered",
            None => "sold-out",
        },
        _ => "invalid",
    };
    if flash != "ordered" {
        // A redirect commits, unless the guest demands a rollback.
        db.mark_rollback();
    }
    let mut response = answer(303, Body::Bytes(vec![]));
    response.headers.push(("location".into(), "/report".into()));
    let cookie = format!("flash={flash}; Path=/report; Max-Age=60; HttpOnly; SameSite=Lax");
    response.headers.push(("set-cookie".into(), cookie));
    Ok(response)
}

fn is_quantity(quantity: &i64) -> bool {
    (1..=1000).contains(quantity)
}

/// Takes the stock and records the order. Returns its id, or `None` if there is not enough stock.
fn place(db: &Writer, item: i64, quantity: i64) -> Result<Option<i64>, String> {
    // The statement that takes the stock also checks it, so two orders cannot both take the last piece.
    let taken = db.execute(
        "UPDATE items SET stock = stock - ? WHERE id = ? AND stock >= ?",
        &[Value::Int64(quantity), Value::Int64(item), Value::Int64(quantity)],
    )?;
    if taken.rows_affected == 0 {
        return Ok(None);
    }
    let row = db.query_one("SELECT price_cents FROM items WHERE id = ?", &[Value::Int64(item)])?;
    let Some([price]) = row.as_deref() else {
        return Err(format!("the item is gone: {row:?}"));
    };
    let order = db.query_one(
        "INSERT INTO orders (item_id, quantity, price_cents) VALUES (?, ?, ?) RETURNING id",
        &[Value::Int64(item), Value::Int64(quantity), price.clone()],
    )?;
    let Some([Value::Int64(id)]) = order.as_deref() else {
        return Err(format!("RETURNING id gave {order:?}"));
    };
    db.after_commit("confirm", &confirmation(*id, item, quantity), Delivery::AtLeastOnce)?;
    Ok(Some(*id))
}

fn confirmation(id: i64, item: i64, quantity: i64) -> String {
    json!({ "id": id, "item_id": item, "quantity": quantity }).to_string()
}

impl actions::Guest for Orders {
    /// Logs the confirmation, and posts it to the service in the setting `webhook`, if there is one. The host may run the
    /// action more than once, always with the same `action.id`.
    fn run(action: actions::Action, _: Writer) -> Result<(), String> {
        match action.name.as_str() {
            "confirm" => {
                if let Some(url) = config::get("webhook") {
                    webhook::post(&url, &action.id, &action.payload)?;
                }
                log::write(Level::Info, &format!("order confirmed: {}", action.payload));
                Ok(())
            }
            name => Err(format!("unknown action {name}")),
        }
    }
}

fn answer(status: u16, body: Body) -> Response {
    Response { status, headers: vec![], body }
}

/// Response with problem details (RFC 9457).
fn problem(status: u16, title: &str, detail: &str) -> Response {
    let text = json!({ "detail": detail, "status": status, "title": title }).to_string();
    let headers = vec![("content-type".into(), "application/problem+json".into())];
    Response { status, headers, body: Body::Json(text) }
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
