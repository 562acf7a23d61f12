//! Types of values. A type reads a value and describes it, for the reference page and the JSON schema.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use super::{entry::Entry, mask::Mask, tree::Value};

/// Reads an entry, and reports a value that it rejects.
type Read<'t, T> = Box<dyn Fn(&Entry<'_>) -> Option<T> + 't>;

/// Type of a value. Relative paths and names of the file make the reader borrow, for `'t`.
pub(super) struct Type<'t, T> {
    /// The type with its limits, in words: "integer, 1 to 1000".
    pub(super) name: Cow<'static, str>,
    /// JSON schema of the value.
    pub(super) schema: Json,
    /// Whether the value is always text. If not, text from outside the file may be a number, a boolean or a list.
    pub(super) is_text: bool,
    /// Hides the secrets in a value that may have some.
    pub(super) mask: Option<Mask>,
    read: Read<'t, T>,
}

impl<'t, T> Type<'t, T> {
    /// Makes the type of a single value. `read` returns the reason for a refusal as a predicate: "is not a duration".
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        schema: Json,
        read: impl Fn(&Value) -> Result<T, String> + 't,
    ) -> Self {
        let (schema, is_text) = with_reference(schema);
        Self { name: name.into(), schema, is_text, mask: None, read: Box::new(move |entry| entry.parse(&read)) }
    }

    /// Makes the type of a single value that must not appear in messages. `mask` hides the secret in it.
    pub(super) fn secret(
        name: impl Into<Cow<'static, str>>,
        schema: Json,
        mask: Mask,
        read: impl Fn(&Value) -> Result<T, String> + 't,
    ) -> Self {
        let (schema, is_text) = with_reference(schema);
        let read = Box::new(move |entry: &Entry<'_>| entry.parse_secret(&read));
        Self { name: name.into(), schema, is_text, mask: Some(mask), read }
    }

    /// Makes the type of a value that may be a table. `read` reports a value that it rejects.
    pub(super) fn of_entry(name: &'static str, schema: Json, read: impl Fn(&Entry<'_>) -> Option<T> + 't) -> Self {
        Self { name: name.into(), schema, is_text: false, mask: None, read: Box::new(read) }
    }

    /// Makes the type of a list of values of one type.
    pub(super) fn list(item: Self) -> Type<'t, Vec<T>>
    where
        T: 't,
    {
        let Self { name, schema, is_text: _, mask, read } = item;
        let is_secret = mask.is_some();
        Type {
            name: format!("list of {name}").into(),
            schema: json!({ "type": "array", "items": schema }),
            is_text: false,
            mask,
            read: Box::new(move |entry| {
                let items = if is_secret { entry.secret_items() } else { entry.items() };
                Some(items.iter().filter_map(&read).collect())
            }),
        }
    }

    /// Converts the values that are read.
    pub(super) fn map<U>(self, convert: impl Fn(T) -> U + 't) -> Type<'t, U>
    where
        T: 't,
    {
        let Self { name, schema, is_text, mask, read } = self;
        Type { name, schema, is_text, mask, read: Box::new(move |entry| read(entry).map(&convert)) }
    }

    /// Replaces the name.
    pub(super) fn named(self, name: &'static str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Reads a value. Reports a value of another type, and returns `None`.
    pub(super) fn read(&self, entry: &Entry<'_>) -> Option<T> {
        (self.read)(entry)
    }
}

/// Name of the schema of a reference.
pub(super) const REFERENCE: &str = "reference";

/// Returns the schema of a value or of a reference to one, and whether the value is always text.
fn with_reference(schema: Json) -> (Json, bool) {
    let is_text = schema["type"] == "string";
    (json!({ "anyOf": [schema, { "$ref": format!("#/definitions/{REFERENCE}") }] }), is_text)
}
