//! Controller for the shop's report: a page that the host renders, and rows that the host sends as JSON or CSV without
//! passing them to this guest.

use carya::host::database::{DbError, Reader};
use carya::host::request;
use carya::host::types::{Body, Response, RowsFormat, RowsQuery, Template};
use exports::carya::host::read_controller::Guest;

wit_bindgen::generate!({ path: "../../wit", world: "read-only-controller" });

const SALES: &str = "SELECT * FROM sales ORDER BY revenue_cents DESC, name";

const CHANGES: &str = "SELECT at, method, path, who FROM audit ORDER BY id DESC LIMIT 10";

struct Report;
export!(Report);

impl Guest for Report {
    fn read(db: Reader) -> Result<Response, String> {
        let rows = |format| Body::Rows(RowsQuery { sql: SALES.to_owned(), params: vec![], format });
        match request::route().as_deref() {
            Some("/report/rows") => Ok(Response { status: 200, headers: vec![], body: rows(RowsFormat::Json) }),
            Some("/report.csv") => Ok(Response { status: 200, headers: vec![], body: rows(RowsFormat::Csv) }),
            _ => page(&db),
        }
    }
}

fn page(db: &Reader) -> Result<Response, String> {
    // The template's context contains the JSON that the host wrote, unchanged.
    let sql = "SELECT id, name, stock FROM items WHERE stock > 0 ORDER BY name";
    let (sales, changes, items) = (db.query_json(SALES, &[])?, db.query_json(CHANGES, &[])?, db.query_json(sql, &[])?);
    // The result of an order by the form of this page. The page shows it once.
    let flash = match request::cookie("flash").as_deref() {
        Some("ordered") => "Your order was placed.",
        Some("sold-out") => "There is not that much of this item.",
        Some("invalid") => "Choose an item and a quantity from 1 to 1000.",
        _ => "",
    };
    let context = format!(r#"{{"sales":{sales},"changes":{changes},"items":{items},"flash":"{flash}"}}"#);
    let forget = ("set-cookie".to_owned(), "flash=; Path=/report; Max-Age=0".to_owned());
    let headers = if flash.is_empty() { vec![] } else { vec![forget] };
    Ok(Response { status: 200, headers, body: Body::Template(Template { name: "report.html".to_owned(), context }) })
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
