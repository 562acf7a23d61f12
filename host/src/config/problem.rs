//! Problems of a configuration, with their place. A reader collects all of them before it fails, so that one start of
//! the host shows them all.

use std::{fmt, path::PathBuf};

/// The place where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The file as a whole.
    File,
    /// A line of the file, from 1.
    Line(usize),
    /// A line and a column of the file, both from 1. Only the TOML parser reports columns.
    Point(usize, usize),
    /// An environment variable, by name.
    Variable(String),
}

/// A key, and the place where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The configuration file.
    pub file: PathBuf,
    /// The place of the value, or of the section in which a value is missing.
    pub origin: Origin,
    /// The full key, like `route[2].transaction`. Empty for the file as a whole.
    pub key: String,
}

impl Place {
    /// Returns a problem of this key.
    pub fn problem(self, message: impl Into<String>) -> Problem {
        Problem { place: self, message: message.into() }
    }
}

/// Formats a place: `carya.toml:12: server.listen`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.origin {
            Origin::File => write!(f, "{file}")?,
            Origin::Line(line) => write!(f, "{file}:{line}")?,
            Origin::Point(line, column) => write!(f, "{file}:{line}:{column}")?,
            Origin::Variable(name) => f.write_str(name)?,
        }
        if self.key.is_empty() { Ok(()) } else { write!(f, ": {}", self.key) }
    }
}

/// One error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key that is wrong.
    pub place: Place,
    /// The error, and the values that are accepted.
    pub message: String,
}

/// Formats a problem in one line:
/// `carya.toml:12: server.listen: "8080" is not an address; write it as "127.0.0.1:8080"`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All problems of a configuration, in the order of the file, those of the environment last. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems, of which there must be at least one.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.origin.cmp(&b.place.origin));
        Self(problems)
    }

    /// Iterates over the problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

/// Formats each problem in a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Returns the end of a message about an unknown name: the known name that was probably meant, else all known names.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match closest(name, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("accepted: {}", known.join(", ")),
    }
}

/// Returns the known name that was probably meant by a misspelt one.
pub(super) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&name, &word.to_lowercase());
    let (distance, word) = known.into_iter().map(|word| (distance(word), word)).min()?;
    // At most a third of the letters may be wrong: beyond that it is another word, not a typing error.
    (distance <= (word.len() / 3).max(1)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn only_a_slip_is_corrected() {
        let known = ["listen", "max_body", "max_rows"];
        for (name, end) in [
            ("lisetn", "did you mean `listen`?"),
            ("Listen", "did you mean `listen`?"),
            ("maxBody", "did you mean `max_body`?"),
            ("max-rows", "did you mean `max_rows`?"),
            ("max_size", "accepted: listen, max_body, max_rows"),
            ("", "accepted: listen, max_body, max_rows"),
        ] {
            assert_eq!(suggest(name, known), end, "{name}");
        }
        assert_eq!(suggest("items", []), "there are none");
    }
}
