//! WebAssembly component host that runs the transaction of every request natively around sandboxed guests.
//!
//! The crate is the program `carya`; its library exists for the program, the tests and the benchmarks. Read [`lifecycle`]
//! first. [`transaction`] shows the order of steps that its types enforce, with examples of orders that do not compile.
//! `host/ARCHITECTURE.md` lists the steps of a request with their files, the invariants, and the reasons of the design.
//!
//! A *room* is a top-level module with its folder. A room imports only from rooms below it in this list:
//!
//! | room | responsibility |
//! |---|---|
//! | [`cli`] | the command line; the client of the deployment API |
//! | `testing` | `carya test`: copies of an application on throw-away databases |
//! | `admin` | the listener and the routes of the deployment API |
//! | `fleet` | several hosts agree on an activation and follow those of other hosts |
//! | `acme` | obtains the certificate of the listener, and renews it |
//! | `watch` | triggers of reloads: changed files, moved tags, repeated attempts |
//! | `reload` | files to the next generation, and the swap |
//! | `diff` | compares the powers of two generations |
//! | [`app`] | configuration to generation |
//! | `server` | listeners, the served generation, static files, shutdown |
//! | `exchange` | HTTP to request and reply to HTTP; detaches a request from its connection |
//! | [`lifecycle`] | the phases of a request |
//! | `delivery` | actions after the outcome, the outbox |
//! | [`generation`] | an application that is served, fixed; hook chains |
//! | `render` | responses of guests to replies |
//! | `error` | failures to statuses |
//! | [`component`] | wasmtime: engine, code cache, loading and trial, stores, calls, imports |
//! | [`transaction`] | binding, session, access mode, verdict, actions, trace |
//! | [`message`] | requests and replies as values |
//! | [`rates`] | rate limits: counts the requests of each client |
//! | [`routes`] | the routing table |
//! | `token` | commit positions in headers and cookies |
//! | `oci` | references to files, pulled from registries, stored by digest |
//! | `outbound` | HTTP requests of guests: destinations, addresses, the client |
//! | `harden` | logins with few rights for guests' statements: the script and its check |
//! | `outbox` | durable actions in the database |
//! | `migrate` | migrations and resets of the schema |
//! | `database` | SQLite behind its barrier, servers with pools and replicas, dialects |
//! | [`gate`] | classifies the SQL of guests, and refuses statements that could cross the barrier |
//! | [`sql`] | statements, values, rows, errors, commit positions |
//! | [`deploy`] | deployed generations on disk |
//! | `supervisor` | notifications of the service manager |
//! | [`config`] | `carya.toml` to values |
//! | `content` | files by digest: verified reads, durable writes, collection |
//! | `telemetry` | the log and its limits, metrics |
//! | `task` | background tasks that start again after a panic |
//! | `tls` | cryptography, certificates of listeners, certificate errors of the host's clients |
//! | `quota` | numbers of things that exist at a time, with maximums |
//! | `private` | folders and files that no other user may change |
//! | `allocator` | limits the freed memory that the process retains |

mod acme;
mod admin;
mod allocator;
pub mod app;
pub mod cli;
pub mod component;
pub mod config;
mod content;
mod database;
mod delivery;
pub mod deploy;
mod diff;
mod error;
mod exchange;
mod fleet;
pub mod gate;
pub mod generation;
mod harden;
pub mod lifecycle;
pub mod message;
mod migrate;
mod oci;
mod outbound;
mod outbox;
mod private;
mod quota;
pub mod rates;
mod reload;
mod render;
pub mod routes;
mod server;
pub mod sql;
mod supervisor;
mod task;
mod telemetry;
mod testing;
mod tls;
mod token;
pub mod transaction;
mod watch;
