//! Determines which folders must be watched to detect changes to a set of files, and which names in these folders are
//! relevant.
//!
//! Symbolic links are followed one by one, because a link with a new target changes every file behind it. This module
//! only computes paths and watches nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Component, Path, PathBuf},
};

use crate::generation::is_source;

/// Maximum number of symbolic links to follow in a path. Linux has the same limit and cannot open a path with more
/// links.
const MAX_LINKS: usize = 40;

/// Folders to watch, and the relevant names in each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places(BTreeMap<PathBuf, Names>);

/// The relevant names in a folder: single names, and all names that pass a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    some: BTreeSet<OsString>,
    all: Option<Filter>,
}

/// Filter of the entries of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// All entries.
    All,
    /// Entries that look like sources written by hand.
    Sources,
}

impl Filter {
    fn passes(self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Sources => is_source(path),
        }
    }
}

impl Places {
    /// Adds a file, which need not exist yet.
    pub(crate) fn add_file(&mut self, path: &Path) {
        self.resolve(path);
    }

    /// Adds a folder and its subfolders with all entries that pass the filter. The folder need not exist yet.
    pub(crate) fn add_folder(&mut self, path: &Path, filter: Filter) {
        if let Some(folder) = self.resolve(path).filter(|folder| folder.is_dir()) {
            self.add_all(folder, filter);
        }
    }

    fn add_all(&mut self, folder: PathBuf, filter: Filter) {
        // Links can form cycles, so do not enter a known folder again.
        if self.0.get(&folder).is_some_and(|names| names.all.is_some()) {
            return;
        }
        let entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        self.0.entry(folder).or_default().all = Some(filter);
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && filter.passes(&path) => self.add_all(path, filter),
                Ok(kind) if kind.is_symlink() && filter.passes(&path) => self.add_folder(&path, filter),
                _ => {}
            }
        }
    }

    /// Returns the folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Returns whether an event for this path is relevant.
    pub(super) fn matter(&self, path: &Path) -> bool {
        let names = path.parent().and_then(|folder| self.0.get(folder));
        let is_named = names.zip(path.file_name()).is_some_and(|(names, name)| {
            names.some.contains(name) || names.all.is_some_and(|filter| filter.passes(path))
        });
        // An event for a watched folder itself means that the folder was removed or moved.
        is_named || self.0.contains_key(path)
    }

    /// Resolves a path and returns its target. Adds every link on the way and the last name to the relevant names. If a
    /// folder on the way does not exist, adds its name and returns `None`.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let mut steps: Vec<OsString> = steps(&std::path::absolute(path).ok()?);
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        while let Some(step) = steps.pop() {
            if step == OsStr::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&step);
            let link = fs::read_link(&next).ok().filter(|_| links < MAX_LINKS);
            if link.is_some() || steps.is_empty() || !next.exists() {
                self.0.entry(at.clone()).or_default().some.insert(step);
            }
            match link {
                Some(target) => {
                    links += 1;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    steps.extend(self::steps(&target));
                }
                None if next.exists() => at = next,
                None => return None,
            }
        }
        Some(at)
    }
}

/// Returns the names in a path in reverse order.
fn steps(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(name).collect()
}
