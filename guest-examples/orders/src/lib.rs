//! Controller for orders: takes the stock and records the order in one transaction, and confirms it after the commit.

use carya_guest::{SetCookie, http, prelude::*, setting_text};
use serde::{Deserialize, Serialize};

/// An order as the client sends it.
#[derive(Deserialize)]
struct Draft {
    item_id: i64,
    quantity: i64,
}

/// A recorded order: the response, and the payload of the action.
#[derive(Serialize, Deserialize)]
struct Order {
    id: i64,
    item_id: i64,
    quantity: i64,
}

#[carya_guest::routes]
mod orders {
    use super::*;

    #[get("/orders")]
    fn list() -> Rows {
        Rows::json("SELECT * FROM orders ORDER BY id DESC LIMIT 100", ())
    }

    #[get("/orders/{id}")]
    fn show(db: &Reader, Path(id): Path<String>) -> Result<JsonText, Problem> {
        // A text that is not a number becomes NULL, which equals no id.
        let order = db.fetch_optional_json("SELECT * FROM orders WHERE id = ?", (id.parse::<i64>().ok(),))?;
        order.ok_or(Problem::not_found("there is no such order"))
    }

    /// Reads an order from a JSON body of any media type.
    #[post("/orders")]
    fn order_by_json(db: &Writer, body: Vec<u8>) -> Result<Created<Order>, Problem> {
        let draft = serde_json::from_slice(&body).ok().filter(Draft::is_valid);
        let draft = draft.ok_or(Problem::unprocessable("expected item_id and a quantity from 1 to 1000"))?;
        // A 4xx rolls back all writes of this request, including its audit row.
        let order = draft.place(db)?.ok_or(Problem::conflict("there is not that much of this item"))?;
        Ok(Created::at(format!("/orders/{}", order.id), order))
    }

    /// Reads an order from the form of the report. Redirects to the report, which shows the result once: it is in a cookie.
    #[post("/orders/form")]
    fn order_by_form(db: &Writer, form: Multipart) -> Result<Response, Problem> {
        let number = |name| form.text(name)?.parse().ok();
        let draft = number("item_id").zip(number("quantity")).map(|(item_id, quantity)| Draft { item_id, quantity });
        let flash = match draft.filter(Draft::is_valid) {
            Some(draft) => draft.place(db)?.map_or("sold-out", |_| "ordered"),
            None => "invalid",
        };
        if flash != "ordered" {
            // A redirect commits, unless the guest demands a rollback.
            db.mark_rollback();
        }
        let cookie = SetCookie::new("flash", flash).path("/report").max_age(60);
        Ok(Redirect::to("/report").into_response().with_header("set-cookie", cookie.to_string()))
    }

    /// Logs the confirmation, and posts it to the service in the setting `webhook`, if there is one. The host may run the
    /// action more than once, always with the same `attempt.id`.
    #[action]
    fn confirm(order: Order, attempt: Attempt) -> Result<(), Problem> {
        if let Ok(url) = setting_text("webhook") {
            http::post(url).header("idempotency-key", attempt.id).json(&order).send()?.ok()?;
        }
        carya_guest::info!("order confirmed: {}", serde_json::to_string(&order)?);
        Ok(())
    }
}

impl Draft {
    fn is_valid(&self) -> bool {
        (1..=1000).contains(&self.quantity)
    }

    /// Takes the stock and records the order. Returns `None` if there is not enough stock.
    fn place(self, db: &Writer) -> Result<Option<Order>, DbError> {
        let Self { item_id, quantity } = self;
        // The statement that takes the stock also checks it, so two orders cannot both take the last piece.
        let sql = "UPDATE items SET stock = stock - ?1 WHERE id = ?2 AND stock >= ?1";
        if db.execute(sql, (quantity, item_id))?.rows_affected == 0 {
            return Ok(None);
        }
        let price: i64 = db.fetch_one("SELECT price_cents FROM items WHERE id = ?", (item_id,))?;
        let id = db.fetch_one(
            "INSERT INTO orders (item_id, quantity, price_cents) VALUES (?, ?, ?) RETURNING id",
            (item_id, quantity, price),
        )?;
        let order = Order { id, item_id, quantity };
        db.after_commit(&order, Delivery::AtLeastOnce)?;
        Ok(Some(order))
    }
}
