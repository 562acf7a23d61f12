//! Prepares a guest's statement: converts its placeholders to PostgreSQL's notation, and its parameters to the types
//! that the server infers. Does not depend on transactions.
//!
//! The host declares no types, so that in `WHERE price > ?` the server infers `numeric` from the column, for any value.
//! If the value has a binary form of the inferred type, that form is sent. Any other value is sent as text with a cast
//! in the statement. The type's input function reads the text, and either preserves the value exactly or rejects it.

mod bind;
mod type_name;

use std::{ops::Range, sync::Arc};

use futures_util::StreamExt;
use sqlx::{
    AssertSqlSafe, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _,
    postgres::{PgArguments, PgRow, PgStatement, PgTypeInfo},
};

use self::bind::{Cast, Parameter};
use super::error::map_error;
use crate::{
    gate::Placeholder,
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Prepares a statement, and returns it with its arguments. The driver caches the prepared statements of all texts that
/// this function tries, so that the preparation of a repeated statement costs no round trip, and its execution costs
/// one.
///
/// `first_text` is set to the first text that was prepared, before casts were added for the inferred types. If the
/// statement fails, [`has_other_parameters`] prepares this text again, to find out whether the types of its parameters
/// have changed.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
    first_text: &mut Option<Arc<str>>,
) -> Result<(PgStatement, PgArguments), DbError> {
    *first_text = None;
    let most = placeholders.iter().map(|placeholder| placeholder.number).max().unwrap_or(0);
    counted(most, params.len())?;
    let mut params = parameters(params)?;
    loop {
        let text: Arc<str> = rewritten(sql, placeholders, &params).into();
        let statement = prepared(connection, text.clone()).await?;
        first_text.get_or_insert(text);
        let types = parameter_types(&statement);
        counted(types.len(), params.len())?;
        // A cast may change the inferred type of another parameter, so repeat this until no cast is missing.
        let mut complete = true;
        for (param, type_info) in params.iter_mut().zip(types) {
            complete &= param.fit(type_info)?;
        }
        if complete {
            return Ok((statement, bind::arguments(params)?));
        }
    }
}

/// Runs statements without parameters in one message, and returns the first value of each row.
pub(in crate::database) async fn query_batch(
    connection: &mut PgConnection,
    sql: String,
) -> Result<Vec<Option<String>>, DbError> {
    let mut answers = Vec::new();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = stream.next().await {
        let row: PgRow = row.map_err(map_error)?;
        answers.push(row.try_get(0).map_err(map_error)?);
    }
    Ok(answers)
}

/// Prepares a statement again, and returns whether its parameters have other types than in the driver's cached
/// statement.
pub(super) async fn has_other_parameters(connection: &mut PgConnection, text: Arc<str>) -> Result<bool, DbError> {
    // The comment makes the text unique, so that the driver does not use its cached statement.
    let fresh_text = format!("{text}\n-- {:016x}", rand::random::<u64>());
    let before = prepared(connection, text).await?;
    query_batch(connection, "ROLLBACK".to_owned()).await?;
    let now = prepared(connection, fresh_text.into()).await?;
    let oids = |statement| parameter_types(statement).iter().map(PgTypeInfo::oid);
    Ok(!oids(&before).eq(oids(&now)))
}

fn parameters(values: Vec<Value>) -> Result<Vec<Parameter>, DbError> {
    values.into_iter().enumerate().map(|(index, value)| Parameter::new(index + 1, value)).collect()
}

pub(super) async fn prepared(connection: &mut PgConnection, text: Arc<str>) -> Result<PgStatement, DbError> {
    connection.prepare(AssertSqlSafe(text).into_sql_str()).await.map_err(map_error)
}

/// Returns the types of the parameters that the server infers.
pub(super) fn parameter_types(statement: &PgStatement) -> &[PgTypeInfo] {
    match statement.parameters() {
        Some(Either::Left(types)) => types,
        Some(Either::Right(_)) | None => &[],
    }
}

fn counted(wanted: usize, given: usize) -> Result<(), DbError> {
    if wanted == given {
        return Ok(());
    }
    let message = format!("the statement has {wanted} parameters, but {given} were given");
    Err(DbError::new(Kind::Other, message))
}

/// Returns the statement with `$7` in place of each placeholder for the seventh parameter, with a cast if the value
/// needs one.
fn rewritten(sql: &str, placeholders: &[Placeholder], params: &[Parameter]) -> String {
    let mut text = String::with_capacity(sql.len() + 16 * placeholders.len());
    let mut from = 0;
    for Placeholder { range, number } in placeholders {
        text.push_str(&sql[from..range.start]);
        let cast = number.checked_sub(1).and_then(|index| params.get(index)).map_or(&Cast::None, Parameter::cast);
        let placeholder = match cast {
            Cast::None => format!("${number}"),
            Cast::To(type_name) => format!("(${number}::{type_name})"),
            Cast::FromText(type_name) => format!("(${number}::text::{type_name})"),
        };
        // Without a space `a?` would become the name `a$1`, and newer servers reject `$1and`.
        let (before, after) = touches(sql, range);
        text.push_str(if before { " " } else { "" });
        text.push_str(&placeholder);
        text.push_str(if after { " " } else { "" });
        from = range.end;
    }
    text.push_str(&sql[from..]);
    text
}

/// Returns whether a word character is directly before the range, and whether one is directly after it.
fn touches(sql: &str, range: &Range<usize>) -> (bool, bool) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
    let before = range.start.checked_sub(1).and_then(|at| sql.as_bytes().get(at));
    let after = sql.as_bytes().get(range.end);
    (before.is_some_and(is_word), after.is_some_and(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(sql: &str) -> Vec<Placeholder> {
        let marks = sql.match_indices('?').enumerate();
        marks.map(|(index, (at, _))| Placeholder { range: at..at + 1, number: index + 1 }).collect()
    }

    #[test]
    fn placeholders_become_numbers() -> Result<(), DbError> {
        let other = |type_name: &str| Value::Other { type_name: type_name.into(), text: "1".into() };
        let table = [
            ("SELECT 1", vec![], "SELECT 1"),
            ("SELECT ?", vec![Value::Null], "SELECT $1"),
            ("SELECT a?,?b?", vec![Value::Null; 3], "SELECT a $1,$2 b $3"),
            ("SELECT 'é'||?||?", vec![other("NUMERIC(3,1)"), Value::Null], "SELECT 'é'||($1::text::NUMERIC(3,1))||$2"),
        ];
        for (sql, values, expected) in table {
            assert_eq!(rewritten(sql, &placeholders(sql), &parameters(values)?), expected);
        }
        let seventh = [Placeholder { range: 7..9, number: 7 }, Placeholder { range: 11..13, number: 7 }];
        assert_eq!(rewritten("SELECT $7, ?7", &seventh, &[]), "SELECT $7, $7");
        Ok(())
    }
}
