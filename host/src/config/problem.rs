//! What is wrong with a configuration, and where. A reader collects every problem before it gives up, so that one
//! start of the host shows them all. Which values are wrong is not known here.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The file as a whole.
    File,
    /// A line of the file, from 1.
    Line(usize),
    /// A point in the file, line and column from 1; only the TOML parser tells columns.
    Point(usize, usize),
    /// An environment variable.
    Variable(String),
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// Where the value stands, or where a missing one should.
    pub origin: Origin,
    /// The full key, as `route[2].transaction`; empty where the problem is not about a key.
    pub key: String,
    /// What is wrong, and what is accepted.
    pub message: String,
}

/// `carya.toml:12: server.listen: "8080" is not an address; write it as "127.0.0.1:8080"`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.origin {
            Origin::File => write!(f, "{file}: ")?,
            Origin::Line(line) => write!(f, "{file}:{line}: ")?,
            Origin::Point(line, column) => write!(f, "{file}:{line}:{column}: ")?,
            Origin::Variable(name) => write!(f, "{name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every problem of a configuration, in the order of the file, those of the environment last. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        Self(problems)
    }

    /// The problems, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

/// One line each.
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

/// The end of a message about a name that is not one of these: the one that was probably meant, else all of them.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let name = name.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&name, &word.to_lowercase());
    let closest = known.iter().map(|word| (distance(word), word)).min();
    match closest {
        // A third of the word may be wrong: more than that is another word, not a slip.
        Some((distance, word)) if distance <= (word.len() / 3).max(1) => {
            format!("did you mean `{word}`?")
        }
        Some(_) => format!("accepted: {}", known.join(", ")),
        None => "there are none".to_owned(),
    }
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
