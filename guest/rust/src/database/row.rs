//! Rows as any type that implements `Deserialize`.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    value::SeqDeserializer,
};

use super::{
    DbError,
    types::{Column, Value},
};

/// Reads a row as a `T`.
pub(super) fn read<T: DeserializeOwned>(columns: &[Column], values: Vec<Value>) -> Result<T, DbError> {
    let mut row = Row { columns: columns.iter(), values: values.into_iter(), name: "" };
    T::deserialize(&mut row).map_err(|RowError(reason)| {
        let place = if row.name.is_empty() { String::new() } else { format!("column `{}`: ", row.name) };
        DbError::data(format!("{place}{reason}"))
    })
}

#[derive(Debug)]
struct RowError(String);

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RowError {}

impl de::Error for RowError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Row<'a> {
    columns: std::slice::Iter<'a, Column>,
    values: std::vec::IntoIter<Value>,
    /// The column that is read, for errors. Empty before the first and after the last one.
    name: &'a str,
}

impl<'a> Row<'a> {
    fn next_column(&mut self) -> Option<&'a str> {
        let column = self.columns.next();
        self.name = column.map_or("", |column| &column.name);
        column.map(|column| &*column.name)
    }

    /// Returns the value of a row with one column.
    fn only(&mut self) -> Result<Cell, RowError> {
        let columns = self.values.len();
        match (self.values.next(), columns) {
            (Some(value), 1) => {
                self.next_column();
                Ok(Cell(value))
            }
            _ => Err(RowError(format!("expected a row with one column, but the row has {columns}"))),
        }
    }
}

/// Reads a scalar from the only column of the row.
macro_rules! only {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
            self.only()?.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Row<'_> {
    type Error = RowError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_map(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        visitor.visit_map(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        // `Vec<u8>` is a sequence too, so a row of one column of bytes is its value.
        match (self.values.len(), self.values.as_slice()) {
            (1, [Value::Bytes(_)]) => self.only()?.deserialize_seq(visitor),
            _ => visitor.visit_seq(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, RowError> {
        let columns = self.values.len();
        if columns != length {
            return Err(RowError(format!("expected a row with {length} columns, but the row has {columns}")));
        }
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
        deserialize_identifier
    }
}

impl<'de> MapAccess<'de> for &mut Row<'_> {
    type Error = RowError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowError> {
        self.next_column().map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, RowError> {
        let value = self.values.next().ok_or_else(|| RowError::custom("the row has no value for it"))?;
        seed.deserialize(Cell(value))
    }
}

impl<'de> SeqAccess<'de> for &mut Row<'_> {
    type Error = RowError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, RowError> {
        self.next_column();
        self.values.next().map(|value| seed.deserialize(Cell(value))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

/// A value of a row.
struct Cell(Value);

/// Reads a number. Texts of other types, such as `NUMERIC` or an unsigned integer of 64 bits, are parsed.
macro_rules! number {
    ($($method:ident $type:ty, $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
            if let Value::Other(other) = &self.0 {
                if let Ok(number) = other.text.parse::<$type>() {
                    return visitor.$visit(number);
                }
            }
            self.deserialize_any(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Cell {
    type Error = RowError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Int64(value) => visitor.visit_i64(value),
            Value::Float64(value) => visitor.visit_f64(value),
            Value::Text(value) => visitor.visit_string(value),
            Value::Bytes(value) => visitor.visit_byte_buf(value),
            Value::Other(value) => visitor.visit_string(value.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        // SQLite stores booleans as 0 and 1, and MySQL as TINYINT.
        match self.0 {
            Value::Int64(0) => visitor.visit_bool(false),
            Value::Int64(1) => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    number! {
        deserialize_i8 i64, visit_i64;
        deserialize_i16 i64, visit_i64;
        deserialize_i32 i64, visit_i64;
        deserialize_i64 i64, visit_i64;
        deserialize_u8 u64, visit_u64;
        deserialize_u16 u64, visit_u64;
        deserialize_u32 u64, visit_u64;
        deserialize_u64 u64, visit_u64;
        deserialize_f32 f64, visit_f64;
        deserialize_f64 f64, visit_f64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, RowError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowError> {
        match self.0 {
            Value::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowError> {
        match self.0 {
            Value::Text(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Other(other) => visitor.visit_enum(other.text.into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{super::types::OtherValue, *};

    fn read_as<T: DeserializeOwned>(row: &[(&str, Value)]) -> Result<T, String> {
        let columns: Vec<_> =
            row.iter().map(|(name, _)| Column { name: (*name).to_owned(), type_name: String::new() }).collect();
        read(&columns, row.iter().map(|(_, value)| value.clone()).collect()).map_err(|error| error.message.clone())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn other(text: &str) -> Value {
        Value::Other(OtherValue { type_name: "NUMERIC".to_owned(), text: text.to_owned() })
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Open,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(i64);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Ticket {
        id: Id,
        title: String,
        state: State,
        weight: f64,
        urgent: bool,
        closed_at: Option<String>,
        photo: Vec<u8>,
    }

    #[test]
    fn a_struct_takes_columns_by_name() {
        let row = [
            ("title", text("broken")),
            ("id", Value::Int64(7)),
            ("state", text("open")),
            ("weight", other("1.50")),
            ("urgent", Value::Int64(1)),
            ("closed_at", Value::Null),
            ("photo", Value::Bytes(vec![1, 2])),
            ("unknown", Value::Float64(0.5)),
        ];
        let ticket = Ticket {
            id: Id(7),
            title: "broken".to_owned(),
            state: State::Open,
            weight: 1.5,
            urgent: true,
            closed_at: None,
            photo: vec![1, 2],
        };
        assert_eq!(read_as(&row), Ok(ticket));
    }

    #[test]
    fn a_tuple_takes_columns_by_position() {
        let row = [("z", Value::Int64(1)), ("a", text("x"))];
        assert_eq!(read_as(&row), Ok((1_i64, "x".to_owned())));
        let wrong = read_as::<(i64, String, i64)>(&row);
        assert_eq!(wrong, Err("expected a row with 3 columns, but the row has 2".to_owned()));
    }

    #[test]
    fn a_scalar_takes_the_only_column() {
        assert_eq!(read_as(&[("n", Value::Int64(3))]), Ok(3_i64));
        assert_eq!(read_as(&[("n", other("18446744073709551615"))]), Ok(u64::MAX));
        assert_eq!(read_as(&[("n", Value::Null)]), Ok(None::<i64>));
        assert_eq!(read_as(&[("n", Value::Int64(3))]), Ok(Some(Id(3))));
        assert_eq!(read_as(&[("n", Value::Bytes(vec![9]))]), Ok(vec![9_u8]));
        let row = [("a", Value::Int64(1)), ("b", Value::Int64(2))];
        let wrong = read_as::<i64>(&row);
        assert_eq!(wrong, Err("expected a row with one column, but the row has 2".to_owned()));
    }

    #[test]
    fn errors_name_the_column() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Price {
            cents: i32,
        }
        let read = |value| read_as::<Price>(&[("cents", value)]);
        assert_eq!(read(Value::Int64(5)), Ok(Price { cents: 5 }));
        let cases = [
            (text("5"), "column `cents`: invalid type: string \"5\", expected i32"),
            (Value::Int64(1 << 40), "column `cents`: invalid value: integer `1099511627776`, expected i32"),
            (Value::Null, "column `cents`: invalid type: unit value, expected i32"),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value), Err(expected.to_owned()));
        }
        assert_eq!(read_as::<Price>(&[("id", text("x"))]), Err("missing field `cents`".to_owned()));
    }
}
