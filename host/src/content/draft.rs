//! Durable writes: after a crash or power loss, a file has its complete old or new content, or does not exist.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Suffix of the names of drafts.
const SUFFIX: &str = ".part";

/// A file that is being written under a temporary name beside its final one. Dropping the draft before
/// [`keep`](Self::keep) removes the file.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Creates the draft of `target` with the permissions `mode`, which the umask restricts.
    pub(crate) fn create(target: &Path, mode: u32) -> io::Result<Self> {
        let path = temporary_path(target);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { file, path, target: target.to_owned() })
    }

    /// Flushes the content to disk, then gives the file its final name, in place of any earlier file.
    pub(crate) fn keep(self) -> io::Result<()> {
        // The content must be on disk before the rename: a power loss must not leave a part of it under the final name.
        self.file.sync_all()?;
        rename(&self.path, &self.target)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `keep` has renamed the file, this call fails, and the error is ignored.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the path of a temporary file or folder beside `path`. The name is random, because processes in different
/// containers may have the same process id and share the folder.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}{SUFFIX}", rand::random::<u64>()));
    path.with_file_name(name)
}

/// Returns whether a path is that of a draft.
pub(super) fn is_temporary(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(SUFFIX.as_bytes())
}

/// Creates a file, or replaces its content, in one step.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o666)
}

/// The same for a file that only this user can read.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o600)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = Draft::create(path, mode)?;
    draft.write_all(bytes)?;
    draft.keep()
}

/// Gives a complete file or folder its final name, and flushes the name to disk.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// Flushes the names in a folder to disk. Without this, a power loss may undo a rename in the folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file, or a folder with its content. A missing path is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
