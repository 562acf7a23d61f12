//! Atomic changes to files: after a crash or power loss, a file is complete or does not exist.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Error, at};

/// Suffix of temporary files.
const UNFINISHED: &str = ".part";

/// Returns the path of a temporary file beside `path`, unique in this process.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}{UNFINISHED}"));
    path.with_file_name(name)
}

pub(super) fn is_unfinished(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes())
}

/// Replaces the content of a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let part = unfinished(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(at(&part))?;
    rename(&part, path)
}

/// Gives a complete temporary file its final name.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(at(to))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// Flushes a folder to disk. Without this, a power loss may undo a rename in the folder.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Removes a file, or a folder with its content. A missing path is no error.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
