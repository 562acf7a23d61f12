//! Ids of generations, which are derived from their files.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::content::{Digest, Hasher};

/// Id of a generation: twelve lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(String);

/// Error of a text that is not an [`Id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a generation must be 12 lower-case hexadecimal digits")]
pub struct InvalidId;

impl Id {
    /// Derives the id of a generation from the paths and digests of its files.
    pub(super) fn of(files: &BTreeMap<String, Digest>) -> Self {
        let mut hasher = Hasher::default();
        for (path, digest) in files {
            // Neither a valid path nor a digest contains the byte 0, so different lists of files produce different
            // input to the hash.
            for text in [path, &digest.to_string()] {
                hasher.update(text.as_bytes());
                hasher.update(&[0]);
            }
        }
        Self(hasher.digest().to_string()[..12].to_owned())
    }
}

impl TryFrom<String> for Id {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let is_valid = text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_valid { Ok(Self(text)) } else { Err(InvalidId) }
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_paths_and_contents() {
        let id = |paths: &[&str]| {
            let file = |path: &&str| ((*path).to_owned(), Digest::of(path.as_bytes()));
            Id::of(&paths.iter().map(file).collect())
        };
        assert_eq!(id(&["carya.toml", "a"]), id(&["a", "carya.toml"]));
        assert_ne!(id(&["carya.toml", "a"]), id(&["carya.toml"]));
        assert_ne!(id(&["carya.toml", "a"]), id(&["carya.toml", "b"]));
    }

    #[test]
    fn an_id_is_12_lower_case_hexadecimal_digits() {
        for (text, right) in [("0123456789ab", true), ("0123456789aB", false), ("0123456789a/", false), ("", false)] {
            assert_eq!(text.parse::<Id>().is_ok(), right, "{text}");
        }
    }
}
