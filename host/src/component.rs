//! Sandboxed guests: compiling, checking, instantiating and calling them, and the imports that the host offers. The only
//! room that names wasmtime. It lends a transaction as a session, and knows neither HTTP servers nor the reason of a call.

pub(crate) mod answer;
mod call;
mod capabilities;
mod code;
mod contract;
mod convert;
mod core_module;
mod engine;
mod export;
mod handles;
mod identity;
mod imports;
mod indices;
mod instances;
mod interface;
mod load;
mod loaded;
mod offer;
mod store;
mod trial;
mod visit;
mod wasi;
mod wit;

pub(crate) use call::CallError;
pub use capabilities::Capabilities;
pub use engine::{Engine, EngineError, MAX_MEMORY};
pub use export::Export;
pub use identity::Identity;
pub use interface::{PACKAGE, VERSION};
pub use load::{Inspection, LoadError};
pub use loaded::Component;
pub(crate) use store::RequestState;
pub(crate) use visit::Guests;
