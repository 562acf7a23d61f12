//! Manifests, which list the files of generations, and their validation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{error::Error, id::Id};
use crate::content::Digest;

/// File name of the configuration in a deployed application.
pub const NAME: &str = "carya.toml";
/// Maximum number of files of an application.
const MAX_FILES: usize = 20_000;
/// Maximum length of a file's path, in bytes.
const MAX_PATH: usize = 1024;

/// List of the files of a generation, by their paths in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Id of the generation, derived from `files`.
    pub id: Id,
    /// Time at which this host stored the manifest last, in seconds since 1970.
    #[serde(default)]
    pub created_at: u64,
    /// Paths, with `/` as separator, and digests.
    pub files: BTreeMap<String, Digest>,
}

impl Manifest {
    /// Makes the manifest of these files.
    pub fn new(files: BTreeMap<String, Digest>) -> Self {
        Self { id: Id::of(&files), created_at: 0, files }
    }

    /// Checks that the id is derived from the files, that the files include [`NAME`], and that their number and paths
    /// are valid. A path must not lead out of the folder, and must not be both a file and a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the first violation.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::Invalid(message));
        let id = Id::of(&self.files);
        if self.id != id {
            return wrong(format!("the files are those of generation {id} and not of {}", self.id));
        }
        if !self.files.contains_key(NAME) {
            return wrong(format!("the manifest must list the file {NAME}"));
        }
        if self.files.len() > MAX_FILES {
            return wrong(format!(
                "an application may have at most {MAX_FILES} files, and this application has {}",
                self.files.len()
            ));
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
        assert!(other.check().is_err(), "the id belongs to another list of files");
    }
}
