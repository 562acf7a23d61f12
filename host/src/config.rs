//! The configuration as plain values. It is read once, at start, and passed on as values; nothing else reads files
//! or the environment for it. How the text becomes these values is `config/read.rs`; what they mean is known where
//! they are used.

mod conflict;
mod context;
mod database;
mod deploy;
mod difference;
mod env;
mod image;
mod problem;
mod quantity;
mod read;
mod section;
mod tree;
mod url;
mod value;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use database::{Database, Dialect};
pub use deploy::{Deploy, Deployed, Listen, Shared, Tls};
pub use difference::DifferenceKind;
pub use image::{Image, ImageVersion, Login, Registry};
pub use problem::{Origin, Problem, Problems};
pub use read::{application, defaults, deploy_token, load, load_deployed, load_host, parse};
pub use url::{password as password_of, shown as shown_url};

/// The whole of `carya.toml`, with the environment's overrides applied. Paths are absolute or relative to the
/// working directory; those in the file are relative to the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that was read.
    pub file: PathBuf,
    /// Tell lifecycle events to clients (`Server-Timing`) and to the log.
    pub debug: bool,
    /// `[server]`
    pub server: Server,
    /// `[database]`, the default one; without it guests get handles that answer every statement with an error.
    pub database: Option<Database>,
    /// `[database.NAME]`: more databases, for the routes that name them.
    pub databases: BTreeMap<String, Database>,
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
    /// `[[smoke]]`
    pub smoke: Vec<Smoke>,
    /// `[reload]`
    pub reload: Reload,
    /// `[registry."HOST"]`
    pub registries: BTreeMap<String, Registry>,
    /// `[deploy]`
    pub deploy: Option<Deploy>,
    /// The generation that the file is part of, if it was deployed.
    pub deployed: Option<Deployed>,
}

/// What the default database is called where databases have names.
pub const MAIN: &str = "default";

impl Config {
    /// The folder that relative paths start at.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// All databases with their names, the default one first.
    pub fn all_databases(&self) -> impl Iterator<Item = (&str, &Database)> {
        let named = self.databases.iter().map(|(name, database)| (name.as_str(), database));
        self.database.iter().map(|database| (MAIN, database)).chain(named)
    }
}

/// The section that a database is configured in, for messages.
pub fn section_of(database: &str) -> String {
    if database == MAIN { "[database]".to_owned() } else { format!("[database.{database}]") }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address and port. Port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Address and port for those who read metrics; without it they are not served.
    pub metrics: Option<SocketAddr>,
    /// The longest request body, in bytes.
    pub max_body: usize,
    /// The longest response body that a guest may make, in bytes.
    pub max_response: usize,
    /// Maximum number of header fields in a guest's response.
    pub max_response_headers: usize,
    /// Maximum length of the header of a guest's response, in bytes.
    pub max_response_head: usize,
    /// Maximum number of connections to `listen`.
    pub connections: usize,
    /// How long the head of a request may take to arrive, from its first byte on.
    pub header_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a client may take to receive each 16 KiB of a response.
    pub send_timeout: Duration,
    /// Maximum memory of unsent responses on all connections, in bytes.
    pub max_unsent: usize,
    /// How long a request's body may take to arrive, and how long its answer may take from then on.
    pub request_timeout: Duration,
    /// How long requests in flight may go on once shutdown was asked for.
    pub drain_timeout: Duration,
    /// Requests that run at the same time; more wait.
    pub max_concurrent_requests: usize,
    /// Where compiled components are kept between starts.
    pub cache: PathBuf,
    /// Whether the kernel reports which pages of an instance were written.
    pub page_scan: PageScan,
}

/// How the memory of an instance that ended is found, which has to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageScan {
    /// By the kernel's report of written pages, where it has one and memory is not swapped.
    Auto,
    /// As a whole.
    Off,
}

impl PageScan {
    /// All of them.
    pub const ALL: [PageScan; 2] = [PageScan::Auto, PageScan::Off];

    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            PageScan::Auto => "auto",
            PageScan::Off => "off",
        }
    }
}

/// `[transaction]`
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Where the transaction stands among the hooks: those with this priority or more stand inside.
    pub priority: i32,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Redirects roll back.
    pub rollback_on_redirect: bool,
    /// How often a request is run again after a conflict with another transaction.
    pub retries: u32,
    /// How transactions are kept apart; without it, as the database has it.
    pub isolation: Option<Isolation>,
}

/// `[model]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// The component that exports `model`.
    pub component: Option<String>,
}

/// `[[static]]`
#[derive(Debug, Clone, PartialEq)]
pub struct StaticFiles {
    /// The path prefix: `/`, or as `/static` without a slash at its end.
    pub path: String,
    /// The folder it stands for.
    pub folder: PathBuf,
    /// The line of the section in the file.
    pub line: usize,
}

/// `[component.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The component's file. For one in a registry there is none until it is pulled.
    pub path: PathBuf,
    /// The reference that it is pulled by.
    pub image: Option<Image>,
    /// How `carya dev` builds it.
    pub build: Option<Build>,
    /// What the guest reads through `config.get`: strings as they are, everything else as JSON text.
    pub settings: BTreeMap<String, String>,
    /// The most memory one instance may have, in bytes.
    pub memory: usize,
    /// How long one call may take.
    pub timeout: Duration,
    /// Whether an instance may serve several requests, one after the other.
    pub reuse: Option<Reuse>,
}

impl Component {
    /// The component of a file, with the defaults of all other keys.
    pub fn of(path: PathBuf) -> Self {
        let (memory, timeout) = (64 << 20, Duration::from_secs(5));
        Self { path, image: None, build: None, settings: BTreeMap::new(), memory, timeout, reuse: None }
    }

    /// How many requests an instance may serve.
    pub fn max_requests(&self) -> u32 {
        self.reuse.map_or(1, |reuse| reuse.max_requests)
    }
}

/// `reuse` of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// How many requests an instance serves at most.
    pub max_requests: u32,
}

/// `build` and `source` of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// What the shell is given, in the folder of the configuration.
    pub command: String,
    /// The folder whose changes have it built again.
    pub source: PathBuf,
}

/// `[[hook]]`, or an entry of a route's `hooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The component's name.
    pub component: String,
    /// 100 unless said.
    pub priority: i32,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// A pattern as matchit has it: `/items/{id}`, `/files/{*path}`.
    pub path: String,
    /// The methods, in capitals; empty stands for all that the component can serve.
    pub methods: Vec<String>,
    /// The component's name.
    pub component: String,
    /// The access mode, whatever the method.
    pub transaction: Option<Access>,
    /// The name of its database, where it is not the default one.
    pub database: Option<String>,
    /// How its transactions are kept apart, where it differs from `[transaction]`.
    pub isolation: Option<Isolation>,
    /// It never reads from a replica.
    pub primary: bool,
    /// How often it is run again after a conflict, where it differs from `[transaction]`.
    pub retries: Option<u32>,
    /// The statuses that commit, where they differ from `[transaction]`.
    pub commit_on: Option<StatusSet>,
    /// Redirects roll back, where it differs from `[transaction]`.
    pub rollback_on_redirect: Option<bool>,
    /// Hooks of this route.
    pub hooks: Vec<Hook>,
    /// The line it stands on, for messages.
    pub line: usize,
}

/// `[[smoke]]`: a request that a new generation answers before it is served. What it writes is rolled back, and actions
/// that it registers do not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoke {
    /// The method, in capitals.
    pub method: String,
    /// The path, with its query if there is one.
    pub path: String,
    /// The body.
    pub body: String,
    /// The statuses that are right.
    pub status: StatusSet,
    /// The line it stands on, for messages.
    pub line: usize,
}

/// `[reload]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reload {
    /// A generation that differs in this way from the one that is served is refused.
    pub deny: Vec<DifferenceKind>,
    /// Pending migrations are run; else they refuse the reload.
    pub migrate: bool,
    /// The model's `init` runs; else at starts only.
    pub init: bool,
    /// How often registries are asked whether a tag that is served means something else by now.
    pub poll: Option<Duration>,
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

/// How far a transaction is kept apart from others that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    ReadCommitted,
    /// All statements see what was committed before the first.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

impl Isolation {
    /// All of them.
    pub const ALL: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

    /// The word for it in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read-committed",
            Isolation::RepeatableRead => "repeatable-read",
            Isolation::Serializable => "serializable",
        }
    }

    /// The words for it in SQL, after `ISOLATION LEVEL`.
    pub fn as_sql(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
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
