//! Prepares a statement for MySQL and MariaDB, with a `?` for each placeholder and an encoded value for each `?`. The
//! gate determines the positions of the placeholders.

use std::{borrow::Cow, sync::OnceLock};

use sqlx::{
    Arguments, AssertSqlSafe, Column, Either, Encode, Executor, MySql, SqlSafeStr, Statement, Type,
    encode::IsNull,
    error::BoxDynError,
    mysql::{MySqlArguments, MySqlConnection, MySqlStatement, MySqlTypeInfo},
};

use super::error::map_error;
use crate::{
    gate::{MAX_PARAM_BYTES, Placeholder},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Maximum number of digits of a `DECIMAL`.
const MAX_DIGITS: usize = 65;
/// Maximum number of digits after the point of a `DECIMAL` on MariaDB. MySQL permits 30, and reports an error for a
/// larger number.
const MAX_DECIMALS: usize = 38;

/// Prepares a statement, so that its execution costs one round trip, and encodes its arguments. Checks that the server
/// expects as many parameters as the host sends; if the numbers differed, the connection would wait forever.
pub(super) async fn prepare(
    connection: &mut MySqlConnection,
    sql: &str,
    placeholders: &[Placeholder],
    params: Vec<Value>,
) -> Result<(MySqlStatement, MySqlArguments), DbError> {
    let has_null = params.contains(&Value::Null);
    let null = if has_null { null(connection).await? } else { Null::default() };
    let (sql, arguments) = lay_out(sql, placeholders, &params, &null)?;
    drop(params);
    let statement = prepared(connection, sql).await?;
    let wanted = match statement.parameters() {
        Some(Either::Right(count)) => count,
        Some(Either::Left(types)) => types.len(),
        None => 0,
    };
    if wanted != arguments.len() {
        let given = arguments.len();
        let message = format!("the server counts {wanted} parameters in the statement, but the host counts {given}");
        return Err(DbError::new(Kind::Other, message));
    }
    Ok((statement, arguments))
}

async fn prepared(connection: &mut MySqlConnection, sql: String) -> Result<MySqlStatement, DbError> {
    connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(map_error)
}

/// The value `NULL` with the driver's type for an untyped NULL. The server accepts this type everywhere. A numeric NULL
/// cannot be stored as a `uuid`, and with a NULL of type text, `COALESCE(?, 5)` is text. The driver has such a type,
/// but no public name for it. The host therefore takes the type from the column of a prepared `SELECT NULL`, once per
/// process.
#[derive(Debug, Clone, Default)]
struct Null(Option<MySqlTypeInfo>);

async fn null(connection: &mut MySqlConnection) -> Result<Null, DbError> {
    static KNOWN: OnceLock<Null> = OnceLock::new();
    if let Some(null) = KNOWN.get() {
        return Ok(null.clone());
    }
    let statement = prepared(connection, "SELECT NULL".to_owned()).await?;
    let null = Null(statement.columns().first().map(|column| column.type_info().clone()));
    Ok(KNOWN.get_or_init(|| null).clone())
}

impl Type<MySql> for Null {
    fn type_info() -> MySqlTypeInfo {
        <str as Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Null {
    fn encode_by_ref(&self, _: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }

    fn produces(&self) -> Option<MySqlTypeInfo> {
        self.0.clone()
    }
}

/// Returns the statement with a plain `?` for each placeholder, and the values in the order of the placeholders.
fn lay_out(
    sql: &str,
    placeholders: &[Placeholder],
    params: &[Value],
    null: &Null,
) -> Result<(String, MySqlArguments), DbError> {
    let mut text = String::with_capacity(sql.len());
    let mut arguments = MySqlArguments::default();
    let (mut end, mut bytes) = (0, 0);
    for Placeholder { range, number } in placeholders {
        let wrong = |kind, why: &str| DbError::new(kind, format!("parameter {number}: {why}"));
        let value = number.checked_sub(1).and_then(|index| params.get(index));
        let value = value.ok_or_else(|| wrong(Kind::Other, "it is not given"))?;
        let before = sql.get(end..range.start).ok_or_else(|| wrong(Kind::Other, "its placeholder is misplaced"))?;
        // A value with several placeholders is sent for each of them.
        bytes += value.size();
        if bytes > MAX_PARAM_BYTES {
            let message = format!("the parameters hold more than {MAX_PARAM_BYTES} bytes, counted once for each use");
            return Err(DbError::new(Kind::Limit, message));
        }
        text.push_str(before);
        text.push_str(&add(&mut arguments, value, null).map_err(|why| wrong(Kind::Data, &why))?);
        end = range.end;
    }
    text.push_str(sql.get(end..).unwrap_or_default());
    Ok((text, arguments))
}

/// Adds a value to the arguments. Returns the text to write in place of its placeholder.
fn add(arguments: &mut MySqlArguments, value: &Value, null: &Null) -> Result<Cow<'static, str>, String> {
    let mut place = Cow::Borrowed("?");
    match value {
        Value::Null => push(arguments, null)?,
        // The driver's `bool` is unsigned, and the server would make `COALESCE(?, 0)` a decimal.
        Value::Boolean(value) => push(arguments, i8::from(*value))?,
        Value::Int64(value) => push(arguments, *value)?,
        Value::Float32(value) => push(arguments, *value)?,
        Value::Float64(value) if !value.is_finite() => {
            return Err(format!("MySQL has no {value}; send null or text"));
        }
        Value::Float64(value) => push(arguments, *value)?,
        Value::Text(value) => push(arguments, value.as_str())?,
        Value::Bytes(value) => push(arguments, value.as_slice())?,
        Value::Other { type_name, text } => match type_name.to_ascii_uppercase().as_str() {
            "DECIMAL" | "NUMERIC" => {
                let decimals = decimals(text)?;
                push(arguments, text.as_str())?;
                // The server compares a decimal and a text as floating point numbers.
                place = format!("CAST(? AS DECIMAL({MAX_DIGITS},{decimals}))").into();
            }
            "BIGINT UNSIGNED" | "BIT" => {
                let number: u64 = text.parse().map_err(|_| format!("`{text}` is no {type_name}"))?;
                push(arguments, number)?;
            }
            _ => push(arguments, text.as_str())?,
        },
    }
    Ok(place)
}

fn push<'a, T: Encode<'a, MySql> + Type<MySql>>(arguments: &mut MySqlArguments, value: T) -> Result<(), String> {
    arguments.add(value).map_err(|error| error.to_string())
}

/// Returns the number of digits after the point. Rejects text of which the server would drop or ignore a part and
/// report only a warning.
fn decimals(text: &str) -> Result<usize, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(format!("`{text}` is no DECIMAL; write it in digits, as -12.50"));
    }
    if fraction.len() > MAX_DECIMALS || whole.trim_start_matches('0').len() + fraction.len() > MAX_DIGITS {
        let limits = format!("at most {MAX_DIGITS} digits, at most {MAX_DECIMALS} of them after the point");
        return Err(format!("`{text}` is too long for DECIMAL, which has {limits}"));
    }
    Ok(fraction.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Value {
        Value::Other { type_name: "DECIMAL".to_owned(), text: text.to_owned() }
    }

    /// Finds placeholders as the gate does, in statements without quotes and comments.
    fn places(sql: &str) -> Vec<Placeholder> {
        let mut last = 0;
        let place = |(start, _): (usize, &str)| {
            let digits = sql[start + 1..].bytes().take_while(u8::is_ascii_digit).count();
            let end = start + 1 + digits;
            let number = sql[start + 1..end].parse().unwrap_or(last + 1);
            last = last.max(number);
            Placeholder { range: start..end, number }
        };
        sql.match_indices(['?', '$']).map(place).collect()
    }

    fn text(sql: &str, params: &[Value]) -> Result<String, DbError> {
        lay_out(sql, &places(sql), params, &Null::default()).map(|(text, _)| text)
    }

    #[test]
    fn placeholders_lose_their_numbers_and_values_follow_their_order() -> Result<(), DbError> {
        let (a, b) = (Value::Text("a".to_owned()), Value::Int64(1));
        let table: [(&str, &[Value], &str, &[&Value]); 6] = [
            ("SELECT 1", &[], "SELECT 1", &[]),
            ("SELECT ?, ? FROM é", &[a.clone(), b.clone()], "SELECT ?, ? FROM é", &[&a, &b]),
            ("SELECT ?2, 'é', $1", &[a.clone(), b.clone()], "SELECT ?, 'é', ?", &[&b, &a]),
            ("SELECT ?1, ?1", std::slice::from_ref(&a), "SELECT ?, ?", &[&a, &a]),
            ("SELECT ?2, ?", &[Value::Null, a.clone(), b.clone()], "SELECT ?, ?", &[&a, &b]),
            ("?", &[decimal("-1.50")], "CAST(? AS DECIMAL(65,2))", &[&decimal("-1.50")]),
        ];
        for (sql, params, expected, order) in table {
            let (text, arguments) = lay_out(sql, &places(sql), params, &Null::default())?;
            let mut wanted = MySqlArguments::default();
            for value in order {
                add(&mut wanted, value, &Null::default()).map_err(|why| DbError::new(Kind::Other, why))?;
            }
            assert_eq!(text, expected);
            assert_eq!(format!("{arguments:?}"), format!("{wanted:?}"), "{sql}");
        }
        Ok(())
    }

    #[test]
    fn rejects_values_that_the_server_would_change() {
        let other = |type_name: &str, text: &str| Value::Other { type_name: type_name.into(), text: text.into() };
        let refused = [
            Value::Float64(f64::NAN),
            Value::Float64(f64::NEG_INFINITY),
            decimal(""),
            decimal("."),
            decimal("1e5"),
            decimal("NaN"),
            decimal("--1"),
            decimal(" 1"),
            decimal(&"9".repeat(66)),
            decimal(&format!("0.{}", "1".repeat(39))),
            other("BIGINT UNSIGNED", "-1"),
            other("bigint unsigned", "18446744073709551616"),
            other("BIT", "b'1'"),
        ];
        for value in refused {
            let error = text("SELECT ?", std::slice::from_ref(&value)).err();
            assert!(error.is_some_and(|error| error.message.starts_with("parameter 1: ")), "{value:?}");
        }
        for fine in
            ["0", "-0.0", "+1", ".5", "5.", &format!("-{}", "9".repeat(65)), &format!("000{}.5", "9".repeat(64))]
        {
            assert!(text("SELECT ?", &[decimal(fine)]).is_ok(), "{fine}");
        }
        assert!(text("SELECT ?2", &[Value::Null]).is_err(), "not given");
    }

    #[test]
    fn a_value_counts_once_for_each_placeholder() {
        let large = [Value::Bytes(vec![0; MAX_PARAM_BYTES / 2])];
        assert!(text("SELECT ?1, ?1", &large).is_ok());
        assert_eq!(text("SELECT ?1, ?1, ?1", &large).map_err(|error| error.kind), Err(Kind::Limit));
    }

    proptest! {
        #[test]
        fn no_placeholders_and_no_text_cause_a_panic(
            sql in ".{0,20}",
            places in prop::collection::vec((0usize..30, 0usize..30, 0usize..4), 0..4),
            given in ".{0,9}",
        ) {
            let places: Vec<_> = places.into_iter().map(|(start, end, number)| Placeholder { range: start..end, number }).collect();
            let _ = lay_out(&sql, &places, &[decimal(&given), Value::Text(given.clone())], &Null::default());
        }
    }
}
