//! Sandboxed guests: compiling, checking, instantiating and calling them, and the imports that the host offers. The only
//! room that names wasmtime. It lends a transaction as a session, and knows neither HTTP servers nor the reason of a call.

mod call;
mod capabilities;
pub mod code;
mod contract;
mod core_module;
pub mod engine;
mod export;
mod identity;
pub mod imports;
mod indices;
mod instances;
mod interface;
mod load;
mod loaded;
mod offer;
mod store;
mod trial;
pub mod wit;

pub(crate) use call::CallError;
pub use capabilities::Capabilities;
pub use engine::{Engine, MAX_MEMORY};
pub use export::Export;
pub use identity::Identity;
pub use interface::{PACKAGE, VERSION};
pub use load::{Inspection, LoadError};
pub use loaded::Component;
pub(crate) use store::{Guests, RequestState};
