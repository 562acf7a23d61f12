//! Controller for orders of several items, with SeaORM: one-to-many relations, violated constraints as SeaORM's errors, and
//! nested transactions. All of it runs in the host's transaction. The same code runs on SQLite, PostgreSQL and MariaDB.

mod models;
mod orm;

use carya_guest::prelude::*;
use chrono::NaiveDateTime;
use models::{connect, item, line, order};
use orm::{Orm, violation};
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityLoaderTrait, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set, TransactionError, TransactionTrait, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct NewItem {
    name: String,
    price: Decimal,
    #[serde(default)]
    stock: i64,
}

#[derive(Deserialize, Serialize)]
struct NewLine {
    item: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct NewOrder {
    customer: String,
    placed_at: NaiveDateTime,
    lines: Vec<NewLine>,
}

#[derive(Serialize)]
struct OrderView {
    id: i64,
    customer: String,
    placed_at: NaiveDateTime,
    total: Decimal,
    lines: Vec<NewLine>,
}

#[derive(Serialize)]
struct Stock {
    stock: i64,
}

#[derive(Serialize)]
struct Left {
    lines: u64,
}

#[carya_guest::routes]
mod orders {
    use super::*;

    #[get("/orders")]
    fn list(db: &Reader) -> Result<Json<Vec<OrderView>>, Problem> {
        let orders = order::Entity::load().with((line::Entity, item::Entity));
        let orders = orders.order_by_asc(order::Column::Id).all(&connect(db))?;
        Ok(Json(orders.into_iter().map(view).collect()))
    }

    /// Takes the items from the stock. Leaves out a line if there is not enough of its item.
    #[post("/orders")]
    fn create(db: &Writer, Json(new): Json<NewOrder>) -> Result<Created<OrderView>, Problem> {
        let orm = connect(db);
        let order =
            order::ActiveModel { customer: Set(new.customer), placed_at: Set(new.placed_at), ..Default::default() };
        let id = order.insert(&orm)?.id;
        for line in new.lines {
            let item = find(&orm, &line.item)?;
            match orm.transaction(|orm| add_line(orm, id, item, line.quantity)) {
                Err(TransactionError::Transaction(error)) if is_stock(&error) => {}
                added => added?,
            }
        }
        let order = order::Entity::load().filter_by_id(id).with((line::Entity, item::Entity));
        let order = order.one(&orm)?.map(view).filter(|order| !order.lines.is_empty());
        let order = order.ok_or(Problem::conflict("there is not enough of any item"))?;
        Ok(Created::at(format!("/orders/{id}"), order))
    }

    /// Adds an item. If there is one with this name, adds to its stock.
    #[post("/items")]
    fn add_item(db: &Writer, Query(new): Query<NewItem>) -> Result<Created<Stock>, Problem> {
        let orm = connect(db);
        let item = item::ActiveModel {
            name: Set(new.name.clone()),
            price: Set(new.price),
            stock: Set(new.stock),
            ..Default::default()
        };
        match orm.transaction(|orm| item.insert(orm)) {
            Ok(_) => {}
            Err(TransactionError::Transaction(error))
                if violation(&error).is_some_and(|violation| violation.kind == ViolationKind::Unique) =>
            {
                let stock = Expr::col(item::Column::Stock).add(new.stock);
                let update = item::Entity::update_many().col_expr(item::Column::Stock, stock);
                update.filter(item::Column::Name.eq(&new.name)).exec(&orm)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Created::at("/items", Stock { stock: find(&orm, &new.name)?.stock }))
    }

    /// Removes an order with its lines, and returns the number of lines that are left in all orders.
    #[delete("/orders/{id}")]
    fn remove(db: &Writer, Path(id): Path<i64>) -> Result<Json<Left>, Problem> {
        let orm = connect(db);
        let order = order::Entity::find_by_id(id).one(&orm)?.ok_or(Problem::not_found("there is no such order"))?;
        order.cascade_delete(&orm)?;
        Ok(Json(Left { lines: line::Entity::find().count(&orm)? }))
    }
}

fn find<D: Db>(orm: &Orm<'_, D>, name: &str) -> Result<item::Model, Problem> {
    let item = item::Entity::find().filter(item::Column::Name.eq(name)).one(orm)?;
    item.ok_or_else(|| Problem::not_found(format!("there is no item {name}")))
}

/// Takes the item from the stock and inserts the line, in the order that SeaORM derives from the relations.
fn add_line(orm: &Orm<'_, Writer>, order_id: i64, item: item::Model, quantity: i64) -> Result<(), DbErr> {
    let stock = item.stock - quantity;
    let item = item.into_active_model().into_ex().set_stock(stock);
    line::ActiveModel::builder().set_order_id(order_id).set_item(item).set_quantity(quantity).save(orm)?;
    Ok(())
}

/// Returns whether a statement would have made the stock of an item negative.
fn is_stock(error: &DbErr) -> bool {
    violation(error).is_some_and(|violation| violation.name.as_deref() == Some("enough_stock"))
}

fn view(order: order::ModelEx) -> OrderView {
    let mut total = Decimal::ZERO;
    let mut lines = Vec::new();
    // SeaORM loads related rows by ascending keys.
    for line in order.lines {
        let item = line.item.unwrap();
        total += Decimal::from(line.quantity) * item.price;
        lines.push(NewLine { item: item.name, quantity: line.quantity });
    }
    total.rescale(2);
    OrderView { id: order.id, customer: order.customer, placed_at: order.placed_at, total, lines }
}
