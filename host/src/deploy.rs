//! Deployed generations on disk: files by their digest, generations as lists of files, and the order in which
//! generations were activated.
//!
//! The store stays consistent if the process is killed or the machine loses power, and checks everything that it reads.
//! It does not interpret the files.

mod collect;
mod error;
mod id;
mod manifest;
mod records;
mod store;
mod upload;

pub use self::{
    collect::{Collected, SPARE},
    error::Error,
    id::{Id, InvalidId},
    manifest::{Manifest, NAME},
    store::{Step, Store, Unpacked},
    upload::Upload,
};
pub use crate::content::Digest;
