//! Removes the values of parameters from the texts of errors. Engines quote values in their messages, and the host logs
//! these messages. This module searches for the values, and does not depend on the wording of an engine's messages.

use std::{borrow::Cow, mem};

use crate::sql::{error::DbError, value::Value};

/// Values shorter than this, in bytes, are removed only where they are in quotes. Elsewhere, such a short text may be a
/// part of any word.
const SHORT: usize = 4;
/// Maximum number of bytes of a value that are searched for. A message may contain a shortened value, so the end of a
/// long value is not compared.
const LONG: usize = 60;

/// Characters around a value in a message.
const QUOTES: [(&str, &str); 2] = [("'", "'"), ("\"", "\"")];
/// Characters around a value in a detail, such as `Key (a, b)=(1, 2) already exists.`
const QUOTES_OF_DETAILS: [(&str, &str); 6] =
    [("'", "'"), ("\"", "\""), ("(", ")"), ("(", ", "), (", ", ", "), (", ", ")")];

/// Values to remove from a message.
#[derive(Debug)]
pub(super) struct Redaction(Vec<Hidden>);

/// A value. Numbers are formatted only for an error, because each statement collects its parameters.
#[derive(Debug)]
enum Hidden {
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Text {
        text: String,
        /// Whether `text` is only the beginning of the value.
        is_cut: bool,
    },
}

impl Redaction {
    /// Collects the values of parameters. With `may_show`, collects none, so that messages stay unchanged.
    pub(super) fn of(params: &[Value], may_show: bool) -> Self {
        Self(if may_show { Vec::new() } else { params.iter().filter_map(Hidden::new).collect() })
    }

    /// Replaces the values in the error's texts by `?`.
    pub(super) fn apply(&self, mut error: DbError) -> DbError {
        for hidden in &self.0 {
            hidden.remove_from(&mut error.message, &QUOTES);
        }
        for text in [&mut error.detail, &mut error.hint].into_iter().flatten() {
            let mut shown = mem::take(text).into_string();
            for hidden in &self.0 {
                hidden.remove_from(&mut shown, &QUOTES_OF_DETAILS);
            }
            *text = shown.into();
        }
        error
    }
}

impl Hidden {
    fn new(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null | Value::Boolean(_) | Value::Bytes(_) => return None,
            Value::Int64(number) => Self::Int64(*number),
            Value::Float32(number) => Self::Float32(*number),
            Value::Float64(number) => Self::Float64(*number),
            Value::Text(text) | Value::Other { text, .. } => {
                let end = text.floor_char_boundary(LONG);
                Self::Text { text: text[..end].to_owned(), is_cut: end < text.len() }
            }
        })
    }

    /// Returns the value as it appears in messages, and whether it is cut.
    fn shown(&self) -> (Cow<'_, str>, bool) {
        match self {
            Self::Int64(number) => (number.to_string().into(), false),
            Self::Float32(number) => (number.to_string().into(), false),
            Self::Float64(number) => (number.to_string().into(), false),
            Self::Text { text, is_cut } => (text.into(), *is_cut),
        }
    }

    fn remove_from(&self, message: &mut String, quotes: &[(&str, &str)]) {
        let (text, is_cut) = self.shown();
        if text.len() < SHORT {
            for (before, after) in quotes {
                *message = message.replace(&format!("{before}{text}{after}"), &format!("{before}?{after}"));
            }
        } else if !is_cut {
            *message = message.replace(&*text, "?");
        } else if let Some(at) = message.find(&*text) {
            message.truncate(at);
            message.push_str("? ..");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::error::Kind;

    fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn messages_do_not_contain_the_values_of_parameters() {
        let long = "é".repeat(100);
        let table = [
            ("near \"a\": syntax error", vec![text("e"), text("")], "near \"a\": syntax error"),
            ("no number: \"12\"", vec![text("12")], "no number: \"?\""),
            (
                "Incorrect value: 'it's' for column 'c'",
                vec![text("c"), text("it's")],
                "Incorrect value: '?' for column '?'",
            ),
            ("value \"70000\" is out of range", vec![Value::Null, Value::Int64(70_000)], "value \"?\" is out of range"),
            (&format!("no date: \"{long}\""), vec![text(&long)], "no date: \"? .."),
            (&format!("no date: '{}...' at row 1", &long[..128]), vec![text(&long)], "no date: '? .."),
        ];
        for (message, params, expected) in table {
            let error = DbError::new(Kind::Other, message);
            assert_eq!(Redaction::of(&params, true).apply(error.clone()).message, message);
            assert_eq!(Redaction::of(&params, false).apply(error).message, expected);
        }
    }

    #[test]
    fn details_do_not_contain_the_values_of_parameters() {
        let detail = "Key (a, b)=(1, bolt) already exists.";
        let error = DbError {
            detail: Some(detail.into()),
            hint: Some("did you mean \"bolt\"?".into()),
            ..DbError::new(Kind::Constraint, "duplicate key")
        };
        let params = [Value::Int64(1), text("bolt")];
        assert_eq!(Redaction::of(&params, true).apply(error.clone()).detail.as_deref(), Some(detail));
        let hidden = Redaction::of(&params, false).apply(error);
        assert_eq!(hidden.detail.as_deref(), Some("Key (a, b)=(?, ?) already exists."));
        assert_eq!(hidden.hint.as_deref(), Some("did you mean \"?\"?"));
    }
}
