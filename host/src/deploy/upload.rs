//! One file on its way in. It gets its name when all of it is on disk and is what it was announced as.

use std::path::PathBuf;

use sha2::Digest as _;
use tokio::{fs::File, io::AsyncWriteExt};

use super::{Digest, Error, at, durable};

/// A file that is being taken in. Dropped before its end, it leaves nothing.
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

    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(Error::TooLarge(self.limit))?;
        self.hasher.update(bytes);
        self.file.write_all(bytes).await.map_err(at(&self.part))
    }

    /// Keeps the file, if it is the right one.
    pub async fn finish(mut self) -> Result<(), Error> {
        let found = Digest::end(std::mem::take(&mut self.hasher));
        if found != self.wanted {
            return Err(Error::Mismatch { wanted: self.wanted.clone(), found });
        }
        self.file.flush().await.map_err(at(&self.part))?;
        self.file.sync_all().await.map_err(at(&self.part))?;
        // To the end, whether or not somebody still waits.
        let finished = tokio::task::spawn_blocking(move || durable::rename(&self.part, &self.blob)).await;
        finished.unwrap_or_else(|error| Err(Error::Invalid(format!("the upload was ended: {error}"))))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Nothing is there any more once it has its name.
        let _ = std::fs::remove_file(&self.part);
    }
}
