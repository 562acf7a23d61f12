//! Sandboxed guests: compiling, checking, instantiating and calling them, and what they may import. The only room that
//! names wasmtime. Knows transactions as sessions to lend; knows nothing of HTTP servers and of why a call is made.

pub mod call;
pub mod code;
mod contract;
mod core_module;
pub mod engine;
pub mod imports;
mod instances;
mod load;
mod offer;
pub mod registry;
pub mod store;
mod trial;
pub mod wit;

pub use call::CallError;
pub use engine::{Engine, MAX_MEMORY};
pub use load::{Inspection, LoadError};
pub use registry::{Capabilities, Component};
pub use store::{Guests, RequestState};
