//! The files that an application is made of: whether they have changed, and a name for what they are together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::config::Config;

/// Files by path, with the SHA-256 of what is in them. One that cannot be read is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, [u8; 32]>);

impl Files {
    /// The configuration, the components, and everything in the folders of templates and migrations. Static files are
    /// served as they are and are none of them.
    pub fn of(config: &Config) -> Self {
        let mut files = BTreeMap::new();
        let components = config.components.values().map(|component| &component.path);
        for file in std::iter::once(&config.file).chain(components) {
            add(&mut files, file);
        }
        let migrations = config.all_databases().filter_map(|(_, database)| database.migrations.as_ref());
        for folder in config.templates.iter().chain(migrations) {
            add_all(&mut files, folder);
        }
        Self(files)
    }

    /// Twelve hexadecimal digits that follow from names and contents, wherever the folder stands.
    pub fn id(&self, folder: &Path) -> String {
        let mut hasher = Sha256::new();
        for (path, digest) in &self.0 {
            let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_encoded_bytes();
            hasher.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(name);
            hasher.update(digest);
        }
        hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The paths that are new, gone or different in `other`.
    pub fn changed<'a>(&'a self, other: &'a Self) -> Vec<&'a Path> {
        let here = self.0.iter().filter(|(path, digest)| other.0.get(*path) != Some(digest));
        let there = other.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        here.chain(there).map(|(path, _)| path.as_path()).collect()
    }
}

fn add(files: &mut BTreeMap<PathBuf, [u8; 32]>, file: &Path) {
    if let Ok(bytes) = std::fs::read(file) {
        files.insert(file.to_owned(), Sha256::digest(bytes).into());
    }
}

fn add_all(files: &mut BTreeMap<PathBuf, [u8; 32]>, folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { add_all(files, &path) } else { add(files, &path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_names_and_contents() {
        let files =
            |pairs: &[(&str, u8)]| Files(pairs.iter().map(|(path, byte)| (PathBuf::from(path), [*byte; 32])).collect());
        let folder = Path::new("/a");
        let one = files(&[("/a/x", 1), ("/a/y", 2)]);
        assert_eq!(one.id(folder), files(&[("/b/x", 1), ("/b/y", 2)]).id(Path::new("/b")));
        for other in [files(&[("/a/x", 1)]), files(&[("/a/x", 2), ("/a/y", 2)]), files(&[("/a/z", 1), ("/a/y", 2)])] {
            assert_ne!(one.id(folder), other.id(folder));
        }
        let changed = one.changed(&files(&[("/a/x", 1), ("/a/y", 3), ("/a/z", 1)])).len();
        assert_eq!((changed, one.changed(&one).len()), (2, 0));
    }
}
