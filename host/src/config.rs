//! The configuration as plain values. It is read at the start and at each reload, and passed on as values: no other
//! module reads the file or the environment for it.
//!
//! Each section has a module with its values and its reader. The reader describes each key where it reads it: name,
//! type, default, dialects, and a line of documentation. The records of a reading (`config/record.rs`) are the source of
//! the list of known keys, of the reference page, of [`schema`] and of [`effective`].

mod acme;
mod component;
mod compression;
mod conflict;
mod context;
mod database;
mod deploy;
mod destination;
mod dialect;
mod difference;
mod effective;
mod entry;
mod env;
mod file;
mod filter;
mod headers;
mod image;
mod listen;
mod load;
mod log;
mod mask;
mod outbound;
mod path;
mod pattern;
mod places;
mod problem;
mod proxy;
mod quantity;
mod rate_limit;
mod record;
#[cfg(test)]
mod reference;
mod registry;
mod route;
mod schema;
mod section;
mod server;
mod test;
mod tls;
mod transaction;
mod tree;
mod types;
mod url;
mod value;

pub use acme::Acme;
pub use component::{Build, ComponentConfig, Reuse, Warm};
pub use compression::{Compression, Encoding};
pub use database::{DatabaseConfig, MAIN, migrations_key, section_of, url_key};
pub use deploy::{Deploy, Deployed, Shared};
pub use destination::Destination;
pub use dialect::{Dialect, ServerDialect};
pub use difference::DifferenceKind;
pub use effective::effective;
pub(crate) use env::abstract_notify_socket;
pub use file::{Config, HEALTH, Model, Reload};
pub use headers::{Cors, HOST_FIELDS, Headers};
pub use image::{Image, ImageVersion};
pub use listen::{Listen, Redirect, Sockets};
pub use load::{application, defaults, deploy_token, load, load_deployed, load_host, parse};
pub use outbound::Outbound;
pub use problem::{Origin, Place, Problem, Problems};
pub use proxy::{ProxyHeaders, TrustedProxy};
pub use rate_limit::{LimitBy, RateLimit};
pub use registry::{Login, Registry};
pub use route::{Hook, Route, Smoke, StaticFiles};
pub use schema::schema;
pub use server::{PageScan, Server};
pub use test::{Test, TestServer};
pub use tls::Tls;
pub use transaction::{Access, Isolation, StatusSet, Transaction};
pub use url::{option as option_of_url, password as password_of, same_database, shown as shown_url, with_database};
