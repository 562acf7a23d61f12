//! WebAssembly component host that runs the transaction of every request natively around sandboxed guests.
//! `ARCHITECTURE.md` beside this crate lists the modules.

pub mod admin;
pub mod app;
pub mod cli;
pub mod component;
pub mod config;
pub mod content;
pub mod database;
pub mod delivery;
pub mod deploy;
pub mod diff;
pub mod error;
pub mod exchange;
pub mod fleet;
pub mod gate;
pub mod generation;
pub mod harden;
pub mod lifecycle;
pub mod message;
pub mod migrate;
pub mod oci;
pub mod outbox;
pub mod private;
pub mod reload;
pub mod render;
pub mod routes;
pub mod server;
pub mod sql;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod transaction;
pub mod watch;
