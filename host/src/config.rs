//! The configuration as plain values. It is read at start and at each reload, and passed on as values: no other module
//! reads the file or the environment for it. `config/read.rs` makes these values from the text; their users interpret
//! them.

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

pub use database::{Database, Dialect, ServerDialect};
pub use deploy::{Deploy, Deployed, Listen, Shared, Tls};
pub use difference::DifferenceKind;
pub use image::{Image, ImageVersion, Login, Registry};
pub use problem::{Origin, Problem, Problems};
pub use read::{application, defaults, deploy_token, load, load_deployed, load_host, parse};
pub use url::{password as password_of, shown as shown_url};

/// All of `carya.toml`, with the values that environment variables override. Paths are absolute or relative to the
/// working directory; those in the file are relative to the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that was read.
    pub file: PathBuf,
    /// Whether to send lifecycle events to clients (`Server-Timing`) and to the log.
    pub debug: bool,
    /// `[server]`
    pub server: Server,
    /// `[database]`, the default database. Without it, the handles of routes that name no other database return an
    /// error for every statement.
    pub database: Option<Database>,
    /// `[database.NAME]`: further databases, for the routes that name them.
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
    /// The deployed generation that the file belongs to. `None` if it was not deployed.
    pub deployed: Option<Deployed>,
}

/// Name of the default database, where databases are listed by name.
pub const MAIN: &str = "default";

impl Config {
    /// Returns the folder that relative paths start at.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Returns all databases with their names, the default one first.
    pub fn all_databases(&self) -> impl Iterator<Item = (&str, &Database)> {
        let named = self.databases.iter().map(|(name, database)| (name.as_str(), database));
        self.database.iter().map(|database| (MAIN, database)).chain(named)
    }
}

/// Returns the section that configures a database, for messages.
pub fn section_of(database: &str) -> String {
    if database == MAIN { "[database]".to_owned() } else { format!("[database.{database}]") }
}

/// `[server]`: listeners, limits, timeouts and the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address and port of the application. With port 0, the system chooses one.
    pub listen: SocketAddr,
    /// Address and port of the metrics. Without it they are not served.
    pub metrics: Option<SocketAddr>,
    /// Maximum size of a request body, in bytes.
    pub max_body: usize,
    /// Maximum size of the response body that a guest makes, in bytes.
    pub max_response: usize,
    /// Maximum number of header fields in a guest's response.
    pub max_response_headers: usize,
    /// Maximum length of the header of a guest's response, in bytes.
    pub max_response_head: usize,
    /// Maximum number of connections to `listen`.
    pub connections: usize,
    /// Maximum time from the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Maximum time that a connection stays open without a request.
    pub idle_timeout: Duration,
    /// Maximum time for a client to receive each 16 KiB of a response.
    pub send_timeout: Duration,
    /// Maximum memory of unsent responses on all connections, in bytes.
    pub max_unsent: usize,
    /// Maximum time for a request's body to arrive, and again from then on for its response.
    pub request_timeout: Duration,
    /// Maximum time for running requests to end after a shutdown was requested.
    pub drain_timeout: Duration,
    /// Number of places for running requests. A request with many guests takes several. Further requests wait for at
    /// most 5 s, and are then answered with 503.
    pub max_concurrent_requests: usize,
    /// Folder for compiled components and pulled images, kept between starts.
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

/// `[transaction]`: settings of transactions, which routes can override.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Priority of the transaction among the hooks: those with this priority or a higher one run inside it.
    pub priority: i32,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Whether redirects roll back.
    pub rollback_on_redirect: bool,
    /// Maximum number of times that a request is run again after a conflict with another transaction.
    pub retries: u32,
    /// Isolation level of transactions. `None`: the default of the database.
    pub isolation: Option<Isolation>,
}

/// `[model]`: the component that initializes the default database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Name of the component that exports `model`.
    pub component: Option<String>,
}

/// `[[static]]`: a folder that is served without a guest.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticFiles {
    /// The path prefix: `/`, or a path like `/static` without a slash at its end.
    pub path: String,
    /// The folder that is served.
    pub folder: PathBuf,
    /// The line of the section in the file.
    pub line: usize,
}

/// `[component.NAME]`: a component with its settings and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The component's file. If it is in a registry, the path is not valid until the component is pulled.
    pub path: PathBuf,
    /// The reference to the component in a registry. `None` for a local file.
    pub image: Option<Image>,
    /// How `carya dev` builds it.
    pub build: Option<Build>,
    /// The settings that the guest reads through `config.get`: strings as they are, other values as JSON text.
    pub settings: BTreeMap<String, String>,
    /// Maximum memory of an instance, in bytes.
    pub memory: usize,
    /// Maximum duration of a call.
    pub timeout: Duration,
    /// Reuse of its instances. `None`: each request gets a new instance.
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

/// `reuse` of a component: an instance serves several requests, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Maximum number of requests that an instance serves.
    pub max_requests: u32,
}

/// `build` and `source` of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// The shell command that builds it, run in the folder of the configuration.
    pub command: String,
    /// The folder of its sources. A change there triggers a build.
    pub source: PathBuf,
}

/// `[[hook]]`, or an entry of a route's `hooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The component's name.
    pub component: String,
    /// Hooks run in ascending order of priority. The default is 100.
    pub priority: i32,
}

/// `[[route]]`: a path with the controller and hooks that serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// A path pattern in the syntax of `matchit`: `/items/{id}`, `/files/{*path}`.
    pub path: String,
    /// The methods, in upper case. An empty list means all methods that the component can serve.
    pub methods: Vec<String>,
    /// The component's name.
    pub component: String,
    /// The access mode for all methods. `None`: the method decides.
    pub transaction: Option<Access>,
    /// The name of the database. `None`: the default database.
    pub database: Option<String>,
    /// Overrides `isolation` of `[transaction]`.
    pub isolation: Option<Isolation>,
    /// Whether it reads from the primary only.
    pub primary: bool,
    /// Overrides `retries` of `[transaction]`.
    pub retries: Option<u32>,
    /// Overrides `commit_on` of `[transaction]`.
    pub commit_on: Option<StatusSet>,
    /// Overrides `rollback_on_redirect` of `[transaction]`.
    pub rollback_on_redirect: Option<bool>,
    /// The hooks of this route.
    pub hooks: Vec<Hook>,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

/// `[[smoke]]`: a test request that a new generation must answer before it is served. Its writes are rolled back, and
/// its actions do not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoke {
    /// The method, in upper case.
    pub method: String,
    /// The path, with its query if there is one.
    pub path: String,
    /// The body.
    pub body: String,
    /// The expected statuses.
    pub status: StatusSet,
    /// The line of the section in the file, for messages.
    pub line: usize,
}

/// `[reload]`: rules for the replacement of the served generation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reload {
    /// The kinds of difference from the served generation that a reload must not have.
    pub deny: Vec<DifferenceKind>,
    /// Whether a reload runs pending migrations. If not, it fails while migrations are pending.
    pub migrate: bool,
    /// Whether a reload runs the model's `init`. If not, only a start does.
    pub init: bool,
    /// How often to query registries for tags that have moved. `None`: never.
    pub poll: Option<Duration>,
}

/// Access of a request to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// No handle.
    None,
    /// A handle that reads.
    ReadOnly,
    /// A handle that reads and writes.
    ReadWrite,
}

impl Access {
    /// All access modes.
    pub const ALL: [Access; 3] = [Access::None, Access::ReadOnly, Access::ReadWrite];

    /// Returns the name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        }
    }
}

/// Isolation level of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each statement sees the transactions that were committed before the statement.
    ReadCommitted,
    /// All statements see the transactions that were committed before the first statement.
    RepeatableRead,
    /// Transactions have the same result as if they ran one after the other.
    Serializable,
}

impl Isolation {
    /// All isolation levels.
    pub const ALL: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

    /// Returns the name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read-committed",
            Isolation::RepeatableRead => "repeatable-read",
            Isolation::Serializable => "serializable",
        }
    }

    /// Returns the name in SQL, after `ISOLATION LEVEL`.
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
    /// Makes the set of the statuses in any of these ranges.
    pub fn new(ranges: Vec<std::ops::RangeInclusive<u16>>) -> Self {
        Self(ranges)
    }

    /// Returns the empty set.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}
