//! Controller for the shop's report: a page that the host renders, and rows that the host sends as JSON or CSV without
//! passing them to this guest.

use carya_guest::prelude::*;

const SALES: &str = "SELECT * FROM sales ORDER BY revenue_cents DESC, name";

const CHANGES: &str = "SELECT at, method, path, who FROM audit ORDER BY id DESC LIMIT 10";

#[carya_guest::routes]
mod report {
    use super::*;

    #[get("/report/rows")]
    fn rows() -> Rows {
        Rows::json(SALES, ())
    }

    #[get("/report.csv")]
    fn csv() -> Rows {
        Rows::csv(SALES, ())
    }

    #[get("/report")]
    fn page(db: &Reader, flash: Flash) -> Result<Response, Problem> {
        let sql = "SELECT id, name, stock FROM items WHERE stock > 0 ORDER BY name";
        let (sales, changes, items) = (db.fetch_json(SALES, ())?, db.fetch_json(CHANGES, ())?, db.fetch_json(sql, ())?);
        // The result of an order by the form of this page. The page shows it once.
        let words = match flash.message() {
            Some("ordered") => "Your order was placed.",
            Some("sold-out") => "There is not that much of this item.",
            Some("invalid") => "Choose an item and a quantity from 1 to 1000.",
            _ => "",
        };
        // The template's context contains the JSON that the host wrote, unchanged.
        let context = format!(r#"{{"sales":{sales},"changes":{changes},"items":{items},"flash":"{words}"}}"#);
        let response = Template::from_json("report.html", JsonText(context)).into_response();
        Ok(match words {
            "" => response,
            _ => response.with_header("set-cookie", "flash=; Path=/report; Max-Age=0"),
        })
    }
}
