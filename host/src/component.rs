//! Sandboxed guests: compiling, checking, instantiating and calling them, and the imports that the host offers. The only
//! room that names wasmtime. It lends a transaction as a session, and knows neither HTTP servers nor the reason of a call.

mod call;
pub mod code;
mod contract;
mod core_module;
pub mod engine;
pub mod imports;
mod instances;
mod load;
mod offer;
pub mod registry;
mod store;
mod trial;
pub mod wit;

pub(crate) use call::CallError;
pub use engine::{Engine, MAX_MEMORY};
pub use load::{Inspection, LoadError};
pub use registry::{Capabilities, Component};
pub(crate) use store::{Guests, RequestState};
