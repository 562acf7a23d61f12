//! The upload of one file: written to a temporary file, and renamed once all of it is on disk and has the right digest.

use std::path::PathBuf;

use sha2::Digest as _;
use tokio::{fs::File, io::AsyncWriteExt};

use super::{Digest, Error, at, durable};

/// A file that is being received. Dropping the upload before [`finish`](Self::finish) removes the file.
#[derive(Debug)]
pub struct Upload {
    file: File,
    part: PathBuf,
    blob: PathBuf,
    wanted: Digest,
    hasher: sha2::Sha256,
    left: u64,
    limit: u64,
}

impl Upload {
    pub(super) async fn begin(blob: PathBuf, wanted: Digest, limit: u64) -> Result<Self, Error> {
        let part = durable::unfinished(&blob);
        let file = File::create_new(&part).await.map_err(at(&part))?;
        Ok(Self { file, part, blob, wanted, hasher: sha2::Sha256::new(), left: limit, limit })
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the file exceeds `deploy.max_upload`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(Error::TooLarge(self.limit))?;
        self.hasher.update(bytes);
        self.file.write_all(bytes).await.map_err(at(&self.part))
    }

    /// Adds the file to the store.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the content does not have the announced digest.
    pub async fn finish(mut self) -> Result<(), Error> {
        let found = Digest::end(std::mem::take(&mut self.hasher));
        if found != self.wanted {
            return Err(Error::Mismatch { wanted: self.wanted.clone(), found });
        }
        // The content must be on disk before the file gets its final name.
        self.file.flush().await.map_err(at(&self.part))?;
        self.file.sync_all().await.map_err(at(&self.part))?;
        // A blocking task completes the rename even if the caller is cancelled.
        let finished = tokio::task::spawn_blocking(move || durable::rename(&self.part, &self.blob)).await;
        finished.unwrap_or_else(|error| Err(Error::Invalid(format!("the upload was ended: {error}"))))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // After the rename the temporary file does not exist, and this fails.
        let _ = std::fs::remove_file(&self.part);
    }
}
