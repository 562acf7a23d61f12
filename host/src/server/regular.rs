//! File system for `[[static]]` that contains only regular files and folders. Opening a FIFO would block a thread until
//! another process opens it for writing, and opening a device may change its state.
//!
//! Paths are resolved beneath the folder: a symbolic link that leads out of it names no file. The kernel checks this while
//! it opens the file (`openat2`), so no rename between a check and the opening can lead out. Names that begin with a dot,
//! such as `.git` and `.env`, name no file by default.

use std::{
    fs,
    future::Future,
    io::{self, SeekFrom},
    path::{Component, Path, PathBuf},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::SystemTime,
};

use cap_primitives::{
    ambient_authority,
    fs::{FollowSymlinks, Metadata, OpenOptions, OpenOptionsExt, open, open_ambient_dir, stat},
};
use rustix::{fs::OFlags, io::Errno};
use tokio::{
    io::{AsyncRead, AsyncSeek, ReadBuf},
    sync::{Semaphore, SemaphorePermit},
};
use tower_http::services::fs::{self as tower, Backend};

use super::descriptors;

/// Limits the number of open files. A client that does not read its response keeps the file open for
/// `server.send_timeout`.
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(descriptors::for_files().min(Semaphore::MAX_PERMITS)));

type IoFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Folder with names that begin with a dot and are served nevertheless (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// A `ServeDir` backend in which only the regular files and folders beneath one folder exist.
#[derive(Debug, Clone)]
pub(super) struct RegularFiles {
    folder: Arc<Path>,
    /// Whether names that begin with a dot exist.
    has_dotfiles: bool,
}

/// The attributes of a file or folder that `ServeDir` reads.
pub(super) struct Attributes(Metadata);

impl RegularFiles {
    pub(super) fn new(folder: &Path, has_dotfiles: bool) -> Self {
        // `ServeDir` passes paths below this path.
        Self { folder: Path::new(".").join(folder).into(), has_dotfiles }
    }

    /// Opens the folder, and returns the path within it. The folder is opened for each request, because a deployment may
    /// replace it.
    fn resolve<'a>(&self, path: &'a Path) -> io::Result<(fs::File, &'a Path)> {
        let path = path.strip_prefix(&self.folder).map_err(io::Error::other)?;
        if !self.has_dotfiles && is_hidden(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok((open_ambient_dir(&self.folder, ambient_authority())?, path))
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        let (folder, path) = self.resolve(path)?;
        stat(&folder, path, FollowSymlinks::Yes).map(Attributes)
    }

    fn open_regular(&self, path: &Path) -> io::Result<fs::File> {
        let (folder, path) = self.resolve(path)?;
        let regular = |metadata: Metadata| match metadata.is_file() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        regular(stat(&folder, path, FollowSymlinks::Yes)?)?;
        // The path may name a different file by now: `O_NONBLOCK` opens a FIFO without waiting, and the open file is
        // checked again.
        let mut options = OpenOptions::new();
        let file = open(&folder, path, options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32))?;
        regular(Metadata::from_file(&file)?)?;
        Ok(file)
    }
}

impl Backend for RegularFiles {
    type File = RegularFile;
    type Metadata = Attributes;
    type OpenFuture = IoFuture<'static, RegularFile>;
    type MetadataFuture = IoFuture<'static, Attributes>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let files = self.clone();
        Box::pin(async move {
            let permit = PERMITS.acquire().await.map_err(io::Error::other)?;
            let opening = tokio::task::spawn_blocking(move || files.open_regular(&path));
            let file = opening.await.map_err(io::Error::other)?.map_err(not_found)?;
            Ok(RegularFile { file: file.into(), _permit: permit })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let files = self.clone();
        Box::pin(async move {
            // For HEAD, `ServeDir` does not check that the index of a folder is a file.
            let is_index = path.ends_with("index.html");
            let reading = tokio::task::spawn_blocking(move || files.attributes(&path));
            let attributes = reading.await.map_err(io::Error::other)?.map_err(not_found)?;
            match attributes.0.is_file() || attributes.0.is_dir() && !is_index {
                true => Ok(attributes),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

impl tower::Metadata for Attributes {
    fn is_dir(&self) -> bool {
        self.0.is_dir()
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.0.modified().map(|time| time.into_std())
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}

/// Returns whether a path in the folder has a name that begins with a dot, apart from [`WELL_KNOWN`] at its start.
fn is_hidden(path: &Path) -> bool {
    let mut names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let is_dotted = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    names.next().is_some_and(|first| is_dotted(first) && first != WELL_KNOWN) || names.any(is_dotted)
}

/// Turns the errors for paths that cannot name a file into `NotFound`: a client may send any path. This includes links that
/// lead out of the folder, which `cap_primitives` refuses with a `PermissionDenied` of its own.
fn not_found(error: io::Error) -> io::Error {
    let is_of_path = error.kind() == io::ErrorKind::InvalidInput
        || error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
        || matches!(Errno::from_io_error(&error), Some(Errno::NAMETOOLONG | Errno::LOOP));
    if is_of_path { io::ErrorKind::NotFound.into() } else { error }
}

/// An open file with its permit from [`PERMITS`].
pub(super) struct RegularFile {
    file: tokio::fs::File,
    _permit: SemaphorePermit<'static>,
}

impl tower::File for RegularFile {
    type Metadata = Attributes;
    type MetadataFuture<'a> = IoFuture<'a, Attributes>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(async { Ok(Attributes(Metadata::from_just_metadata(self.file.metadata().await?))) })
    }
}

impl AsyncRead for RegularFile {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buf)
    }
}

impl AsyncSeek for RegularFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_with_a_dot_are_hidden() {
        for (path, expected) in [
            ("", false),
            ("a", false),
            ("a.b/c.", false),
            (".git", true),
            (".git/config", true),
            ("a/.env", true),
            ("a/.b/c", true),
            ("..a", true),
            (".well-known", false),
            (".well-known/security.txt", false),
            (".well-known/.hidden", true),
            ("a/.well-known/x", true),
            (".well-knowns", true),
        ] {
            assert_eq!(is_hidden(Path::new(path)), expected, "{path}");
        }
    }
}
