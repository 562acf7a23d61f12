//! Decodes the values that the server sends in its binary format, without loss.
//!
//! The driver's own decoders are not used: they panic on `infinity`, and lose `NaN`, `24:00:00` and bounds of arrays. A
//! value of a type that has a variant of its own in [`Value`] becomes that variant. A `float4` becomes a
//! [`Value::Float32`] of the same value, an enum becomes text, and `void` becomes `NULL`. Every other type becomes
//! [`Value::Other`], in the format of the type's output function with `DateStyle` ISO, `TimeZone` UTC and
//! `IntervalStyle` postgres. This equals `x::text` with one exception: a cast of an `inet` always appends the mask.

mod float;
mod form;
mod nested;
mod network;
mod numeric;
mod time;
mod wire;

use sqlx::{
    Column as _, Row, TypeInfo, ValueRef,
    postgres::{PgColumn, PgRow},
};

pub(super) use self::form::Form;
use self::wire::{Malformed, Wire};
use crate::{
    database::{options::Limits, receiver},
    sql::{
        error::{DbError, Kind},
        value::{Column, Value},
    },
};

/// Returns the columns of a row.
pub(super) fn columns(row: &PgRow) -> Vec<Column> {
    row.columns().iter().map(column).collect()
}

/// Returns the name and type of a column.
pub(super) fn column(column: &PgColumn) -> Column {
    Column { name: column.name().to_owned(), type_name: column.type_info().name().to_owned() }
}

/// Returns the names of a row's columns.
pub(super) fn names(row: &PgRow) -> impl Iterator<Item = &str> {
    row.columns().iter().map(|column| column.name())
}

/// Decodes the values of a row one after the other. Rejects a row that certainly exceeds `max_result`, before it copies
/// the bytes. The check permits eight times `max_result` on the wire, because the binary form of an array can be longer
/// than its text. `columns` are the columns of the row, with types that the driver knows. `version` is the server's
/// version, such as 150004.
pub(super) fn decode_each<'r>(
    row: &'r PgRow,
    columns: &'r [PgColumn],
    version: u32,
    limits: Limits,
) -> impl Iterator<Item = Result<Value, DbError>> + use<'r> {
    let mut room = limits.max_result.saturating_mul(8);
    columns.iter().enumerate().map(move |(index, column)| {
        let broken =
            |error: &dyn std::fmt::Display| DbError::new(Kind::Data, format!("column \"{}\": {error}", column.name()));
        let raw = row.try_get_raw(index).map_err(|error| broken(&error))?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let Some(form) = Form::of(column.type_info(), version) else { return Err(inexpressible(column)) };
        let bytes = raw.as_bytes().map_err(|error| broken(&error))?;
        room = room.checked_sub(bytes.len()).ok_or_else(|| receiver::too_large(limits))?;
        let type_name = || column.type_info().name();
        value(&form, type_name, bytes).map_err(|Malformed| broken(&format!("the server sent a wrong {}", type_name())))
    })
}

fn inexpressible(column: &PgColumn) -> DbError {
    let (name, type_name) = (column.name(), column.type_info().name().to_lowercase());
    let message = format!(
        "column \"{name}\" has type {type_name}, which the contract cannot express; select it as text: {name}::text"
    );
    DbError::new(Kind::Other, message)
}

/// Decodes a value that is not NULL.
fn value<'a>(form: &Form, type_name: impl Fn() -> &'a str, bytes: &[u8]) -> Result<Value, Malformed> {
    let wire = Wire(bytes);
    Ok(match form {
        Form::Void => Value::Null,
        Form::Bool => Value::Boolean(wire.all(Wire::boolean)?),
        Form::Int2 => Value::Int64(wire.all(Wire::i16)?.into()),
        Form::Int4 => Value::Int64(wire.all(Wire::i32)?.into()),
        Form::Int8 => Value::Int64(wire.all(Wire::i64)?),
        Form::Oid => Value::Int64(wire.all(Wire::u32)?.into()),
        Form::Float4 => Value::Float32(f32::from_bits(wire.all(Wire::u32)?)),
        Form::Float8 => Value::Float64(f64::from_bits(wire.all(Wire::u64)?)),
        Form::Text | Form::Char => Value::Text(form.text(bytes)?),
        Form::Bytea => Value::Bytes(bytes.to_vec()),
        _ => Value::Other { type_name: type_name().to_owned(), text: form.text(bytes)? },
    })
}
