//! A folder of files with names that always refer to the same content. Checks contents on reading, writes durably, and
//! removes unused files.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    digest::{Digest, Hasher},
    draft::{Draft, is_temporary, remove},
    file::{ReadError, check},
};

/// Minimum age of the drafts that a collection removes. A younger draft may be in use, because each write to it renews
/// its modification time.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of contents. Each entry is a file, or a folder that is written as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    is_private: bool,
}

/// An entry that a collection has removed.
#[derive(Debug)]
pub(crate) struct Removed {
    /// Path of the removed entry.
    pub path: PathBuf,
    /// Size of the entry in bytes. For a folder, this does not include its contents.
    pub bytes: u64,
}

impl Folder {
    /// Describes a folder whose permissions follow the umask. It need not exist.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, is_private: false }
    }

    /// Describes a folder that only this user may read and write. It need not exist.
    pub(crate) fn private(path: PathBuf) -> Self {
        Self { path, is_private: true }
    }

    /// Creates the folder, and the folders above it, if they do not exist.
    pub(crate) fn create(&self) -> io::Result<()> {
        let mode = if self.is_private { 0o700 } else { 0o777 };
        DirBuilder::new().recursive(true).mode(mode).create(&self.path)
    }

    /// Returns the path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of an entry, which need not exist.
    pub(crate) fn entry(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the paths of all entries.
    pub(crate) fn entries(&self) -> io::Result<Vec<PathBuf>> {
        entries(&self.path)
    }

    /// Begins to write an entry.
    pub(crate) fn draft(&self, name: &str) -> io::Result<Draft> {
        Draft::create(&self.entry(name), if self.is_private { 0o600 } else { 0o666 })
    }

    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`ReadError::Mismatch`] if its content does not have the digest.
    pub(crate) fn read(&self, name: &str, digest: Digest) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        self.copy(name, digest, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies an entry to `out`, reading it once. On an error, `out` may have received a part of it.
    ///
    /// # Errors
    ///
    /// [`ReadError::Mismatch`] if the copied content does not have the digest.
    pub(crate) fn copy(&self, name: &str, digest: Digest, out: &mut impl Write) -> Result<(), ReadError> {
        let mut file = File::open(self.entry(name))?;
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 64 << 10]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return check(hasher.digest(), digest),
                Ok(length) => {
                    hasher.update(&buffer[..length]);
                    out.write_all(&buffer[..length])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Marks an entry as used now, by its modification time. Ignores errors: if the folder is not writable, no
    /// collection can remove the entry either.
    pub(crate) fn touch(&self, name: &str) {
        let file = File::options().append(true).open(self.entry(name));
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Removes each entry that `is_used` rejects and that was not modified within `spare`, and returns them. Drafts
    /// must have an age of at least one day.
    pub(crate) fn collect(&self, spare: Duration, mut is_used: impl FnMut(&str) -> bool) -> io::Result<Vec<Removed>> {
        let mut removed = Vec::new();
        for path in self.entries()? {
            let metadata = match fs::symlink_metadata(&path) {
                // Another process may collect the same folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let spare = if is_temporary(&path) { spare.max(ABANDONED) } else { spare };
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(&mut is_used) && age >= spare {
                remove(&path)?;
                removed.push(Removed { path, bytes: metadata.len() });
            }
        }
        Ok(removed)
    }

    /// Removes all drafts. The caller must ensure that no other process is writing to the folder.
    pub(crate) fn remove_drafts(&self) -> io::Result<()> {
        self.entries()?.iter().filter(|path| is_temporary(path)).try_for_each(|path| remove(path))
    }
}

/// Returns the paths of the entries of a folder.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn put(folder: &Folder, name: &str, content: &str) -> Result {
        let mut draft = folder.draft(name)?;
        draft.write_all(content.as_bytes())?;
        Ok(draft.keep()?)
    }

    #[test]
    fn a_read_returns_only_bytes_with_the_digest() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::private(root.path().join("folder"));
        folder.create()?;
        let digest = Digest::of(b"one");
        assert!(
            matches!(folder.read("a", digest), Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
        );
        put(&folder, "a", "one")?;
        assert_eq!(folder.read("a", digest)?, b"one");
        put(&folder, "a", "two")?;
        let Err(ReadError::Mismatch { expected, found }) = folder.read("a", digest) else { panic!("two is not one") };
        assert_eq!((expected, found), (digest, Digest::of(b"two")));
        Ok(())
    }

    #[test]
    fn a_draft_is_visible_only_once_it_is_kept() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::new(root.path().to_owned());
        let mut draft = folder.draft("a")?;
        draft.write_all(b"one")?;
        assert!(!folder.entry("a").exists());
        drop(draft);
        assert!(folder.entries()?.is_empty(), "a dropped draft is removed");
        put(&folder, "a", "one")?;
        assert_eq!(folder.entries()?, [folder.entry("a")]);
        Ok(())
    }

    #[test]
    fn a_collection_spares_used_and_young_entries_and_drafts() -> Result {
        let root = tempfile::tempdir()?;
        let folder = Folder::new(root.path().to_owned());
        let age = |path: &Path, days: u32| -> Result {
            Ok(File::options().append(true).open(path)?.set_modified(SystemTime::now() - ABANDONED * days)?)
        };
        for name in ["used", "unused", "young", "touched"] {
            put(&folder, name, name)?;
            age(&folder.entry(name), if name == "young" { 0 } else { 8 })?;
        }
        folder.touch("touched");
        let (_new, old) = (folder.draft("new")?, folder.draft("old")?);
        let drafts: Vec<_> = folder.entries()?.into_iter().filter(|path| is_temporary(path)).collect();
        let is_old = |path: &&PathBuf| path.to_string_lossy().contains("old");
        age(drafts.iter().find(is_old).ok_or("no draft")?, 8)?;
        let removed = folder.collect(ABANDONED * 7, |name| name == "used")?;
        let mut names: Vec<_> = removed.iter().filter_map(|removed| removed.path.file_name()?.to_str()).collect();
        names.sort_unstable();
        assert!(matches!(names[..], [draft, "unused"] if draft.starts_with("old.")), "{names:?}");
        assert_eq!(removed.iter().map(|removed| removed.bytes).sum::<u64>(), 6);
        assert_eq!(folder.collect(Duration::ZERO, |name| name == "used")?.len(), 2, "young and touched");
        drop(old);
        Ok(())
    }
}
