//! Deployed generations on disk: files by their digest, generations as lists of files, and the order in which
//! generations were activated.
//!
//! The store stays consistent if the process is killed or the machine loses power, and checks everything that it reads.
//! It does not interpret the files.

mod collect;
mod durable;
mod manifest;
mod store;
mod upload;

use std::{io, path::PathBuf, time::Duration};

pub use self::{
    collect::Collected,
    manifest::{Digest, Id, Manifest, NAME},
    store::{Step, Store},
    upload::Upload,
};

/// Age below which collection spares files and generations that nothing refers to: they may belong to a deployment in
/// progress.
pub const SPARE: Duration = Duration::from_secs(60 * 60);

/// Error of the [`Store`].
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
    /// Another process has locked the folder.
    #[error("{0} is used by another host; give each its own `deploy.folder`")]
    Taken(PathBuf),
    /// The content of a file on disk does not match its digest, or cannot be parsed.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The mismatch or syntax error, and the remedy.
        what: String,
    },
    /// A [`Manifest`], [`Digest`] or [`Id`] is not valid, or an upload was interrupted.
    #[error("{0}")]
    Invalid(String),
    /// The content of an upload does not have the announced digest.
    #[error("what was sent has the digest {found} and not {wanted}; has the file changed meanwhile?")]
    Mismatch {
        /// The digest in the address of the request.
        wanted: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// An upload exceeds `deploy.max_upload`, which is given in bytes.
    #[error("a file may have at most {0} bytes; `deploy.max_upload` sets it")]
    TooLarge(u64),
    /// The store has no generation with this id.
    #[error("there is no generation {0}")]
    Unknown(Id),
    /// The store lacks files of a generation.
    #[error("{} of the files of generation {id} are not there; upload them first", blobs.len())]
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
fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    |source| Error::Io { path, source }
}
