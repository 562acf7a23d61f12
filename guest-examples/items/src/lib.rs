//! Controller for the shop's items: lists a page of items, reads one item, and creates, updates or deletes an item.
//!
//! `items-js` and `items-python` return the same responses, byte for byte: change all three together.

use carya::host::database::{DbError, Reader, Value, ViolationKind, Writer};
use carya::host::request;
use carya::host::types::{Body, Response};
use exports::carya::host::{read_controller, write_controller};
use serde_json::{Map, Value as Json, json};

wit_bindgen::generate!({ path: "../../wit", world: "controller" });

struct Items;
export!(Items);

impl read_controller::Guest for Items {
    fn read(db: Reader) -> Result<Response, String> {
        match request::param("id") {
            Some(_) => one(&db),
            None => page(&db),
        }
    }
}

impl write_controller::Guest for Items {
    fn write(db: Writer) -> Result<Response, String> {
        match request::method().as_str() {
            "POST" => create(&db),
            "PUT" => update(&db),
            "DELETE" => delete(&db),
            method => Err(format!("{method} is not routed here")),
        }
    }
}

// The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
fn page(db: &Reader) -> Result<Response, String> {
    let (page, per_page) = (number("page", 1, 1_000_000), number("per_page", 20, 100));
    let (Some(page), Some(per_page)) = (page, per_page) else {
        return Ok(invalid([
            ("page", page.is_some(), "must be a whole number from 1 to 1000000"),
            ("per_page", per_page.is_some(), "must be a whole number from 1 to 100"),
        ]));
    };
    let items = db.query_json(
        "SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?",
        &[Value::Int64(per_page), Value::Int64((page - 1) * per_page)],
    )?;
    let count = db.query_one("SELECT count(*) FROM items", &[])?;
    let Some([Value::Int64(total)]) = count.as_deref() else {
        return Err(format!("count(*) gave {count:?}"));
    };
    Ok(json(200, format!(r#"{{"items":{items},"page":{page},"total":{total}}}"#)))
}

fn one(db: &Reader) -> Result<Response, String> {
    let item = db.query_one_json("SELECT id, name, price_cents, stock FROM items WHERE id = ?", &[id()])?;
    Ok(item.map_or_else(missing, |item| json(200, item)))
}

fn create(db: &Writer) -> Result<Response, String> {
    let draft = match Draft::from_body() {
        Ok(draft) => draft,
        Err(problem) => return Ok(problem),
    };
    let sql = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id";
    let row = match db.query_one(sql, &draft.values()) {
        Err(error) if is_name_taken(&error) => return Ok(name_taken()),
        row => row?,
    };
    let Some([Value::Int64(id)]) = row.as_deref() else {
        return Err(format!("RETURNING id gave {row:?}"));
    };
    let mut response = json(201, draft.to_item(*id));
    response.headers.push(("location".into(), format!("/items/{id}")));
    Ok(response)
}

fn update(db: &Writer) -> Result<Response, String> {
    let draft = match Draft::from_body() {
        Ok(draft) => draft,
        Err(problem) => return Ok(problem),
    };
    let Value::Int64(id) = id() else {
        return Ok(missing());
    };
    let [name, price_cents, stock] = draft.values();
    let sql = "UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?";
    match db.execute(sql, &[name, price_cents, stock, Value::Int64(id)]) {
        Ok(done) if done.rows_affected == 0 => Ok(missing()),
        Ok(_) => Ok(json(200, draft.to_item(id))),
        Err(error) if is_name_taken(&error) => Ok(name_taken()),
        Err(error) => Err(error.message),
    }
}

fn delete(db: &Writer) -> Result<Response, String> {
    match db.execute("DELETE FROM items WHERE id = ?", &[id()]) {
        Ok(done) if done.rows_affected == 0 => Ok(missing()),
        Ok(_) => Ok(Response { status: 204, headers: vec![], body: Body::Bytes(vec![]) }),
        Err(error) if error.constraint.as_ref().is_some_and(|violated| violated.kind == ViolationKind::ForeignKey) => {
            Ok(problem(409, "Conflict", "there are orders of this item"))
        }
        Err(error) => Err(error.message),
    }
}

/// An item as the client sends it.
struct Draft {
    name: String,
    price_cents: i64,
    stock: i64,
}

impl Draft {
    /// Parses the request's body, or returns a response that describes the error.
    fn from_body() -> Result<Self, Response> {
        let Ok(body) = serde_json::from_slice::<Map<String, Json>>(&request::body()) else {
            return Err(problem(400, "Bad Request", "the body is not a JSON object"));
        };
        let name = body.get("name").and_then(Json::as_str).filter(|name| (1..=100).contains(&name.chars().count()));
        // Accept 5.0 as a whole number: JavaScript cannot distinguish it from 5.
        let amount = |field| {
            let number = body.get(field).and_then(Json::as_f64);
            number.filter(|n| n.fract() == 0.0 && (0.0..=1e9).contains(n)).map(|n| n as i64)
        };
        match (name, amount("price_cents"), amount("stock")) {
            (Some(name), Some(price_cents), Some(stock)) => Ok(Self { name: name.to_owned(), price_cents, stock }),
            (name, price_cents, stock) => Err(invalid([
                ("name", name.is_some(), "must be a text of 1 to 100 characters"),
                ("price_cents", price_cents.is_some(), "must be a whole number from 0 to 1000000000"),
                ("stock", stock.is_some(), "must be a whole number from 0 to 1000000000"),
            ])),
        }
    }

    fn values(&self) -> [Value; 3] {
        [Value::Text(self.name.clone()), Value::Int64(self.price_cents), Value::Int64(self.stock)]
    }

    fn to_item(&self, id: i64) -> String {
        json!({ "id": id, "name": self.name, "price_cents": self.price_cents, "stock": self.stock }).to_string()
    }
}

/// Returns the item's id from the path. A text that cannot be an id becomes NULL, which equals no id.
fn id() -> Value {
    request::param("id").and_then(|id| whole(&id)).map_or(Value::Null, Value::Int64)
}

/// Returns a query parameter from 1 to `max`, or `None` if it is not valid.
fn number(name: &str, default: i64, max: i64) -> Option<i64> {
    match request::query(name) {
        Some(text) => whole(&text).filter(|n| (1..=max).contains(n)),
        None => Some(default),
    }
}

/// Parses decimal digits, at most as many as a JavaScript number represents exactly.
fn whole(text: &str) -> Option<i64> {
    let digits = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn json(status: u16, text: String) -> Response {
    Response { status, headers: vec![], body: Body::Json(text) }
}

fn missing() -> Response {
    problem(404, "Not Found", "there is no such item")
}

/// Returns whether a statement failed because another item has the same name.
fn is_name_taken(error: &DbError) -> bool {
    let constraint = error.constraint.as_ref();
    constraint.is_some_and(|violated| violated.kind == ViolationKind::Unique && violated.columns == ["name"])
}

fn name_taken() -> Response {
    problem(409, "Conflict", "another item has this name")
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    problem_json(status, json!({ "detail": detail, "status": status, "title": title }))
}

/// Response that lists the invalid fields. Each field comes with its validity and the rule that it must follow.
fn invalid<const N: usize>(fields: [(&str, bool, &str); N]) -> Response {
    let errors =
        fields.into_iter().filter(|(_, valid, _)| !valid).map(|(field, _, rule)| (field.to_owned(), rule.into()));
    let errors = errors.collect::<Map<_, Json>>();
    let detail = "some fields are not valid";
    problem_json(422, json!({ "detail": detail, "errors": errors, "status": 422, "title": "Unprocessable Content" }))
}

/// Response with problem details (RFC 9457). serde_json sorts the members alphabetically.
fn problem_json(status: u16, problem: Json) -> Response {
    let mut response = json(status, problem.to_string());
    response.headers.push(("content-type".into(), "application/problem+json".into()));
    response
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
