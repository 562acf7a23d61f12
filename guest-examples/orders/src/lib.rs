//! Controller for orders: takes the stock and records the order in one transaction, and confirms it after the commit.

use carya::host::database::{DbError, Delivery, Reader, Value, Writer};
use carya::host::log::{self, Level};
use carya::host::request;
use carya::host::types::{Body, Response, RowsQuery};
use exports::carya::host::{actions, read_controller, write_controller};
use serde_json::{Value as Json, json};

wit_bindgen::generate!({
    inline: "
        package shop:orders;
        world guest {
            include carya:host/imports@0.1.0;
            export carya:host/read-controller@0.1.0;
            export carya:host/write-controller@0.1.0;
            export carya:host/actions@0.1.0;
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
            return Ok(answer(200, Body::Rows(RowsQuery { sql, params: vec![] })));
        };
        // A text that is not a number becomes NULL, which equals no id.
        let id = id.parse().map_or(Value::Null, Value::Int64);
        let rows = db.query_json("SELECT * FROM orders WHERE id = ?", &[id])?;
        // There is at most one row. Without the brackets of the list, the text is the order itself.
        match rows.trim_start_matches('[').trim_end_matches(']') {
            "" => Ok(problem(404, "Not Found", "there is no such order")),
            order => Ok(answer(200, Body::Json(order.to_owned()))),
        }
    }
}

impl write_controller::Guest for Orders {
    fn write(db: Writer) -> Result<Response, String> {
        let body = serde_json::from_slice::<Json>(&request::body()).unwrap_or_default();
        let (Some(item), Some(quantity @ 1..=1000)) = (body["item_id"].as_i64(), body["quantity"].as_i64()) else {
            let detail = "expected item_id and a quantity from 1 to 1000";
            return Ok(problem(422, "Unprocessable Content", detail));
        };

        // The statement that takes the stock also checks it, so two orders cannot both take the last piece.
        let taken = db.execute(
            "UPDATE items SET stock = stock - ? WHERE id = ? AND stock >= ?",
            &[Value::Int64(quantity), Value::Int64(item), Value::Int64(quantity)],
        )?;
        if taken.rows_affected == 0 {
            // A 4xx rolls back all writes of this request, including its audit row.
            return Ok(problem(409, "Conflict", "there is not that much of this item"));
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

        let order = json!({ "id": id, "item_id": item, "quantity": quantity }).to_string();
        db.after_commit("confirm", &order, Delivery::AtLeastOnce)?;
        let mut response = answer(201, Body::Json(order));
        response.headers.push(("location".into(), format!("/orders/{id}")));
        Ok(response)
    }
}

impl actions::Guest for Orders {
    /// Logs the confirmation, in place of an e-mail to the customer. The host may run the action more than once, always
    /// with the same `action.id`.
    fn run(action: actions::Action) -> Result<(), String> {
        match action.name.as_str() {
            "confirm" => log::write(Level::Info, &format!("order confirmed: {}", action.payload)),
            name => return Err(format!("unknown action {name}")),
        }
        Ok(())
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
