//! The types of single values. Each function reads one type, without knowing the key. It returns the reason for a
//! refusal as a predicate, with the accepted form ("is not an address; write it as ...").

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{Access, DifferenceKind, Image, Isolation, PageScan, image, problem::suggest, tree::Value};

/// The methods of routes. CONNECT has no path to route by.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    let accepted = "is not a boolean; write it as true or false";
    value.as_boolean().ok_or_else(|| accepted.to_owned())
}

pub(super) fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let number = value.as_integer().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            format!("is not a whole number from {first} to {last}")
        })
    }
}

/// Reads text that is not empty.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value.as_text() {
        Some("") => Err("is empty".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err("is not text; write it in quotes".to_owned()),
    }
}

/// Reads a path. A relative one is based on `folder`.
pub(super) fn path(folder: &Path) -> impl Fn(&Value) -> Result<PathBuf, String> {
    |value| Ok(folder.join(text(value)?))
}

/// Reads the path of a component, or a reference to it in a registry.
pub(super) fn source(folder: &Path) -> impl Fn(&Value) -> Result<(PathBuf, Option<Image>), String> {
    |value| match text(value)? {
        text if text.starts_with(image::SCHEME) => Ok((PathBuf::from(&text), Some(text.parse()?))),
        text => Ok((folder.join(text), None)),
    }
}

pub(super) fn address(value: &Value) -> Result<SocketAddr, String> {
    let address = value.as_text().and_then(|text| text.parse().ok());
    address.ok_or_else(|| r#"is not an address; write it as "127.0.0.1:8080""#.to_owned())
}

pub(super) fn access(value: &Value) -> Result<Access, String> {
    word(value, "an access mode", Access::ALL, Access::as_str)
}

pub(super) fn isolation(value: &Value) -> Result<Isolation, String> {
    word(value, "an isolation level", Isolation::ALL, Isolation::as_str)
}

pub(super) fn page_scan(value: &Value) -> Result<PageScan, String> {
    word(value, "a way to scan pages", PageScan::ALL, PageScan::as_str)
}

pub(super) fn difference(value: &Value) -> Result<DifferenceKind, String> {
    word(value, "a kind of difference", DifferenceKind::ALL, DifferenceKind::as_str)
}

/// Reads a word that stands for one of the values in `all`.
fn word<T: Copy, const N: usize>(
    value: &Value,
    what: &str,
    all: [T; N],
    as_str: fn(T) -> &'static str,
) -> Result<T, String> {
    let word = text(value)?;
    all.into_iter().find(|meant| as_str(*meant) == word).ok_or_else(|| {
        let end = suggest(&word, all.map(as_str));
        format!("is not {what}; {end}")
    })
}

/// Reads a method, and converts it to upper case.
pub(super) fn method(value: &Value) -> Result<String, String> {
    let word = text(value)?.to_uppercase();
    if METHODS.contains(&word.as_str()) {
        Ok(word)
    } else {
        Err(format!("is not a method; {}", suggest(&word, METHODS)))
    }
}

/// Reads a final status or a class of them.
pub(super) fn statuses(value: &Value) -> Result<RangeInclusive<u16>, String> {
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

/// Reads a path pattern in the syntax of `matchit`.
pub(super) fn pattern(value: &Value) -> Result<String, String> {
    let pattern = request_path(value)?;
    match matchit::Router::new().insert(&pattern, ()) {
        Ok(()) => Ok(pattern),
        Err(error) => {
            let reason = error.to_string().to_lowercase();
            Err(format!("is not a path pattern: {reason}; write it as \"/items/{{id}}\" or \"/files/{{*path}}\""))
        }
    }
}

/// Reads the path prefix of a static folder: `/`, or whole segments without a slash at the end.
pub(super) fn prefix(value: &Value) -> Result<String, String> {
    let path = request_path(value)?;
    if path.contains(['{', '}', '*']) {
        return Err("is a prefix and not a pattern; write it as \"/static\", which serves every path below".to_owned());
    }
    let segments = path.strip_suffix('/').unwrap_or(&path);
    // Clients resolve `.` and `..`, and percent-encode all other characters, before they send a path.
    let is_sent = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
    let is_segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(is_sent);
    match segments.is_empty() || segments.split('/').skip(1).all(is_segment) {
        true => Ok(if segments.is_empty() { path } else { segments.to_owned() }),
        false => Err("is not the path of a request; write it as \"/static\", with a space as %20".to_owned()),
    }
}

/// Reads a path or a path pattern.
fn request_path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    if !path.starts_with('/') {
        return Err(format!("does not start with `/`; write it as \"/{path}\""));
    }
    if path.contains(['?', '#']) {
        return Err("has a `?` or `#`, which are no part of a path".to_owned());
    }
    Ok(path)
}

/// Reads the target of a request: a path with its query.
pub(super) fn target(value: &Value) -> Result<String, String> {
    let target = text(value)?;
    // `app::rehearse` parses the target again, so only accept a valid `Uri`.
    match target.starts_with('/') && !target.contains('#') && target.parse::<http::Uri>().is_ok() {
        true => Ok(target),
        false => Err("is not a path; write it as \"/items?page=1\", with a space as %20".to_owned()),
    }
}

/// Reads a name that the file must define. `what` is the kind of thing, for messages.
pub(super) fn one_of(what: &str, names: &[String]) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let name = text(value)?;
        if names.contains(&name) {
            return Ok(name);
        }
        let end = suggest(&name, names.iter().map(String::as_str));
        Err(format!("is not a {what} of this file; {end}"))
    }
}

/// Reads a component's setting: text as it is, other values as JSON.
pub(super) fn setting(value: &Value) -> Result<String, String> {
    match value.as_text() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let json = value.to_json().map(|json| json.to_string());
            json.ok_or_else(|| "has a number that JSON cannot write".to_owned())
        }
    }
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
            assert_eq!(statuses(&written(text)).ok(), expected, "{text}");
        }
        assert_eq!(statuses(&Value::Integer(404)), Ok(404..=404));
    }

    #[test]
    fn prefixes() {
        for (text, expected) in [
            ("/", Ok("/")),
            ("/static", Ok("/static")),
            ("/static/", Ok("/static")),
            ("/a/b-c/%C3%A9", Ok("/a/b-c/%C3%A9")),
            ("", Err("is empty")),
            ("no-slash", Err("does not start with `/`")),
            ("/a?b", Err("no part of a path")),
            ("/zz/{*p}", Err("not a pattern")),
            ("/a{b", Err("not a pattern")),
            ("/a}b", Err("not a pattern")),
            ("/a/*", Err("not a pattern")),
            ("//", Err("not the path of a request")),
            ("/a//b", Err("not the path of a request")),
            ("/a/../b", Err("not the path of a request")),
            ("/.", Err("not the path of a request")),
            ("/a b", Err("not the path of a request")),
            ("/\u{e9}", Err("not the path of a request")),
            ("/a\n", Err("not the path of a request")),
            ("/a\\b", Err("not the path of a request")),
        ] {
            match (prefix(&written(text)), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn targets() {
        for (text, accepted) in [
            ("/", true),
            ("/items?page=1&q=%20", true),
            ("//x", true),
            ("items", false),
            ("/a b", false),
            ("/a#b", false),
            ("/a\nb", false),
            ("/a\u{7f}", false),
            ("/<>", false),
        ] {
            assert_eq!(target(&written(text)).is_ok(), accepted, "{text}");
        }
        assert!(target(&written(&format!("/{}", "x".repeat(70_000)))).is_err());
    }

    #[test]
    fn patterns() {
        for (text, reason) in [
            ("/", None),
            ("/items/{id}/parts/{part}", None),
            ("/files/{*path}", None),
            ("items", Some("does not start with `/`")),
            ("/items?x=1", Some("no part of a path")),
            ("/items/{id", Some("not a path pattern")),
            ("/{*path}/x", Some("not a path pattern")),
        ] {
            let found = pattern(&written(text)).err();
            assert_eq!(found.is_some(), reason.is_some(), "{text}: {found:?}");
            assert!(found.unwrap_or_default().contains(reason.unwrap_or_default()));
        }
    }
}
