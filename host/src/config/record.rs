//! Records of a reading: the description of each key, and its value if it is set. The list of known keys,
//! the reference page, the JSON schema and `carya config` come from these records, so none of them can miss a key.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{path::KeyPath, problem::Origin};

/// The keys of one table, in the order in which they were read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) path: KeyPath,
    pub(super) origin: Origin,
    pub(super) keys: Vec<KeyRecord>,
}

/// One key of a table.
#[derive(Debug)]
pub(super) struct KeyRecord {
    pub(super) name: Cow<'static, str>,
    /// One line of documentation, in Markdown.
    pub(super) doc: &'static str,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Value(ValueRecord),
    /// A table or a list of tables, which have records of their own.
    Tables,
}

/// Description of a value, and the value itself if the key is set.
#[derive(Debug)]
pub(super) struct ValueRecord {
    /// The type with its limits, in words.
    pub(super) type_name: Cow<'static, str>,
    /// JSON schema of the value.
    pub(super) schema: Json,
    /// The dialects that have the key, in words. `None`: all of them.
    pub(super) dialects: Option<&'static str>,
    /// Whether the key applies to the dialect that was read.
    pub(super) applies: bool,
    pub(super) absent: Absent,
    pub(super) set: Option<Set>,
}

/// Meaning of a key that is not set.
#[derive(Debug)]
pub(super) enum Absent {
    Required,
    /// A default value as TOML. `text` describes it on the reference page if it depends on something else.
    Default {
        toml: String,
        text: Option<&'static str>,
    },
    /// No value, with its meaning.
    Unset {
        meaning: &'static str,
    },
    /// No value, unless the other key is set.
    UnsetWithout {
        other: &'static str,
    },
}

/// Value of a key that is set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) origin: Origin,
    /// The value in TOML as it was written, without secrets.
    pub(super) toml: String,
}
