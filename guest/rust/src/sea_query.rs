//! Statements of [`sea_query`](https://docs.rs/sea-query/0.32), built for the dialect of the database.
//!
//! ```no_run
//! use carya_guest::{prelude::*, sea_query as built};
//! use sea_query::{Expr, Iden, Query};
//!
//! #[derive(Iden)]
//! enum Tickets {
//!     Table,
//!     Id,
//!     Title,
//!     State,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Ticket {
//!     id: i64,
//!     title: String,
//! }
//!
//! fn open(db: &impl Db) -> Result<Vec<Ticket>, DbError> {
//!     let mut query = Query::select();
//!     query.columns([Tickets::Id, Tickets::Title]).from(Tickets::Table).and_where(Expr::col(Tickets::State).eq("open"));
//!     built::fetch(db, &query)
//! }
//!
//! fn close(db: &impl DbMut, id: i64) -> Result<u64, DbError> {
//!     let mut update = Query::update();
//!     update.table(Tickets::Table).value(Tickets::State, "closed").and_where(Expr::col(Tickets::Id).eq(id));
//!     Ok(built::execute(db, &update)?.rows_affected)
//! }
//! ```
//!
//! Rows are read by serde, as in [`Db::fetch`]. Values of types that need another feature of sea-query, such as dates of
//! `chrono`, are refused: pass them as texts.

use ::sea_query::{
    InsertStatement, IntoColumnRef, MysqlQueryBuilder, PostgresQueryBuilder, Query, QueryBuilder,
    QueryStatementBuilder, SqlWriterValues, SqliteQueryBuilder, Value as SeaValue,
};
use serde::de::DeserializeOwned;

use crate::{Db, DbError, DbMut, Dialect, Execution, ToValue, Value};

/// Returns the text of a statement and its parameters, for the functions of [`Db`] and [`DbMut`].
///
/// # Errors
///
/// Returns an error if a value has a type that cannot be a parameter.
pub fn build(db: &impl Db, statement: &impl QueryStatementBuilder) -> Result<(String, Vec<Value>), DbError> {
    build_for(db.dialect(), statement)
}

/// Runs a query and returns all rows. See [`Db::fetch`].
///
/// # Errors
///
/// Returns an error if the statement fails, or if a row does not have the type `T`.
pub fn fetch<T: DeserializeOwned>(db: &impl Db, query: &impl QueryStatementBuilder) -> Result<Vec<T>, DbError> {
    let (sql, params) = build(db, query)?;
    db.fetch(&sql, params)
}

/// Runs a query and returns the first row, or `None` if there is no row.
///
/// # Errors
///
/// Returns an error if the statement fails, or if the row does not have the type `T`.
pub fn fetch_optional<T: DeserializeOwned>(
    db: &impl Db,
    query: &impl QueryStatementBuilder,
) -> Result<Option<T>, DbError> {
    let (sql, params) = build(db, query)?;
    db.fetch_optional(&sql, params)
}

/// Runs a query and returns the first row. Use it where a row always exists, as for an aggregate or RETURNING.
///
/// # Errors
///
/// Returns an error if the statement fails, if there is no row, or if the row does not have the type `T`.
pub fn fetch_one<T: DeserializeOwned>(db: &impl Db, query: &impl QueryStatementBuilder) -> Result<T, DbError> {
    let (sql, params) = build(db, query)?;
    db.fetch_one(&sql, params)
}

/// Runs a statement and returns the number of affected rows and, on SQLite and MySQL, the generated key.
///
/// # Errors
///
/// Returns an error if the statement fails. See [`DbMut::execute`].
pub fn execute(db: &impl DbMut, statement: &impl QueryStatementBuilder) -> Result<Execution, DbError> {
    let (sql, params) = build(db, statement)?;
    db.execute(&sql, params)
}

/// Inserts one row, and returns its generated key: by RETURNING on SQLite and PostgreSQL, and by the last generated key on
/// MySQL and MariaDB, for which sea-query writes no RETURNING.
///
/// # Errors
///
/// Returns an error if the statement fails, or if the server generated no key.
pub fn insert_with_key(db: &impl DbMut, insert: &InsertStatement, key: impl IntoColumnRef) -> Result<i64, DbError> {
    match db.dialect() {
        Dialect::Mysql => {
            execute(db, insert)?.last_insert_id.ok_or_else(|| DbError::data("the server generated no key".to_owned()))
        }
        Dialect::Sqlite | Dialect::Postgresql => {
            let mut insert = insert.clone();
            fetch_one(db, insert.returning(Query::returning().column(key)))
        }
    }
}

fn build_for(dialect: Dialect, statement: &impl QueryStatementBuilder) -> Result<(String, Vec<Value>), DbError> {
    let builder: &dyn QueryBuilder = match dialect {
        Dialect::Sqlite => &SqliteQueryBuilder,
        Dialect::Postgresql => &PostgresQueryBuilder,
        Dialect::Mysql => &MysqlQueryBuilder,
    };
    // The host has the same placeholders on every engine. With numbers, a `?` that is an operator of PostgreSQL is none.
    let mut writer = SqlWriterValues::new("?", true);
    statement.build_collect_any_into(builder, &mut writer);
    let (sql, values) = writer.into_parts();
    let values: Result<_, _> = values.0.into_iter().map(value).collect();
    Ok((sql, values?))
}

fn value(value: SeaValue) -> Result<Value, DbError> {
    Ok(match value {
        SeaValue::Bool(value) => value.to_value(),
        SeaValue::TinyInt(value) => value.to_value(),
        SeaValue::SmallInt(value) => value.to_value(),
        SeaValue::Int(value) => value.to_value(),
        SeaValue::BigInt(value) => value.to_value(),
        SeaValue::TinyUnsigned(value) => value.to_value(),
        SeaValue::SmallUnsigned(value) => value.to_value(),
        SeaValue::Unsigned(value) => value.to_value(),
        SeaValue::BigUnsigned(value) => match value.map(i64::try_from).transpose() {
            Ok(value) => value.to_value(),
            Err(_) => return Err(DbError::data("an unsigned integer is greater than 2^63 - 1".to_owned())),
        },
        SeaValue::Float(value) => value.to_value(),
        SeaValue::Double(value) => value.to_value(),
        SeaValue::String(value) => value.map(|text| *text).to_value(),
        SeaValue::Char(value) => value.map(String::from).to_value(),
        SeaValue::Bytes(value) => value.map(|bytes| *bytes).to_value(),
        // The application can enable features of sea-query that add variants.
        #[allow(unreachable_patterns)]
        other => {
            let message = format!("{other:?} of sea-query cannot be a parameter; pass it as a text or a number");
            return Err(DbError::data(message));
        }
    })
}

#[cfg(test)]
mod tests {
    use ::sea_query::{Alias, Expr, Order};

    use super::*;

    #[test]
    fn statements_are_built_for_their_dialect() {
        let mut query = Query::select();
        query
            .column(Alias::new("id"))
            .from(Alias::new("items"))
            .and_where(Expr::col(Alias::new("name")).eq("pecan"))
            .and_where(Expr::col(Alias::new("stock")).gt(3))
            .order_by(Alias::new("id"), Order::Asc)
            .limit(2);
        for (dialect, quote) in [(Dialect::Sqlite, '"'), (Dialect::Postgresql, '"'), (Dialect::Mysql, '`')] {
            let (sql, params) = build_for(dialect, &query).unwrap();
            let expected =
                "SELECT \"id\" FROM \"items\" WHERE \"name\" = ?1 AND \"stock\" > ?2 ORDER BY \"id\" ASC LIMIT ?3";
            assert_eq!(sql, expected.replace('"', &quote.to_string()));
            assert_eq!(params, [Value::Text("pecan".to_owned()), Value::Int64(3), Value::Int64(2)]);
        }
    }

    #[test]
    fn every_value_of_the_default_features_is_a_parameter() {
        for (from, expected) in [
            (SeaValue::from(true), Ok(Value::Boolean(true))),
            (SeaValue::from(-1_i8), Ok(Value::Int64(-1))),
            (SeaValue::from(u32::MAX), Ok(Value::Int64(4_294_967_295))),
            (SeaValue::from(7_u64), Ok(Value::Int64(7))),
            (SeaValue::from(u64::MAX), Err("an unsigned integer is greater than 2^63 - 1".to_owned())),
            (SeaValue::from(0.5_f64), Ok(Value::Float64(0.5))),
            (SeaValue::from('é'), Ok(Value::Text("é".to_owned()))),
            (SeaValue::from(vec![1_u8, 2]), Ok(Value::Bytes(vec![1, 2]))),
            (SeaValue::from(None::<String>), Ok(Value::Null)),
            (SeaValue::from(None::<i32>), Ok(Value::Null)),
        ] {
            assert_eq!(value(from).map_err(|error| error.message.clone()), expected);
        }
    }
}
