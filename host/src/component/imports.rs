//! The imports that the host offers to guests, a file for each interface of the contract.

mod config;
mod context;
pub mod database;
mod log;
mod request;
mod response;
pub mod wasi;

use super::{store::StoreData, wit::carya::host::types};
use crate::config::Access;

impl types::Host for StoreData {}

impl From<types::AccessMode> for Access {
    fn from(mode: types::AccessMode) -> Self {
        match mode {
            types::AccessMode::None => Access::None,
            types::AccessMode::ReadOnly => Access::ReadOnly,
            types::AccessMode::ReadWrite => Access::ReadWrite,
        }
    }
}
