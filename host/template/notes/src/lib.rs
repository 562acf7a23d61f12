//! Controller for a list of notes: GET /notes reads the list, POST /notes adds the request's text.

use carya::host::database::{DbError, Reader, Value, Writer};
use carya::host::request;
use carya::host::types::{Body, Response, RowsFormat, RowsQuery};
use exports::carya::host::{read_controller, write_controller};

wit_bindgen::generate!({ path: "../wit", world: "controller" });

struct Notes;
export!(Notes);

impl read_controller::Guest for Notes {
    /// A `Reader` has no functions that write. The host runs the query and sends its rows to the client; the guest does
    /// not receive them.
    fn read(_db: Reader) -> Result<Response, String> {
        let query = RowsQuery {
            sql: "SELECT id, text, written_at FROM notes ORDER BY id DESC LIMIT 100".to_owned(),
            params: vec![],
            format: RowsFormat::Json,
        };
        Ok(answer(200, Body::Rows(query)))
    }
}

impl write_controller::Guest for Notes {
    /// The host runs `write` in one transaction. It commits the transaction after a 2xx or 3xx response, and rolls it
    /// back otherwise.
    fn write(db: Writer) -> Result<Response, String> {
        let text = request::body_text()?;
        if text.trim().is_empty() {
            return Ok(answer(422, Body::Text("A note needs a text.\n".to_owned())));
        }
        let sql = "INSERT INTO notes (text) VALUES (?) RETURNING id, text, written_at";
        let note = db
            .query_one_json(sql, &[Value::Text(text)])?
            .ok_or("RETURNING gave no row")?;
        Ok(answer(201, Body::Json(note)))
    }
}

fn answer(status: u16, body: Body) -> Response {
    Response {
        status,
        headers: vec![],
        body,
    }
}

/// Allows `?` on a failed statement. The request then fails: the host logs the message, and the client receives a 500.
impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
