//! Receives one file: writes it to a draft, and gives it its final name once it is complete and has the announced
//! digest.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::error::{Error, at};
use crate::content::{Digest, Draft, Folder, Hasher};

/// A file that is being received. Dropping the upload before [`finish`](Self::finish) removes the file.
#[derive(Debug)]
pub struct Upload {
    draft: Draft,
    path: PathBuf,
    wanted: Digest,
    hasher: Hasher,
    left: u64,
    limit: u64,
}

impl Upload {
    /// Begins an upload of at most `limit` bytes to a folder.
    pub(super) async fn create(blobs: &Folder, wanted: Digest, limit: u64) -> Result<Self, Error> {
        let (blobs, name) = (blobs.clone(), wanted.to_string());
        let path = blobs.entry(&name);
        blocking(&path.clone(), move || {
            let draft = blobs.draft(&name).map_err(at(&path))?;
            Ok(Self { draft, path, wanted, hasher: Hasher::default(), left: limit, limit })
        })
        .await
    }

    /// Checks the length that the client announces, before the host reads the first byte of the file.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the length exceeds `deploy.max_upload`.
    pub fn announce(&self, length: u64) -> Result<(), Error> {
        if length <= self.limit { Ok(()) } else { Err(Error::TooLarge(self.limit)) }
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the file exceeds `deploy.max_upload`, [`Error::Full`] if the disk has no space for it.
    pub async fn write(mut self, bytes: Bytes) -> Result<Self, Error> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(Error::TooLarge(self.limit))?;
        blocking(&self.path.clone(), move || {
            self.hasher.update(&bytes);
            self.draft.write_all(&bytes).map_err(at(&self.path))?;
            Ok(self)
        })
        .await
    }

    /// Adds the file to the store.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the content does not have the announced digest.
    pub async fn finish(self) -> Result<(), Error> {
        let Self { draft, path, wanted, hasher, .. } = self;
        let found = hasher.digest();
        if found != wanted {
            return Err(Error::Mismatch { wanted, found });
        }
        blocking(&path.clone(), move || draft.keep().map_err(at(path))).await
    }
}

/// Runs work on tokio's blocking pool. The work is completed even if the caller is cancelled. Returns a panic as an I/O
/// error.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(at(path)(error.into())))
}
