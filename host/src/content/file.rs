//! Reads a file and checks its content against a digest.

use std::{fs, io, path::PathBuf};

use super::digest::Digest;

/// A file, and the digest that its content must have.
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
        /// The digest that the content must have.
        expected: Digest,
        /// The digest of the content that was read.
        found: Digest,
    },
}

impl PinnedFile {
    /// Reads the file, and returns the bytes with their digest.
    ///
    /// # Errors
    ///
    /// [`ReadError::Mismatch`] if `digest` is set and the content has another digest.
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
