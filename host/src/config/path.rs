//! Paths of keys, for messages, TOML headers and the JSON schema.

use std::fmt;

/// Path of a key or table from the root of the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A key that the format defines.
    Key(String),
    /// A name that the file chooses, such as that of a component.
    Name(String),
    /// An item of a list, from 0.
    Index(usize),
}

impl KeyPath {
    /// Returns this path with one more step.
    pub(super) fn join(&self, step: Step) -> Self {
        Self([&self.0[..], &[step]].concat())
    }

    pub(super) fn key(&self, name: &str) -> Self {
        self.join(Step::Key(name.to_owned()))
    }

    pub(super) fn name(&self, name: &str) -> Self {
        self.join(Step::Name(name.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.join(Step::Index(index))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path without its last step, and that step.
    pub(super) fn split_last(&self) -> Option<(Self, &Step)> {
        let (last, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), last))
    }

    /// Returns the header of the table with this path: `[server]`, `[component.items]`, `[[route]]`. Returns `None` for
    /// the root and for a table inside the value of a key, which have none.
    pub(super) fn header(&self) -> Option<String> {
        let (tables, is_item) = match self.0.split_last()? {
            (Step::Index(_), tables) => (tables, true),
            _ => (&self.0[..], false),
        };
        let steps: Option<Vec<_>> = tables
            .iter()
            .map(|step| match step {
                Step::Key(name) | Step::Name(name) => Some(quoted(name)),
                Step::Index(_) => None,
            })
            .collect();
        let steps = steps?.join(".");
        Some(if is_item { format!("[[{steps}]]") } else { format!("[{steps}]") })
    }
}

/// Formats the path for messages: `route[2].path`. Names are not quoted.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) | Step::Name(name) if at == 0 => f.write_str(name)?,
                Step::Key(name) | Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Returns whether TOML accepts a name without quotes.
pub(super) fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Returns a key as it is written in TOML.
pub(super) fn quoted(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { string(name) }
}

/// Returns text as a TOML string on one line.
pub(super) fn string(text: &str) -> String {
    // The escapes of JSON are valid in TOML, which also requires one for U+007F.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_headers() {
        let root = KeyPath::default();
        let route = root.key("route").index(2);
        for (path, shown, header) in [
            (root.clone(), "", None),
            (root.key("server"), "server", Some("[server]")),
            (root.key("component").name("my items"), "component.my items", Some("[component.\"my items\"]")),
            (route.clone(), "route[2]", Some("[[route]]")),
            (route.key("hooks").index(0), "route[2].hooks[0]", None),
        ] {
            assert_eq!((path.to_string().as_str(), path.header().as_deref()), (shown, header));
        }
    }

    #[test]
    fn strings_are_valid_toml() {
        for text in ["plain", "two\nlines", "\"quotes\" \\ and '", "\u{1}\u{7f}\u{e9}"] {
            let document = format!("a = {} # comment", string(text));
            let parsed: toml::Table = document.parse().expect("the document is TOML");
            assert_eq!(parsed["a"].as_str(), Some(text));
        }
    }
}
