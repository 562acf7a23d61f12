//! The imports that the host provides to guests. Each interface of the contract, and `wasi:http`, has its own
//! module.

mod config;
mod context;
mod current;
mod database;
pub(super) mod http;
mod identity;
mod log;
mod request;
mod response;

use super::{store::StoreData, wit::carya::host::types};

impl types::Host for StoreData {}
