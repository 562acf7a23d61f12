//! Sandboxed guests: loads, instantiates and calls components, and provides their imports. No other module uses the
//! `wasmtime` crate. Guests receive the database session of a request as a handle. This module does not depend on the
//! HTTP server, and its callers decide when a guest is called.

pub(crate) mod answer;
mod call;
mod capabilities;
mod code;
mod contract;
mod convert;
mod core_module;
mod engine;
mod export;
mod failure;
mod handles;
mod http;
mod imports;
mod incoming;
mod indices;
mod instances;
mod interface;
mod load;
mod loaded;
mod log;
mod normalize;
mod offer;
mod properties;
mod proposals;
mod served;
mod store;
mod tail;
mod trial;
mod visit;
mod warm;
mod wasi;
mod wit;

pub use capabilities::Capabilities;
pub use engine::{Engine, EngineError, MAX_MEMORY};
pub use export::Export;
pub(crate) use failure::{CallError, Cause};
pub use interface::{CURRENT, PACKAGE, VERSION};
pub(crate) use load::build_remedy;
pub use load::{Inspection, LoadError};
pub use loaded::Component;
pub use properties::Properties;
pub use served::ServedRoutes;
pub(crate) use store::RequestState;
pub(crate) use visit::Guests;
