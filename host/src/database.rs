//! The application's database, behind a barrier that guests' statements cannot leave. Knows SQL and connections;
//! knows nothing of WebAssembly, HTTP or why a transaction ends.

pub mod error;
pub mod guard;
pub mod migrate;
pub mod outbox;
mod sqlite;
pub mod value;

pub use sqlite::{Connection, Database};

pub use crate::config::Access;
