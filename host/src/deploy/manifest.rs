//! Manifests of generations, and the ids that are derived from their files.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::content::{Digest, Hasher};

/// File name of the configuration in a deployed application.
pub const NAME: &str = "carya.toml";
/// Maximum number of files of an application.
const MAX_FILES: usize = 20_000;
/// Maximum length of a file's path, in bytes.
const MAX_PATH: usize = 1024;

/// Id of a generation: twelve lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(String);

impl TryFrom<String> for Id {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let is_valid = text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let invalid = || Error::Invalid("the id of a generation must be 12 lower-case hexadecimal digits".to_owned());
        is_valid.then_some(Self(text)).ok_or_else(invalid)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// List of the files of a generation, by their paths in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Derived from `files`.
    pub id: Id,
    /// When this host stored the manifest last, in seconds since 1970.
    #[serde(default)]
    pub created_at: u64,
    /// Paths, with `/` as separator, and digests.
    pub files: BTreeMap<String, Digest>,
}

impl Manifest {
    /// Makes the manifest of these files.
    pub fn new(files: BTreeMap<String, Digest>) -> Self {
        Self { id: id(&files), created_at: 0, files }
    }

    /// Checks that the id is derived from the files, that they include [`NAME`], and that their number and paths are
    /// valid: a path must not lead out of the folder, and must not be a file and a folder at once.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the first violation.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::Invalid(message));
        if self.id != id(&self.files) {
            return wrong(format!("the files are those of generation {} and not of {}", id(&self.files), self.id));
        }
        if !self.files.contains_key(NAME) {
            return wrong(format!("an application has a file {NAME}"));
        }
        if self.files.len() > MAX_FILES {
            return wrong(format!("an application may have {MAX_FILES} files, and this one has {}", self.files.len()));
        }
        for path in self.files.keys() {
            let step = |step: &str| !matches!(step, "" | "." | "..") && step.len() <= 255 && !step.contains('\0');
            if path.len() > MAX_PATH || !path.split('/').all(step) {
                return wrong(format!("{path:?} is not the path of a file in a folder"));
            }
            let folder =
                path.match_indices('/').map(|(at, _)| &path[..at]).find(|folder| self.files.contains_key(*folder));
            if let Some(folder) = folder {
                return wrong(format!("{folder:?} cannot be a file and the folder of {path:?}"));
            }
        }
        Ok(())
    }

    /// Returns the digests of the files.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        self.files.values()
    }
}

/// Derives an id from paths and digests.
fn id(files: &BTreeMap<String, Digest>) -> Id {
    let mut hasher = Hasher::default();
    for (path, digest) in files {
        // Neither contains the byte 0, so different lists produce different input to the hash.
        for text in [path, &digest.to_string()] {
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
        }
    }
    Id(hasher.digest().to_string()[..12].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(paths: &[&str]) -> Manifest {
        Manifest::new(paths.iter().map(|path| ((*path).to_owned(), Digest::of(path.as_bytes()))).collect())
    }

    #[test]
    fn paths_must_stay_inside_the_folder() {
        for (paths, right) in [
            (&["carya.toml", "a/b.html", ".hidden", "a/..b"][..], true),
            (&["a"], false),
            (&["carya.toml", "../a"], false),
            (&["carya.toml", "/a"], false),
            (&["carya.toml", "a//b"], false),
            (&["carya.toml", "a/./b"], false),
            (&["carya.toml", "a/"], false),
            (&["carya.toml", ""], false),
            (&["carya.toml", "a", "a/b"], false),
            (&["carya.toml", "a", "a-b", "a/b/c"], false),
            (&["carya.toml", "a\0b"], false),
        ] {
            assert_eq!(manifest(paths).check().is_ok(), right, "{paths:?}");
        }
        let other = Manifest { id: manifest(&["carya.toml", "b"]).id, ..manifest(&["carya.toml", "a"]) };
        assert!(other.check().is_err(), "its id is another's");
    }

    #[test]
    fn ids_follow_from_paths_and_contents() {
        let one = manifest(&["carya.toml", "a"]);
        assert_eq!(one.id, manifest(&["a", "carya.toml"]).id);
        assert_ne!(one.id, manifest(&["carya.toml"]).id);
        assert_ne!(one.id, manifest(&["carya.toml", "b"]).id);
    }

    #[test]
    fn an_id_is_12_lower_case_hexadecimal_digits() {
        for (text, right) in [("0123456789ab", true), ("0123456789aB", false), ("0123456789a/", false), ("", false)] {
            assert_eq!(text.parse::<Id>().is_ok(), right, "{text}");
        }
    }
}
