//! Converts values between the host's types and SQLite's. The storage class of a value determines its type, not the
//! declared type of the column: a column can contain values of all classes.

use sqlx::{
    Arguments, Column as _, Decode, Row, Sqlite, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteColumn, SqliteRow, SqliteValueRef},
};

use crate::{
    gate::Placeholder,
    sql::{
        error::{DbError, Kind},
        value::{Column, Value},
    },
};

/// Converts the parameters of a statement.
pub(super) fn bind(params: Vec<Value>) -> Result<SqliteArguments, DbError> {
    let mut arguments = SqliteArguments::default();
    for (index, value) in params.into_iter().enumerate() {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(value),
            Value::Int64(value) => arguments.add(value),
            Value::Float32(value) => arguments.add(f64::from(value)),
            Value::Float64(value) if value.is_nan() => {
                // SQLite would store NULL.
                let message = format!("parameter {}: SQLite cannot store NaN; send null or text", index + 1);
                return Err(DbError::new(Kind::Data, message));
            }
            Value::Float64(value) => arguments.add(value),
            Value::Text(value) | Value::Other { text: value, .. } => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        };
        added.map_err(|error| DbError::new(Kind::Data, format!("parameter {}: {error}", index + 1)))?;
    }
    Ok(arguments)
}

/// Returns the statement with placeholders that the driver and SQLite number in the same way. The driver numbers the
/// placeholders `?` from 1 on, and does not count placeholders with numbers of their own. SQLite and the gate give a
/// `?` the highest number so far plus 1. If the two numbers of any `?` differ, this function writes SQLite's number
/// into every `?`.
pub(super) fn numbered(sql: String, placeholders: &[Placeholder]) -> String {
    let plain = || placeholders.iter().filter(|placeholder| placeholder.range.len() == 1);
    if plain().zip(1..).all(|(placeholder, place)| placeholder.number == place) {
        return sql;
    }
    let (mut text, mut from) = (String::with_capacity(sql.len() + 16), 0);
    for Placeholder { range, number } in plain() {
        text.push_str(&sql[from..range.start]);
        text.push_str(&format!("?{number}"));
        from = range.end;
    }
    text.push_str(&sql[from..]);
    text
}

/// Returns the columns of a row.
pub(super) fn columns(row: &SqliteRow) -> Vec<Column> {
    row.columns().iter().map(column).collect()
}

/// Returns the name and the declared type of a column.
pub(super) fn column(column: &SqliteColumn) -> Column {
    let type_info = column.type_info();
    let type_name = if type_info.is_null() { String::new() } else { type_info.name().to_owned() };
    Column { name: column.name().to_owned(), type_name }
}

/// Returns the names of the columns of a row.
pub(super) fn names(row: &SqliteRow) -> impl Iterator<Item = &str> {
    row.columns().iter().map(|column| column.name())
}

/// Returns an iterator that decodes the values of a row.
pub(super) fn decode_each(row: &SqliteRow) -> impl Iterator<Item = Result<Value, DbError>> {
    row.columns().iter().enumerate().map(|(index, column)| decode(row, index, column))
}

fn decode(row: &SqliteRow, index: usize, column: &SqliteColumn) -> Result<Value, DbError> {
    fn typed<'r, T: Decode<'r, Sqlite>>(raw: SqliteValueRef<'r>, column: &SqliteColumn) -> Result<T, DbError> {
        T::decode(raw).map_err(|error| DbError::new(Kind::Data, format!("column {}: {error}", column.name())))
    }
    let raw = row
        .try_get_raw(index)
        .map_err(|error| DbError::new(Kind::Other, format!("column {}: {error}", column.name())))?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let storage = raw.type_info().into_owned();
    Ok(match storage.name() {
        "INTEGER" => match typed::<i64>(raw, column)? {
            number @ (0 | 1) if column.type_info().name() == "BOOLEAN" => Value::Boolean(number == 1),
            number => Value::Int64(number),
        },
        "REAL" => Value::Float64(typed(raw, column)?),
        "BLOB" => Value::Bytes(typed(raw, column)?),
        _ => Value::Text(typed(raw, column)?),
    })
}
