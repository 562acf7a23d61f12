//! Encoder for rows as CSV (RFC 4180), for all engines.

use std::mem;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::value::Value;

/// Encoder that writes rows as CSV while they arrive. The first record has the names of the columns.
#[derive(Debug, Default)]
pub struct CsvRows {
    text: String,
    has_names: bool,
}

impl CsvRows {
    /// Returns whether the record with the names of the columns is missing.
    pub fn lacks_names(&self) -> bool {
        !self.has_names
    }

    /// Writes the record with the names of the columns.
    pub fn names<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.has_names = true;
        for (index, name) in names.enumerate() {
            self.separate(index);
            self.field(name);
        }
        self.end_row();
    }

    /// Writes the value of the column at `index`. NULL is an empty field, the empty text is `""`, and bytes are in
    /// base64.
    pub fn value(&mut self, index: usize, value: &Value) {
        self.separate(index);
        match value {
            Value::Null => {}
            Value::Boolean(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Int64(value) => self.text.push_str(itoa::Buffer::new().format(*value)),
            Value::Float32(value) => self.number(*value, f64::from(*value)),
            Value::Float64(value) => self.number(*value, *value),
            Value::Bytes(bytes) if bytes.is_empty() => self.field(""),
            Value::Bytes(bytes) => BASE64_STANDARD.encode_string(bytes, &mut self.text),
            Value::Text(text) | Value::Other { text, .. } => self.field(text),
        }
    }

    /// Ends the record.
    pub fn end_row(&mut self) {
        self.text.push_str("\r\n");
    }

    /// Takes the text written so far out of the encoder. Further rows continue the text.
    pub fn take(&mut self) -> String {
        mem::take(&mut self.text)
    }

    /// Returns the number of bytes written since the last call of [`CsvRows::take`].
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Returns the text that was not taken.
    pub fn finish(self) -> String {
        self.text
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.text.push(',');
        }
    }

    /// Writes a number with the shortest digits that parse back to it, or `NaN`, `Infinity` or `-Infinity`.
    fn number(&mut self, value: impl serde::Serialize, class: f64) {
        match serde_json::to_string(&value) {
            Ok(digits) if class.is_finite() => self.text.push_str(&digits),
            _ if class.is_nan() => self.text.push_str("NaN"),
            _ => self.text.push_str(if class > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }

    fn field(&mut self, text: &str) {
        if !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) {
            return self.text.push_str(text);
        }
        self.text.push('"');
        for (index, piece) in text.split('"').enumerate() {
            if index > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(piece);
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_fields() {
        let other = |text: &str| Value::Other { type_name: "NUMERIC".into(), text: text.into() };
        let table = [
            (Value::Null, ""),
            (Value::Text(String::new()), "\"\""),
            (Value::Text("plain text é".into()), "plain text é"),
            (Value::Text("a,b".into()), "\"a,b\""),
            (Value::Text("a\"b\"".into()), "\"a\"\"b\"\"\""),
            (Value::Text("a\r\nb".into()), "\"a\r\nb\""),
            (Value::Boolean(true), "true"),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::Float32(0.1), "0.1"),
            (Value::Float64(0.1), "0.1"),
            (Value::Float64(f64::NAN), "NaN"),
            (Value::Float64(f64::NEG_INFINITY), "-Infinity"),
            (Value::Float32(f32::INFINITY), "Infinity"),
            (Value::Bytes(vec![0, 255]), "AP8="),
            (Value::Bytes(Vec::new()), "\"\""),
            (other("1.50"), "1.50"),
        ];
        for (value, expected) in table {
            let mut csv = CsvRows::default();
            csv.value(0, &value);
            csv.value(1, &Value::Null);
            csv.end_row();
            assert_eq!(csv.finish(), format!("{expected},\r\n"), "{value:?}");
        }
    }

    #[test]
    fn the_first_record_has_the_names() {
        let mut csv = CsvRows::default();
        assert!(csv.lacks_names());
        csv.names(["id", "a,b", ""].into_iter());
        assert!(!csv.lacks_names());
        assert_eq!(csv.finish(), "id,\"a,b\",\"\"\r\n");
    }
}
