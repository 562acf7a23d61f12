//! Encoder for rows as JSON, for all engines.

use std::{fmt::Write, mem};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    error::{DbError, Kind},
    value::Value,
};

/// Arrangement of the rows in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An array with one object for each row.
    Array,
    /// One object on each line.
    Lines,
    /// The object of the first row. The text is empty if there is no row.
    First,
}

/// Encoder that writes rows as JSON objects while they arrive.
#[derive(Debug)]
pub struct JsonRows {
    text: String,
    layout: Layout,
    has_rows: bool,
    /// `"name":` for each column, escaped once for all rows.
    keys: Vec<String>,
}

impl JsonRows {
    /// Returns an encoder without rows.
    pub fn new(layout: Layout) -> Self {
        let text = String::from(if layout == Layout::Array { "[" } else { "" });
        Self { text, layout, has_rows: false, keys: Vec::new() }
    }

    /// Returns whether the text has all rows of its layout, so that further rows are dropped.
    pub fn is_full(&self) -> bool {
        self.layout == Layout::First && self.has_rows
    }

    /// Starts a row. `names` is used for the first row only; every row of a result has the same columns.
    pub fn start_row<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        if !mem::replace(&mut self.has_rows, true) {
            self.keys.extend(names.map(|name| {
                let mut key = String::with_capacity(name.len() + 3);
                write_string(&mut key, name);
                key.push(':');
                key
            }));
        } else if self.layout == Layout::Array {
            self.text.push(',');
        }
        self.text.push('{');
    }

    /// Writes the value of the column at `index`: bytes in base64, values of type JSON unchanged.
    pub fn value(&mut self, index: usize, value: &Value) -> Result<(), DbError> {
        if index > 0 {
            self.text.push(',');
        }
        let key = &self.keys[index];
        self.text.push_str(key);
        let text = &mut self.text;
        match value {
            Value::Null => text.push_str("null"),
            Value::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Int64(value) => text.push_str(itoa::Buffer::new().format(*value)),
            Value::Float32(value) if value.is_finite() => write_number(text, value),
            Value::Float64(value) if value.is_finite() => write_number(text, value),
            Value::Float32(_) | Value::Float64(_) => {
                let what = "holds a number that is not finite, which JSON cannot express";
                let message = format!("column {key} {what}; use `query` or convert it in SQL");
                return Err(DbError::new(Kind::Data, message));
            }
            Value::Bytes(bytes) => {
                text.push('"');
                BASE64_STANDARD.encode_string(bytes, text);
                text.push('"');
            }
            Value::Other { type_name, text: json } if type_name == "JSON" || type_name == "JSONB" => {
                text.push_str(json)
            }
            Value::Text(value) | Value::Other { text: value, .. } => write_string(text, value),
        }
        Ok(())
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        self.text.push_str(if self.layout == Layout::Lines { "}\n" } else { "}" });
    }

    /// Takes the text written so far out of the encoder. Further rows continue the text.
    pub fn take(&mut self) -> String {
        mem::take(&mut self.text)
    }

    /// Returns the number of bytes written since the last call of [`JsonRows::take`].
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Ends the text, and returns the part that was not taken.
    pub fn finish(mut self) -> String {
        if self.layout == Layout::Array {
            self.text.push(']');
        }
        self.text
    }
}

/// Writes a finite number with the shortest digits that parse back to the same number.
fn write_number(out: &mut String, value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(number) => out.push_str(&number),
        Err(_) => out.push_str("null"),
    }
}

/// Writes a JSON string. Most text needs no escapes, so runs without escapes are copied whole.
fn write_string(out: &mut String, value: &str) {
    out.reserve(value.len() + 2);
    out.push('"');
    let mut clean = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&value[clean..at]);
        match escape {
            "" => write!(out, "\\u{byte:04x}").unwrap_or_default(),
            escape => out.push_str(escape),
        }
        clean = at + 1;
    }
    out.push_str(&value[clean..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(rows: &[&[Value]]) -> Result<String, DbError> {
        let mut json = JsonRows::new(Layout::Array);
        for row in rows {
            json.start_row(["a", "b \"c\""].into_iter());
            for (index, value) in row.iter().enumerate() {
                json.value(index, value)?;
            }
            json.end_row();
        }
        Ok(json.finish())
    }

    #[test]
    fn rows_become_json_that_any_parser_reads_back() -> Result<(), Box<dyn std::error::Error>> {
        assert_eq!(json(&[])?, "[]");
        let text = json(&[
            &[Value::Int64(i64::MIN), Value::Text("q\"\\\u{1}\n\u{7f}é\u{2028}".into())],
            &[Value::Bytes(vec![0, 255]), Value::Null],
            &[Value::Float64(0.1), Value::Boolean(true)],
            &[
                Value::Other { type_name: "JSON".into(), text: "{\"x\":[1]}".into() },
                Value::Other { type_name: "NUMERIC".into(), text: "1.50".into() },
            ],
        ])?;
        let parsed: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(
            parsed,
            serde_json::json!([
                {"a": i64::MIN, "b \"c\"": "q\"\\\u{1}\n\u{7f}é\u{2028}"},
                {"a": "AP8=", "b \"c\"": null},
                {"a": 0.1, "b \"c\"": true},
                {"a": {"x": [1]}, "b \"c\"": "1.50"},
            ])
        );
        Ok(())
    }

    #[test]
    fn the_layout_separates_rows() -> Result<(), DbError> {
        let table = [
            (Layout::Array, ["[]", "[{\"n\":1}]", "[{\"n\":1},{\"n\":2}]"]),
            (Layout::Lines, ["", "{\"n\":1}\n", "{\"n\":1}\n{\"n\":2}\n"]),
            (Layout::First, ["", "{\"n\":1}", "{\"n\":1}"]),
        ];
        for (layout, expected) in table {
            for (rows, expected) in expected.into_iter().enumerate() {
                let mut json = JsonRows::new(layout);
                for row in 1..=rows {
                    if !json.is_full() {
                        json.start_row(["n"].into_iter());
                        json.value(0, &Value::Int64(row as i64))?;
                        json.end_row();
                    }
                }
                assert_eq!(json.finish(), expected, "{layout:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() -> Result<(), Box<dyn std::error::Error>> {
        let table = [
            (Value::Float32(0.1), "0.1"),
            (Value::Float32(-0.0), "-0.0"),
            (Value::Float32(16_777_216.0), "16777216.0"),
            (Value::Float32(f32::MAX), "3.4028235e+38"),
            (Value::Float32(f32::from_bits(1)), "1e-45"),
            (Value::Float64(f64::from(0.1f32)), "0.10000000149011612"),
        ];
        for (value, expected) in table {
            let mut json = JsonRows::new(Layout::Array);
            json.start_row(["n"].into_iter());
            json.value(0, &value)?;
            json.end_row();
            assert_eq!(json.finish(), format!("[{{\"n\":{expected}}}]"));
        }
        Ok(())
    }

    #[test]
    fn rejects_numbers_that_json_cannot_express() {
        for value in [f64::NAN, f64::INFINITY] {
            assert_eq!(json(&[&[Value::Float64(value), Value::Null]]).map_err(|e| e.kind), Err(Kind::Data));
        }
    }
}
