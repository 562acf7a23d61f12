//! Lossless JSON for the contract's values: `{"t":"int64","v":"123"}`, `{"t":"float64","v":"NaN"}`,
//! `{"t":"bytes","v":"00ff"}`, `{"t":"other","v":{"type_name":"NUMERIC","text":"1.10"}}`, `{"t":"null"}`.
//! A parameter may also be plain JSON: null, a boolean, a number or a string. `{"found":1}` stands for the number that
//! the last query returned, plus 1.

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use crate::carya::host::database::Value;
use crate::carya::host::types::RowsFormat;

#[derive(Deserialize)]
#[serde(untagged)]
enum Param {
    Null(()),
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Text(String),
    Typed(Value),
}

impl From<Param> for Value {
    fn from(param: Param) -> Self {
        match param {
            Param::Null(()) => Self::Null,
            Param::Boolean(value) => Self::Boolean(value),
            Param::Int64(value) => Self::Int64(value),
            Param::Float64(value) => Self::Float64(value),
            Param::Text(value) => Self::Text(value),
            Param::Typed(value) => value,
        }
    }
}

/// Replaces each `{"found":N}` by the first value of the last query among the results, plus N.
pub(crate) fn fill(params: &mut Json, results: &[Json]) {
    let first = |result: &Json| {
        let row = result.get("row").or_else(|| result.get("rows")?.get(0))?;
        row.get(0)?.get("v")?.as_str()?.parse::<i64>().ok()
    };
    for param in params.as_array_mut().into_iter().flatten() {
        if let Some(more) = param.get("found").and_then(Json::as_i64) {
            *param = results.iter().rev().find_map(first).map(|found| found + more).into();
        }
    }
}

/// Deserializes the parameters of one statement.
pub(crate) fn params<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<Value>, D::Error> {
    let params = Vec::<Param>::deserialize(json)?;
    Ok(params.into_iter().map(Value::from).collect())
}

/// Deserializes the parameters of a batch, a list of lists.
pub(crate) fn batch(json: &Json) -> serde_json::Result<Vec<Vec<Value>>> {
    Vec::<Json>::deserialize(json)?.into_iter().map(params).collect()
}

/// Returns the format of rows in a script that names none.
pub(crate) fn rows_format() -> RowsFormat {
    RowsFormat::Json
}

/// Deserializes any JSON as its text.
pub(crate) fn any<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    Json::deserialize(json).map(|json| json.to_string())
}

/// Numbers as text, because JSON has no NaN, and some parsers read 64-bit integers inexactly.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(number: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom(format!("{text} is no such number")))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a String takes everything");
        }
        serializer.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<_>>();
        bytes.ok_or_else(|| de::Error::custom(format!("{text} is not hexadecimal")))
    }
}
