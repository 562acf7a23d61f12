//! The configuration as a tree of nodes, each with its origin. This module knows TOML, but not the keys.

use std::{collections::BTreeMap, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::Origin;

/// The keys and values of a table.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and its origin.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A TOML value. Dates are text: a date without quotes is kept as it was written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// Text of the file, in which `${NAME}` is not replaced yet.
    Text(String),
    /// Text from outside the file. It has no type, so `5` is a number or text as the key requires.
    Foreign(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Parses a TOML document and returns its root table. On a syntax error, returns its place and a message.
pub(super) fn parse(text: &str) -> Result<Table, (Origin, String)> {
    let lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| lines.partition_point(|end| *end < at) + 1;
    match DeTable::parse(text) {
        Ok(root) => Ok(table(root.into_inner(), Value::Text, &|span| Origin::Line(line(span.start)))),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let column = text[..at].chars().rev().take_while(|c| *c != '\n').count() + 1;
            let message = format!("is not TOML: {}", error.message());
            Err((Origin::Point(line(at), column), message))
        }
    }
}

fn table(entries: DeTable<'_>, text: fn(String) -> Value, origin: &impl Fn(Range<usize>) -> Origin) -> Table {
    entries.into_iter().map(|(key, value)| (key.into_inner().into_owned(), node(value, text, origin))).collect()
}

fn node(value: Spanned<DeValue<'_>>, text: fn(String) -> Value, origin: &impl Fn(Range<usize>) -> Origin) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Boolean(value) => Value::Boolean(value),
        // A number out of range stays text, as it was written: it is exact in a component's settings, and rejected
        // elsewhere.
        DeValue::Integer(value) => {
            i64::from_str_radix(value.as_str(), value.radix()).map_or_else(|_| text(value.to_string()), Value::Integer)
        }
        DeValue::Float(value) => value.as_str().parse().map_or_else(|_| text(value.to_string()), Value::Float),
        DeValue::String(value) => text(value.into_owned()),
        DeValue::Datetime(value) => text(value.to_string()),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(item, text, origin)).collect()),
        DeValue::Table(entries) => Value::Table(table(entries, text, origin)),
    };
    Node { origin: origin(span), value }
}

impl Node {
    /// Returns the items of an array.
    pub(super) fn into_items(self) -> Option<Vec<Node>> {
        match self.value {
            Value::Array(items) => Some(items),
            Value::Foreign(text) => match literal(&text, &self.origin)? {
                Value::Array(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Value {
    /// Returns whether this is `{ file = "path" }`, which stands for the text of a file.
    pub(super) fn is_file_reference(&self) -> bool {
        matches!(self, Self::Table(table) if table.len() == 1 && table.contains_key("file"))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Foreign(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Foreign(text) => literal(text, &Origin::File)?.as_boolean(),
            _ => None,
        }
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Foreign(text) => literal(text, &Origin::File)?.as_integer(),
            _ => None,
        }
    }

    /// Converts the value to JSON; returns `None` for a number that JSON does not have.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        Some(match self {
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Float(value) => Json::Number(serde_json::Number::from_f64(*value)?),
            Self::Text(text) | Self::Foreign(text) => Json::String(text.clone()),
            Self::Array(items) => {
                let items = items.iter().map(|item| item.value.to_json());
                Json::Array(items.collect::<Option<_>>()?)
            }
            Self::Table(entries) => {
                let entries = entries.iter().map(|(key, node)| Some((key.clone(), node.value.to_json()?)));
                Json::Object(entries.collect::<Option<_>>()?)
            }
        })
    }
}

/// Parses a boolean, number or array in text from outside the file. Most of that text has no quotes and is not TOML.
pub(super) fn literal(text: &str, origin: &Origin) -> Option<Value> {
    let value = DeValue::parse(text.trim()).ok()?;
    match value.get_ref() {
        DeValue::String(_) | DeValue::Table(_) | DeValue::Datetime(_) => None,
        _ => Some(node(value, Value::Foreign, &|_| origin.clone()).value),
    }
}

/// Formats the value for messages, as it is written in the file. Lists and tables are abbreviated.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) | Self::Foreign(text) => write!(f, "{text:?}"),
            Self::Array(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Text from outside the file, in which `${NAME}` is not replaced.
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Foreign(text)
    }
}

impl<const N: usize> From<[&str; N]> for Value {
    fn from(items: [&str; N]) -> Self {
        Self::Array(items.map(|item| Node { origin: Origin::File, value: item.into() }).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines() {
        let root = parse("a.b = 1\n[server]\nlisten = 'x'\n[[route]]\n[[route]]\nm = [\n1,\n2]\n").expect("it is TOML");
        assert_eq!(root["server"].origin, Origin::Line(2));
        let Value::Table(server) = &root["server"].value else {
            panic!("server is a table");
        };
        assert_eq!(server["listen"].origin, Origin::Line(3));
        let routes = root["route"].clone().into_items().expect("it is an array");
        assert_eq!(routes[1].origin, Origin::Line(5));
        let Value::Table(route) = &routes[1].value else {
            panic!("a route is a table");
        };
        let items = route["m"].clone().into_items().expect("it is an array");
        assert_eq!(items[1].origin, Origin::Line(8));
    }

    #[test]
    fn a_syntax_error_has_line_and_column() {
        for (text, point) in [
            ("a = ", Origin::Point(1, 5)),
            ("a = 1\nb = x\n", Origin::Point(2, 5)),
            ("é = 1\n", Origin::Point(1, 1)),
            ("a = 1\na = 2\n", Origin::Point(2, 1)),
        ] {
            let (origin, _) = parse(text).expect_err(text);
            assert_eq!(origin, point, "{text}");
        }
    }

    #[test]
    fn foreign_text_is_what_the_key_wants() {
        for (text, boolean, integer) in [
            ("true", Some(true), None),
            ("1_000", None, Some(1000)),
            ("0x10", None, Some(16)),
            ("007", None, None),
            ("yes", None, None),
            ("", None, None),
            ("\"5\"", None, None),
        ] {
            let value = Value::Foreign(text.to_owned());
            assert_eq!(value.as_text(), Some(text));
            assert_eq!(value.as_boolean(), boolean, "{text}");
            assert_eq!(value.as_integer(), integer, "{text}");
        }
        assert_eq!(Value::Text("5".to_owned()).as_integer(), None);
    }
}
