//! The imports that the host provides to guests. Each interface of the contract has its own module.

mod config;
mod context;
mod database;
mod log;
mod request;
mod response;

use super::{store::StoreData, wit::carya::host::types};

impl types::Host for StoreData {}
