//! Errors of the store.

use std::{io, path::PathBuf};

use super::id::{Id, InvalidId};
use crate::content::{Digest, InvalidDigest};

/// Error of the [`Store`](super::Store).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation of the file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The disk is full, or a limit of the system on the size of files was reached.
    #[error("{path}: {source}; free space on the disk of `deploy.folder`, or set it to a folder on another disk")]
    Full {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process has locked the folder.
    #[error("{0} is used by another host; give each host a `deploy.folder` of its own")]
    Taken(PathBuf),
    /// The content of a file on disk does not match its digest, or cannot be parsed.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The mismatch or syntax error, and the remedy.
        what: String,
    },
    /// A [`Manifest`](super::Manifest) is not valid.
    #[error("{0}")]
    Invalid(String),
    /// A text is not a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// A text is not an id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The content of an upload does not have the announced digest.
    #[error("the uploaded file has the digest {found} and not {wanted}; the file may have changed during the upload")]
    Mismatch {
        /// The digest in the address of the request.
        wanted: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// An upload exceeds `deploy.max_upload`, which is given in bytes.
    #[error("a file may have at most {0} bytes; `deploy.max_upload` sets this limit")]
    TooLarge(u64),
    /// The store has no generation with this id.
    #[error("there is no generation {0}")]
    Unknown(Id),
    /// The store lacks files of a generation.
    #[error("{} of the files of generation {id} are missing; upload them first", blobs.len())]
    Missing {
        /// The generation.
        id: Id,
        /// The digests of the missing files.
        blobs: Vec<Digest>,
    },
    /// A rollback was requested, and no generation was active before.
    #[error("there is no generation before the active one")]
    NothingBefore,
}

/// Returns a function that adds the path to an I/O error.
pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Full { path, source }
        }
        _ => Error::Io { path, source },
    }
}
