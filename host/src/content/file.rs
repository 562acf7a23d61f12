//! Reads of a file that are checked against its digest.

use std::{fs, io, path::PathBuf};

use super::digest::Digest;

/// A file, and the digest of its content if that is known in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFile {
    /// The file.
    pub path: PathBuf,
    /// `None` for a file that may change between reads.
    pub digest: Option<Digest>,
}

/// Error of a checked read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read, or its copy cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The content has another digest.
    #[error("its digest is {found}, and must be {expected}")]
    Mismatch {
        /// The digest that names the content.
        expected: Digest,
        /// The digest of the bytes that were read.
        found: Digest,
    },
}

impl PinnedFile {
    /// Reads the file, and returns the bytes with their digest.
    ///
    /// # Errors
    ///
    /// [`ReadError::Mismatch`] if the bytes that were read do not have the digest in advance.
    pub fn read(&self) -> Result<(Vec<u8>, Digest), ReadError> {
        let bytes = fs::read(&self.path)?;
        let found = Digest::of(&bytes);
        check(found, self.digest.unwrap_or(found))?;
        Ok((bytes, found))
    }
}

/// Compares a digest with the expected one.
pub(super) fn check(found: Digest, expected: Digest) -> Result<(), ReadError> {
    if found == expected { Ok(()) } else { Err(ReadError::Mismatch { expected, found }) }
}
