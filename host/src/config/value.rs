//! Types of single values.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::{
    image::{self, Image},
    mask,
    problem::{closest, suggest},
    tree::Value,
    types::Type,
};

/// The methods of routes. CONNECT has no path to route by.
pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

fn string() -> Json {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn string_like(pattern: &str) -> Json {
    json!({ "type": "string", "pattern": pattern })
}

pub(super) fn boolean() -> Type<'static, bool> {
    Type::new("boolean", json!({ "type": "boolean" }), |value| {
        let accepted = "is not a boolean; write it as true or false";
        value.as_boolean().ok_or_else(|| accepted.to_owned())
    })
}

pub(super) fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> Type<'static, T> {
    let (first, last) = range.into_inner();
    let name = format!("integer, {} to {}", grouped(first), grouped(last));
    let schema = json!({ "type": "integer", "minimum": first, "maximum": last });
    Type::new(name, schema, move |value| {
        let number = value.as_integer().filter(|number| (first..=last).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("is not a whole number from {first} to {last}"))
    })
}

/// Formats a number with commas between thousands.
fn grouped(number: i64) -> String {
    match number {
        -999..=999 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), (number % 1000).abs()),
    }
}

/// Type of text that is not empty.
pub(super) fn text() -> Type<'static, String> {
    Type::new("text", string(), read_text)
}

/// Type of a password.
pub(super) fn password() -> Type<'static, String> {
    Type::secret("text", string(), mask::hidden, read_text)
}

pub(super) fn read_text(value: &Value) -> Result<String, String> {
    match value.as_text() {
        Some("") => Err("is empty".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err("is not text; write it in quotes".to_owned()),
    }
}

/// Type of a path. A relative one is based on `folder`.
pub(super) fn path(folder: &Path) -> Type<'_, PathBuf> {
    Type::new("path", string(), |value| Ok(folder.join(read_text(value)?)))
}

/// Type of the path of a component, or of a reference to it in a registry.
pub(super) fn source(folder: &Path) -> Type<'_, (PathBuf, Option<Image>)> {
    Type::new("path or reference", string(), |value| match read_text(value)? {
        text if text.starts_with(image::SCHEME) => Ok((PathBuf::from(&text), Some(text.parse()?))),
        text => match text.split_once(':') {
            Some((scheme, _)) if text.contains("://") || closest(scheme, ["oci"]).is_some() => {
                Err("is neither a path nor a reference; write it as \"oci://HOST/REPOSITORY:TAG\"".to_owned())
            }
            _ => Ok((folder.join(text), None)),
        },
    })
}

pub(super) fn address() -> Type<'static, SocketAddr> {
    Type::new("address", string_like(":[0-9]+$"), read_address)
}

pub(super) fn read_address(value: &Value) -> Result<SocketAddr, String> {
    let address = value.as_text().and_then(|text| text.parse().ok());
    address.ok_or_else(|| r#"is not an address; write it as "127.0.0.1:8080""#.to_owned())
}

/// Reads a network in CIDR notation, or a single address.
pub(super) fn read_network(value: &Value) -> Result<IpNet, String> {
    let text = value.as_text().unwrap_or_default();
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.ok_or_else(|| r#"is not a network; write it as "10.0.0.0/8", "fd00::/8" or "127.0.0.1""#.to_owned())
}

/// Type of a word that stands for one of the values in `all`. `kind` is the kind of value, for messages.
pub(super) fn word<T: Copy + 'static, const N: usize>(
    kind: &'static str,
    all: [T; N],
    as_str: fn(T) -> &'static str,
) -> Type<'static, T> {
    let words = all.map(as_str);
    let quoted = words.map(|word| format!("`\"{word}\"`"));
    let name = match &quoted[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    };
    Type::new(name, json!({ "type": "string", "enum": words.as_slice() }), move |value| {
        let word = read_text(value)?;
        let found = all.into_iter().find(|meant| as_str(*meant) == word);
        found.ok_or_else(|| format!("is not {kind}; {}", suggest(&word, words)))
    })
}

/// Type of a method, which is converted to upper case.
pub(super) fn method() -> Type<'static, String> {
    Type::new("text", string(), |value| {
        let word = read_text(value)?.to_uppercase();
        if METHODS.contains(&word.as_str()) {
            Ok(word)
        } else {
            Err(format!("is not a method; {}", suggest(&word, METHODS)))
        }
    })
}

/// Type of a set of final statuses, as a list of statuses and classes of them.
pub(super) fn statuses() -> Type<'static, Vec<RangeInclusive<u16>>> {
    let schema = json!({
        "type": ["integer", "string"],
        "minimum": 200,
        "maximum": 599,
        "pattern": "^([2-5]xx|[2-5][0-9][0-9])$",
    });
    Type::list(Type::new("status", schema, read_statuses)).named("status set")
}

/// Type of a name that the file must define. `kind` is the kind of thing: "component".
pub(super) fn one_of<'t>(kind: &'static str, names: &'t [String]) -> Type<'t, String> {
    Type::new(format!("name of a {kind}"), string(), move |value| {
        let name = read_text(value)?;
        if names.contains(&name) {
            return Ok(name);
        }
        let end = suggest(&name, names.iter().map(String::as_str));
        Err(format!("is not a {kind} of this file; {end}"))
    })
}

/// Type of a component's setting: text as it is, other values as JSON. It may be a secret.
pub(super) fn setting() -> Type<'static, String> {
    // Messages show the value as it was written, and never a resolved reference.
    let read = |value: &Value| match value.as_text() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let json = value.to_json().map(|json| json.to_string());
            json.ok_or_else(|| "has a number that JSON does not support".to_owned())
        }
    };
    Type::secret("any", json!({}), mask::hidden, read)
}

/// Reads a final status or a class of them.
fn read_statuses(value: &Value) -> Result<RangeInclusive<u16>, String> {
    let written = match value {
        Value::Integer(status) => status.to_string(),
        other => other.as_text().unwrap_or_default().to_owned(),
    };
    let range = match written.as_bytes() {
        [class @ b'2'..=b'5', b'x', b'x'] => {
            let first = u16::from(class - b'0') * 100;
            Some(first..=first + 99)
        }
        _ => match written.parse() {
            Ok(status @ 200..=599) => Some(status..=status),
            _ => None,
        },
    };
    range.ok_or_else(|| r#"is not a status from 200 to 599; write it as "2xx" or "404""#.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn statuses_and_their_classes() {
        for (text, expected) in [
            ("2xx", Some(200..=299)),
            ("5xx", Some(500..=599)),
            ("404", Some(404..=404)),
            ("1xx", None),
            ("6xx", None),
            ("2XX", None),
            ("199", None),
            ("600", None),
            ("", None),
        ] {
            assert_eq!(read_statuses(&written(text)).ok(), expected, "{text}");
        }
        assert_eq!(read_statuses(&Value::Integer(404)), Ok(404..=404));
    }

    #[test]
    fn thousands_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-10_000, "-10,000"), (1_002_003, "1,002,003")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
