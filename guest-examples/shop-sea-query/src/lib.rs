//! Controller for the orders of an item, with statements of sea-query. The same code runs on SQLite, PostgreSQL and
//! MariaDB.

use carya_guest::{prelude::*, sea_query as built};
use sea_query::{Expr, Iden, InsertStatement, Order as Sort, Query};
use serde::{Deserialize, Serialize};

#[derive(Iden)]
enum Items {
    Table,
    Id,
    Name,
    PriceCents,
    Stock,
}

#[derive(Iden)]
enum Orders {
    Table,
    Id,
    ItemId,
    Quantity,
    PriceCents,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    id: i64,
    name: String,
    price_cents: i64,
    /// The orders of the item: not a column.
    #[serde(default)]
    orders: Vec<Order>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: i64,
    quantity: i64,
    price_cents: i64,
}

#[derive(Debug, Serialize)]
struct Placed {
    placed: Vec<i64>,
    /// Quantities that were refused.
    refused: Vec<i64>,
}

#[carya_guest::routes]
mod shop {
    use super::*;

    /// An item with its orders.
    #[get("/items/{id}/orders")]
    fn show(db: &Reader, Path(id): Path<i64>) -> Result<Json<Item>, Problem> {
        let mut item = find(db, id)?;
        let mut orders = Query::select();
        orders
            .columns([Orders::Id, Orders::Quantity, Orders::PriceCents])
            .from(Orders::Table)
            .and_where(Expr::col(Orders::ItemId).eq(id))
            .order_by(Orders::Id, Sort::Asc);
        item.orders = built::fetch(db, &orders)?;
        Ok(Json(item))
    }

    /// Places an order for each quantity. A quantity that violates a constraint is refused, and the others are placed:
    /// each order has a savepoint, inside the transaction of the request.
    #[post("/items/{id}/orders")]
    fn place(db: &Writer, Path(id): Path<i64>, Json(quantities): Json<Vec<i64>>) -> Result<Json<Placed>, Problem> {
        let item = find(db, id)?;
        let mut result = Placed { placed: Vec::new(), refused: Vec::new() };
        for quantity in quantities {
            match db.savepoint(|| place_one(db, &item, quantity)) {
                Ok(order) => result.placed.push(order),
                Err(error) if error.violates(ViolationKind::Check) => result.refused.push(quantity),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Json(result))
    }
}

fn find(db: &impl Db, id: i64) -> Result<Item, Problem> {
    let mut query = Query::select();
    query
        .columns([Items::Id, Items::Name, Items::PriceCents])
        .from(Items::Table)
        .and_where(Expr::col(Items::Id).eq(id));
    built::fetch_optional(db, &query)?.ok_or(Problem::not_found("there is no such item"))
}

/// Takes the stock of an item and inserts an order. The check that the stock is not negative refuses too large orders.
fn place_one(db: &Writer, item: &Item, quantity: i64) -> Result<i64, DbError> {
    let mut take = Query::update();
    take.table(Items::Table)
        .value(Items::Stock, Expr::col(Items::Stock).sub(quantity))
        .and_where(Expr::col(Items::Id).eq(item.id));
    built::execute(db, &take)?;
    let insert = InsertStatement::new()
        .into_table(Orders::Table)
        .columns([Orders::ItemId, Orders::Quantity, Orders::PriceCents])
        .values_panic([item.id.into(), quantity.into(), item.price_cents.into()])
        .to_owned();
    built::insert_with_key(db, &insert, Orders::Id)
}
