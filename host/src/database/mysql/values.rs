//! Decodes values of MySQL and MariaDB from rows of prepared statements, in the binary protocol. Parameters are encoded
//! in `statement.rs`.

use sqlx::{
    Column as _, Decode, MySql, Row, Type, TypeInfo,
    mysql::{MySqlColumn, MySqlRow, MySqlTypeInfo},
};

use super::temporal;
use crate::sql::{
    error::{DbError, Kind},
    value::{Column, Value},
};

/// Returns the columns of a row.
pub(super) fn columns(row: &MySqlRow) -> Vec<Column> {
    row.columns().iter().map(column).collect()
}

/// Returns the name and type of a column.
pub(super) fn column(column: &MySqlColumn) -> Column {
    Column { name: column.name().to_owned(), type_name: type_name(column.type_info()).to_owned() }
}

/// Returns the names of a row's columns.
pub(super) fn names(row: &MySqlRow) -> impl Iterator<Item = &str> {
    row.columns().iter().map(|column| column.name())
}

/// Decodes the values of a row one after the other.
pub(super) fn decode_each(row: &MySqlRow) -> impl Iterator<Item = Result<Value, DbError>> {
    row.columns().iter().enumerate().map(|(index, column)| decode(row, index, column))
}

fn decode(row: &MySqlRow, index: usize, column: &MySqlColumn) -> Result<Value, DbError> {
    let wrong = |kind, why: String| DbError::new(kind, format!("column {}: {why}", column.name()));
    let raw = row.try_get_raw(index).map_err(|error| wrong(Kind::Other, error.to_string()))?;
    // Decoding as bytes fails for NULL only. The driver's `is_null` is also true for zero dates.
    let Ok(bytes) = <&[u8] as Decode<MySql>>::decode(raw) else {
        return Ok(Value::Null);
    };
    let shape = Shape::of(column.type_info());
    // The contract has no form of this type, so the statement is wrong and not a value.
    let kind = if shape.type_name == "GEOMETRY" { Kind::Other } else { Kind::Data };
    shape.decode(bytes).map_err(|why| wrong(kind, why))
}

/// Returns whether the server treats a column as text, which it then sends in UTF-8. The driver's names of types do not
/// show this: they depend on a flag that is also set for text with a binary collation such as `utf8mb4_bin`.
fn is_text(info: &MySqlTypeInfo) -> bool {
    <str as Type<MySql>>::compatible(info)
}

/// Returns the engine's name of a type. The name is empty for a NULL without a type.
fn type_name(info: &MySqlTypeInfo) -> &str {
    match info.name() {
        "NULL" => "",
        name if !is_text(info) => name,
        "BINARY" => "CHAR",
        "VARBINARY" => "VARCHAR",
        "TINYBLOB" => "TINYTEXT",
        "BLOB" => "TEXT",
        "MEDIUMBLOB" => "MEDIUMTEXT",
        "LONGBLOB" => "LONGTEXT",
        name => name,
    }
}

/// Properties of a column that determine how its bytes are decoded.
#[derive(Debug, Clone, Copy)]
struct Shape<'a> {
    type_name: &'a str,
    is_text: bool,
    is_unsigned: bool,
    /// Display width, for dates and times only.
    width: Option<u32>,
}

impl<'a> Shape<'a> {
    fn of(info: &'a MySqlTypeInfo) -> Self {
        let type_name = type_name(info);
        let is_unsigned = match type_name {
            // `TINYINT(1)`: the driver's name does not show whether the type is unsigned, but two types of the driver
            // are equal only if both are unsigned or both are signed.
            "BOOLEAN" => *info == <u8 as Type<MySql>>::type_info(),
            name => name.ends_with(" UNSIGNED"),
        };
        let width = matches!(type_name, "TIME" | "DATETIME" | "TIMESTAMP" | "YEAR").then(|| width(info)).flatten();
        Self { type_name, is_text: is_text(info), is_unsigned, width }
    }

    /// Decodes a value that is not NULL. The error states the reason and a remedy.
    fn decode(self, bytes: &[u8]) -> Result<Value, String> {
        let value = match self.type_name {
            "BOOLEAN" => self.integer(bytes).map(|value| match value {
                Value::Int64(number @ (0 | 1)) => Value::Boolean(number == 1),
                other => other,
            }),
            "BIT" => big_endian(bytes).map(|number| self.fitting(number)),
            "FLOAT" => bytes.try_into().ok().map(|bytes| Value::Float32(f32::from_le_bytes(bytes))),
            "DOUBLE" => bytes.try_into().ok().map(|bytes| Value::Float64(f64::from_le_bytes(bytes))),
            "DATE" => temporal::date(bytes).map(|text| self.other(text)),
            "TIME" => temporal::time(bytes, temporal::decimals(self.width, 10)).map(|text| self.other(text)),
            "DATETIME" | "TIMESTAMP" => {
                temporal::date_time(bytes, temporal::decimals(self.width, 19)).map(|text| self.other(text))
            }
            "YEAR" => temporal::year(bytes, self.width).map(|text| self.other(text)),
            "DECIMAL" | "JSON" => text(bytes).map(|text| self.other(text)),
            "GEOMETRY" => {
                return Err("there is no value for GEOMETRY; select ST_AsText(..) or ST_AsBinary(..) of it".to_owned());
            }
            name if name.ends_with("INT") || name.ends_with("INT UNSIGNED") => self.integer(bytes),
            _ if self.is_text => text(bytes).map(Value::Text),
            _ => Some(Value::Bytes(bytes.to_vec())),
        };
        value.ok_or_else(|| {
            let way = if self.is_text { "CAST(.. AS BINARY)" } else { "CAST(.. AS CHAR)" };
            format!(
                "the server sent a {} that cannot be read ({} bytes); select {way} of it",
                self.type_name,
                bytes.len()
            )
        })
    }

    fn integer(self, bytes: &[u8]) -> Option<Value> {
        if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
            return None;
        }
        let negative = !self.is_unsigned && bytes.last()? & 0x80 != 0;
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        Some(match self.is_unsigned {
            true => self.fitting(u64::from_le_bytes(whole)),
            false => Value::Int64(i64::from_le_bytes(whole)),
        })
    }

    /// Returns an `Int64` if the number fits, otherwise its digits as `Other`.
    fn fitting(self, number: u64) -> Value {
        i64::try_from(number).map_or_else(|_| self.other(number.to_string()), Value::Int64)
    }

    fn other(self, text: String) -> Value {
        Value::Other { type_name: self.type_name.to_owned(), text }
    }
}

/// Decodes the bits of a BIT column, which are padded to whole bytes.
fn big_endian(bytes: &[u8]) -> Option<u64> {
    let from = 8usize.checked_sub(bytes.len())?;
    let mut whole = [0; 8];
    whole[from..].copy_from_slice(bytes);
    Some(u64::from_be_bytes(whole))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Returns the display width of a column, which determines the number of decimals of its times: the server sends a
/// value without its trailing zeros. The driver shows the width only in its `Debug` output. If a later version of the
/// driver does not, times keep their value but lose trailing zeros, and the test `the_driver_still_shows_widths` fails.
fn width(info: &MySqlTypeInfo) -> Option<u32> {
    let shown = format!("{info:?}");
    let (_, rest) = shown.split_once("max_size: Some(")?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 30] = [
        "BOOLEAN",
        "TINYINT",
        "TINYINT UNSIGNED",
        "SMALLINT",
        "SMALLINT UNSIGNED",
        "INT",
        "INT UNSIGNED",
        "MEDIUMINT",
        "MEDIUMINT UNSIGNED",
        "BIGINT",
        "BIGINT UNSIGNED",
        "FLOAT",
        "DOUBLE",
        "TIMESTAMP",
        "DATE",
        "TIME",
        "DATETIME",
        "YEAR",
        "BIT",
        "ENUM",
        "DECIMAL",
        "GEOMETRY",
        "JSON",
        "BINARY",
        "VARBINARY",
        "CHAR",
        "VARCHAR",
        "TEXT",
        "BLOB",
        "",
    ];

    fn shape(type_name: &str) -> Shape<'_> {
        let is_text = matches!(type_name, "CHAR" | "VARCHAR" | "TEXT" | "ENUM");
        Shape { type_name, is_text, is_unsigned: type_name.ends_with(" UNSIGNED"), width: None }
    }

    fn other(type_name: &str, text: &str) -> Value {
        Value::Other { type_name: type_name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn bytes_become_values() {
        let table: [(&str, &[u8], Value); 21] = [
            ("BOOLEAN", &[0], Value::Boolean(false)),
            ("BOOLEAN", &[1], Value::Boolean(true)),
            ("BOOLEAN", &[255], Value::Int64(-1)),
            ("TINYINT", &[128], Value::Int64(-128)),
            ("TINYINT UNSIGNED", &[128], Value::Int64(128)),
            ("SMALLINT UNSIGNED", &[255, 255], Value::Int64(65535)),
            ("MEDIUMINT", &[251, 255, 255, 255], Value::Int64(-5)),
            ("INT UNSIGNED", &[255; 4], Value::Int64(u32::MAX.into())),
            ("BIGINT", &[255; 8], Value::Int64(-1)),
            ("BIGINT UNSIGNED", &[255, 255, 255, 255, 255, 255, 255, 127], Value::Int64(i64::MAX)),
            ("BIGINT UNSIGNED", &[255; 8], other("BIGINT UNSIGNED", "18446744073709551615")),
            ("BIT", &[5], Value::Int64(5)),
            ("BIT", &[1, 0], Value::Int64(256)),
            ("BIT", &[255; 8], other("BIT", "18446744073709551615")),
            ("FLOAT", &0.1f32.to_le_bytes(), Value::Float32(0.1)),
            ("DOUBLE", &0.1f64.to_le_bytes(), Value::Float64(0.1)),
            ("DECIMAL", b"-1.50", other("DECIMAL", "-1.50")),
            ("DATE", &[0], other("DATE", "0000-00-00")),
            ("JSON", b"{\"a\": 1}", other("JSON", "{\"a\": 1}")),
            ("TEXT", "é\0".as_bytes(), Value::Text("é\0".into())),
            ("BLOB", &[0, 255], Value::Bytes(vec![0, 255])),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(shape(name).decode(bytes), Ok(expected), "{name} {bytes:?}");
        }
        let unsigned = Shape { is_unsigned: true, ..shape("BOOLEAN") };
        assert_eq!(unsigned.decode(&[200]), Ok(Value::Int64(200)), "TINYINT(1) UNSIGNED");
    }

    #[test]
    fn errors_of_unreadable_values_contain_a_remedy() {
        let why = |name: &str, bytes: &[u8]| shape(name).decode(bytes).err().unwrap_or_default();
        assert!(why("GEOMETRY", &[0; 25]).contains("ST_AsText"));
        assert!(why("CHAR", &[255]).contains("CAST(.. AS BINARY)"));
        assert!(why("TIME", &[3]).contains("CAST(.. AS CHAR)"));
    }

    #[test]
    fn the_driver_still_shows_widths() {
        assert_eq!(width(&<bool as Type<MySql>>::type_info()), Some(1));
        assert_eq!(width(&<i64 as Type<MySql>>::type_info()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_value_or_an_error(
            name in prop::sample::select(NAMES.to_vec()),
            width in prop::option::of(any::<u32>()),
            (is_text, is_unsigned) in any::<(bool, bool)>(),
            length in prop::option::of(0u8..14),
            mut bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            if let (Some(length), Some(first)) = (length, bytes.first_mut()) {
                *first = length;
                bytes.truncate(usize::from(length) + 1);
            }
            let read = Shape { type_name: name, is_text, is_unsigned, width }.decode(&bytes);
            prop_assert!(read.is_ok() || read.is_err_and(|why| why.contains(name)));
        }
    }
}
