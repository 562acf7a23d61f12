//! Where changes to files show: the folders to listen to, and which names in them matter. Links are followed step by
//! step, since a link that is pointed elsewhere changes every file behind it. It knows paths and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Component, Path, PathBuf},
};

use crate::generation::is_source;

/// More links than any path has that leads somewhere.
const MAX_LINKS: usize = 40;

/// Folders, and what matters in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<PathBuf, Names>);

/// Names in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    some: BTreeSet<OsString>,
    all: Option<Filter>,
}

/// Which of the entries of a folder matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All,
    /// Those that somebody writes by hand.
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
    /// A file, or the place where it would be.
    pub fn add_file(&mut self, path: &Path) {
        self.resolve(path);
    }

    /// A folder with everything in it that passes, however deep; or the place where it would be.
    pub fn add_folder(&mut self, path: &Path, filter: Filter) {
        if let Some(folder) = self.resolve(path).filter(|folder| folder.is_dir()) {
            self.add_all(folder, filter);
        }
    }

    fn add_all(&mut self, folder: PathBuf, filter: Filter) {
        // Known already: links can lead in circles.
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

    /// The folders.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether something that happened to a path is of interest.
    pub(super) fn matter(&self, path: &Path) -> bool {
        let names = path.parent().and_then(|folder| self.0.get(folder));
        let is_named = names.zip(path.file_name()).is_some_and(|(names, name)| {
            names.some.contains(name) || names.all.is_some_and(|filter| filter.passes(path))
        });
        // A folder itself tells only when it is taken away.
        is_named || self.0.contains_key(path)
    }

    /// Where a path leads. On the way it marks every link, and the last step; if a step is missing, that one.
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

/// The names of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(name).collect()
}
