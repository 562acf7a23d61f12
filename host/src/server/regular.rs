//! File system for `[[static]]` that contains only regular files and folders. Opening a FIFO would block a thread until
//! another process opens it for writing, and opening a device may change its state.

use std::{
    fs::{Metadata, OpenOptions},
    future::Future,
    io::{self, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use rustix::{fs::OFlags, io::Errno};
use tokio::{
    io::{AsyncRead, AsyncSeek, ReadBuf},
    sync::{Semaphore, SemaphorePermit},
};
use tower_http::services::fs::{Backend, File};

use super::descriptors;

/// Limits the number of open files. A client that does not read its response keeps the file open for
/// `server.send_timeout`.
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(descriptors::for_files().min(Semaphore::MAX_PERMITS)));

type IoFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A `ServeDir` backend in which only regular files and folders exist.
#[derive(Debug, Clone)]
pub(super) struct RegularFiles;

impl Backend for RegularFiles {
    type File = RegularFile;
    type Metadata = Metadata;
    type OpenFuture = IoFuture<'static, RegularFile>;
    type MetadataFuture = IoFuture<'static, Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        Box::pin(async move {
            let permit = PERMITS.acquire().await.map_err(io::Error::other)?;
            let file = tokio::task::spawn_blocking(move || open(&path)).await.map_err(io::Error::other)?;
            let file = file.map_err(not_found)?;
            Ok(RegularFile { file: file.into(), _permit: permit })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        Box::pin(async move {
            let metadata = tokio::fs::metadata(&path).await.map_err(not_found)?;
            // For HEAD, `ServeDir` does not check that the index of a folder is a file.
            match metadata.is_file() || metadata.is_dir() && !path.ends_with("index.html") {
                true => Ok(metadata),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    let regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    regular(std::fs::metadata(path)?)?;
    // The path may name a different file by now: `O_NONBLOCK` opens a FIFO without waiting, and the open file is
    // checked again.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}

/// Turns the errors for paths that cannot name a file into `NotFound`: a client may send any path.
fn not_found(error: io::Error) -> io::Error {
    let is_of_path = error.kind() == io::ErrorKind::InvalidInput
        || matches!(Errno::from_io_error(&error), Some(Errno::NAMETOOLONG | Errno::LOOP));
    if is_of_path { io::ErrorKind::NotFound.into() } else { error }
}

/// An open file with its permit from [`PERMITS`].
pub(super) struct RegularFile {
    file: tokio::fs::File,
    _permit: SemaphorePermit<'static>,
}

impl File for RegularFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = IoFuture<'a, Metadata>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.file.metadata())
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
