//! Content on disk: files with names that always refer to the same content. Deployed files, pulled images and compiled
//! code are stored in a [`Folder`] each. This module does not interpret contents, and does not decide which files are
//! needed.

mod digest;
mod draft;
mod file;
mod folder;

pub use self::digest::Digest;
pub(crate) use self::{
    digest::{Hasher, InvalidDigest},
    draft::{Draft, remove, rename, sync_folder, temporary_path, write, write_secret},
    file::{PinnedFile, ReadError},
    folder::{Folder, Removed, entries},
};
