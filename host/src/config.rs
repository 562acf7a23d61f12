//! The configuration as plain values. It is read once, at start, and passed on as values; nothing else reads files
//! or the environment for it. How the text becomes these values is `config/read.rs`; what they mean is known where
//! they are used.

mod conflict;
mod context;
mod env;
mod problem;
mod quantity;
mod read;
mod section;
mod tree;
mod value;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

pub use problem::{Origin, Problem, Problems};
pub use read::{defaults, load, parse};

/// The whole of `carya.toml`, with the environment's overrides applied. Paths are absolute or relative to the
/// working directory; those in the file are relative to the file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read.
    pub file: PathBuf,
    /// Tell lifecycle events to clients (`Server-Timing`) and to the log.
    pub debug: bool,
    /// `[server]`
    pub server: Server,
    /// `[database]`; without it guests get handles that answer every statement with an error.
    pub database: Option<Database>,
    /// `[transaction]`
    pub transaction: Transaction,
    /// `[model]`
    pub model: Model,
    /// `[templates] folder`
    pub templates: Option<PathBuf>,
    /// `[[static]]`
    pub static_files: Vec<StaticFiles>,
    /// `[component.NAME]`
    pub components: BTreeMap<String, Component>,
    /// `[[hook]]`: the global hooks, in order of registration.
    pub hooks: Vec<Hook>,
    /// `[[route]]`
    pub routes: Vec<Route>,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// Address and port. Port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// The longest request body, in bytes.
    pub max_body: usize,
    /// The longest response body that a guest may make, in bytes.
    pub max_response: usize,
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive, and how long its answer may take from then on.
    pub request_timeout: Duration,
    /// How long requests in flight may go on once shutdown was asked for.
    pub drain_timeout: Duration,
    /// Requests that run at the same time; more wait.
    pub max_concurrent_requests: usize,
    /// Where compiled components are kept between starts.
    pub cache: PathBuf,
}

/// `[database]`
#[derive(Debug, Clone)]
pub struct Database {
    /// `sqlite://PATH`, with the path relative to the configuration file; made if it is not there.
    pub url: String,
    /// Reading connections. SQLite has one writing connection besides.
    pub max_connections: u32,
    /// A connection older than this is replaced.
    pub max_lifetime: Duration,
    /// How long a request waits for a connection before it is answered 503.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long to wait for another process's lock on an SQLite file.
    pub busy_timeout: Duration,
    /// The most rows that one statement may return.
    pub max_rows: usize,
    /// The most bytes that the rows of one statement may hold.
    pub max_result: usize,
    /// Log every statement with its duration and row count.
    pub echo: bool,
    /// Log connections as they are opened and lent.
    pub echo_pool: bool,
}

/// `[transaction]`
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Where the transaction stands among the hooks: those with this priority or more stand inside.
    pub priority: i32,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Redirects roll back.
    pub rollback_on_redirect: bool,
    /// How often a request is run again after a conflict with another transaction.
    pub retries: u32,
}

/// `[model]`
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The component that exports `model`.
    pub component: Option<String>,
    /// A folder of SQL files, `0001_name.sql`.
    pub migrations: Option<PathBuf>,
}

/// `[[static]]`
#[derive(Debug, Clone)]
pub struct StaticFiles {
    /// The path prefix, as `/static`.
    pub path: String,
    /// The folder it stands for.
    pub folder: PathBuf,
}

/// `[component.NAME]`
#[derive(Debug, Clone)]
pub struct Component {
    /// The component's file.
    pub path: PathBuf,
    /// What the guest reads through `config.get`: strings as they are, everything else as JSON text.
    pub settings: BTreeMap<String, String>,
    /// The most memory one instance may have, in bytes.
    pub memory: usize,
    /// How long one call may take.
    pub timeout: Duration,
}

/// `[[hook]]`, or an entry of a route's `hooks`.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The component's name.
    pub component: String,
    /// 100 unless said.
    pub priority: i32,
}

/// `[[route]]`
#[derive(Debug, Clone)]
pub struct Route {
    /// A pattern as matchit has it: `/items/{id}`, `/files/{*path}`.
    pub path: String,
    /// The methods, in capitals; empty stands for all that the component can serve.
    pub methods: Vec<String>,
    /// The component's name.
    pub component: String,
    /// The access mode, whatever the method.
    pub transaction: Option<Access>,
    /// The statuses that commit, where they differ from `[transaction]`.
    pub commit_on: Option<StatusSet>,
    /// Redirects roll back, where it differs from `[transaction]`.
    pub rollback_on_redirect: Option<bool>,
    /// Hooks of this route.
    pub hooks: Vec<Hook>,
    /// The line it stands on, for messages.
    pub line: usize,
}

/// What a request may do with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// No handle at all.
    None,
    /// A handle that reads.
    ReadOnly,
    /// A handle that reads and writes.
    ReadWrite,
}

impl Access {
    /// All of them.
    pub const ALL: [Access; 3] = [Access::None, Access::ReadOnly, Access::ReadWrite];

    /// The word for it in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        }
    }
}

/// A set of HTTP statuses, written as `["2xx", "404"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<std::ops::RangeInclusive<u16>>);

impl StatusSet {
    /// The statuses in any of these ranges.
    pub fn new(ranges: Vec<std::ops::RangeInclusive<u16>>) -> Self {
        Self(ranges)
    }

    /// No status at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}
