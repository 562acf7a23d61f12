//! Durations and sizes: whole numbers with a unit.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{tree::Value, types::Type};

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Maximum duration, in milliseconds: 500 hours. SQLite and PostgreSQL have 32 bits for the milliseconds of a timeout,
/// and no timeout of the host needs more.
const MAX_DURATION: u64 = 500 * 3_600_000;

/// Type of a duration, which may be `"0s"`.
pub(super) fn duration() -> Type<'static, Duration> {
    Type::new("duration", duration_schema(), read_duration)
}

/// Type of a duration that is greater than 0.
pub(super) fn positive_duration() -> Type<'static, Duration> {
    Type::new("duration > 0", duration_schema(), read_positive_duration)
}

pub(super) fn duration_schema() -> Json {
    json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
}

/// Type of a number of bytes that is greater than 0.
pub(super) fn size() -> Type<'static, usize> {
    Type::new("size", size_schema(), read_size)
}

pub(super) fn size_schema() -> Json {
    json!({ "type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(KiB|MiB|GiB)$" })
}

/// Type of the maximum memory of an instance, in bytes: from 64 KiB, the size of a WebAssembly page, to 1 GiB.
pub(super) fn memory() -> Type<'static, usize> {
    Type::new("size, 64 KiB to 1 GiB", size_schema(), read_memory)
}

/// Returns a duration as it is written in the file.
pub(super) fn written_duration(duration: Duration) -> Value {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    written(millis, &DURATIONS)
}

/// Returns a size as it is written in the file. One that is not a multiple of 1 KiB is a number.
pub(super) fn written_size(bytes: usize) -> Value {
    written(bytes as u64, &[&[("", 1)], &SIZES[..]].concat())
}

/// Returns a number with the largest of the units that divides it. The units are in ascending order.
fn written(number: u64, units: &[(&str, u64)]) -> Value {
    let fitting = units.iter().rev().find(|(_, factor)| number.is_multiple_of(*factor));
    match fitting {
        Some(("", _)) | None => Value::Foreign(number.to_string()),
        Some((unit, factor)) => Value::Foreign(format!("{}{unit}", number / factor)),
    }
}

/// Parses a number with one of these units, and converts it to the unit with the factor 1.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

pub(super) fn read_duration(value: &Value) -> Result<Duration, String> {
    match value.as_text().and_then(|text| quantity(text, &DURATIONS)) {
        Some(millis) if millis <= MAX_DURATION => Ok(Duration::from_millis(millis)),
        Some(_) => Err(r#"is longer than "500h""#.to_owned()),
        None => Err(r#"is not a duration; write it as "500ms", "30s", "5m" or "1h""#.to_owned()),
    }
}

pub(super) fn read_positive_duration(value: &Value) -> Result<Duration, String> {
    match read_duration(value)? {
        // In other programs 0 may mean "no limit", so it is rejected as ambiguous.
        Duration::ZERO => Err(r#"must be greater than 0; write it as "500ms", "30s", "5m" or "1h""#.to_owned()),
        duration => Ok(duration),
    }
}

pub(super) fn read_size(value: &Value) -> Result<usize, String> {
    let bytes = match value.as_integer() {
        Some(bytes) => u64::try_from(bytes).ok(),
        None => value.as_text().and_then(|text| quantity(text, &SIZES)),
    };
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| r#"is not a size; write it as 65536, "64KiB", "16MiB" or "1GiB""#.to_owned())
}

fn read_memory(value: &Value) -> Result<usize, String> {
    let bytes = read_size(value)?;
    if (64 << 10..=1 << 30).contains(&bytes) { Ok(bytes) } else { Err("is not a size from 64KiB to 1GiB".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn durations() {
        for (written, millis) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1h30m", None),
            ("99999999999999999h", None),
            ("500h", Some(1_800_000_000)),
            ("501h", None),
            ("18446744073709551615ms", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(read_duration(&text(written)).ok(), expected, "{written}");
        }
        assert!(read_positive_duration(&text("0ms")).is_err());
        assert!(read_duration(&Value::Integer(30)).is_err());
    }

    #[test]
    fn sizes() {
        for (written, bytes) in [
            (text("64KiB"), Some(65_536)),
            (text("16MiB"), Some(16 << 20)),
            (text("1GiB"), Some(1 << 30)),
            (Value::Integer(1), Some(1)),
            (Value::Foreign("65536".to_owned()), Some(65_536)),
            (text("65536"), None),
            (text("64KB"), None),
            (text("0KiB"), None),
            (Value::Integer(0), None),
            (Value::Integer(-1), None),
            (Value::Boolean(true), None),
        ] {
            assert_eq!(read_size(&written).ok(), bytes, "{written}");
        }
        for (written, accepted) in [("64KiB", true), ("1GiB", true), ("63KiB", false), ("2GiB", false)] {
            assert_eq!(read_memory(&text(written)).is_ok(), accepted, "{written}");
        }
    }

    #[test]
    fn quantities_are_written_in_their_largest_unit() {
        for (millis, text) in [(0, "0h"), (500, "500ms"), (75_000, "75s"), (120_000, "2m"), (3_600_000, "1h")] {
            let value = written_duration(Duration::from_millis(millis));
            assert_eq!(value.as_text(), Some(text));
            assert_eq!(read_duration(&value), Ok(Duration::from_millis(millis)));
        }
        for (bytes, text) in [(65_536, "64KiB"), (16 << 20, "16MiB"), (1 << 30, "1GiB"), (1000, "1000")] {
            let value = written_size(bytes);
            assert_eq!(value.as_text(), Some(text));
            assert_eq!(read_size(&value), Ok(bytes));
        }
    }
}
