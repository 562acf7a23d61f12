//! Controller for the shop's report: a page that the host renders, and rows that the host sends without passing them to
//! this guest.

use carya::host::database::{DbError, Reader};
use carya::host::request;
use carya::host::types::{Body, Response, RowsQuery, Template};
use exports::carya::host::read_controller::Guest;

wit_bindgen::generate!({ path: "../../wit", world: "read-only-controller" });

const SALES: &str = "SELECT * FROM sales ORDER BY revenue_cents DESC, name";

const CHANGES: &str = "SELECT at, method, path, who FROM audit ORDER BY id DESC LIMIT 10";

struct Report;
export!(Report);

impl Guest for Report {
    fn read(db: Reader) -> Result<Response, String> {
        let body = if request::path().ends_with("/rows") {
            Body::Rows(RowsQuery { sql: SALES.to_owned(), params: vec![] })
        } else {
            // The template's context contains the JSON that the host wrote, unchanged.
            let (sales, changes) = (db.query_json(SALES, &[])?, db.query_json(CHANGES, &[])?);
            let context = format!(r#"{{"sales":{sales},"changes":{changes}}}"#);
            Body::Template(Template { name: "report.html".to_owned(), context })
        };
        Ok(Response { status: 200, headers: vec![], body })
    }
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
