//! The folder of deployed generations. A generation is a version of the application. The folder contains the files of
//! all generations, named by their digests; a manifest for each generation, which lists its files; and a record of the
//! order in which generations were activated.
//!
//! [`Store`] keeps the folder consistent if the process is killed or the machine loses power, and validates everything
//! that it reads. It does not interpret the files of an application.

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
