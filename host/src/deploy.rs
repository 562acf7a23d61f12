//! What was deployed, on disk: files by their digest, generations as lists of files, and which of them was activated
//! last. It survives being killed at any moment, and believes nothing that it reads. What the files mean is not known
//! here.

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

/// Files that no generation names are left alone for so long: they may belong to a deployment that goes on.
pub const SPARE: Duration = Duration::from_secs(60 * 60);

/// Why something cannot be kept, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error("{0} is used by another host; give each its own `deploy.folder`")]
    Taken(PathBuf),
    /// A file on disk is not what it was when it was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows, and what to do.
        what: String,
    },
    /// A list of files that cannot be a generation.
    #[error("{0}")]
    Invalid(String),
    /// What was uploaded is not what it was announced as.
    #[error("what was sent has the digest {found} and not {wanted}; has the file changed meanwhile?")]
    Mismatch {
        /// The digest in the address.
        wanted: Digest,
        /// The digest of what was sent.
        found: Digest,
    },
    /// An upload is too long.
    #[error("a file may have at most {0} bytes; `deploy.max_upload` sets it")]
    TooLarge(u64),
    /// There is no such generation.
    #[error("there is no generation {0}")]
    Unknown(Id),
    /// Files of a generation are not there.
    #[error("{} of the files of generation {id} are not there; upload them first", blobs.len())]
    Missing {
        /// The generation.
        id: Id,
        /// The digests.
        blobs: Vec<Digest>,
    },
    /// Nothing to go back to.
    #[error("there is no generation before the active one")]
    NothingBefore,
}

/// Adds the path to what the system says.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    |source| Error::Io { path, source }
}
