//! The imports that the host offers to guests, a file for each interface of the contract.

mod config;
mod context;
mod database;
mod log;
mod request;
mod response;

use super::{store::StoreData, wit::carya::host::types};

impl types::Host for StoreData {}
