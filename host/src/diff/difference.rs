//! One difference between two generations.

use std::fmt;

use serde_json::{Value, json};

use crate::config::DifferenceKind as Kind;

/// One difference between two generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The kind, as in the rules of `[reload] deny`.
    pub kind: Kind,
    /// The part that differs: `component items`, `route GET /items`.
    pub place: String,
    /// Description to be shown to users.
    pub words: String,
}

/// Formats the place and the description: `component items: now exports write-controller: it may ...`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.words)
    }
}

impl Difference {
    pub(super) fn new(kind: Kind, place: impl Into<String>, words: impl Into<String>) -> Self {
        Self { kind, place: place.into(), words: words.into() }
    }

    /// Returns the difference as JSON. Its member `widens` is the result of [`Kind::widens`].
    pub(crate) fn json(&self) -> Value {
        let (kind, widens) = (self.kind.as_str(), self.kind.widens());
        json!({"kind": kind, "widens": widens, "place": self.place, "words": self.words})
    }
}
