//! The compared servers, and how to start each of them with or without a database.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    databases::Engine,
    error::Result,
    process::{self, Process, existing},
    work::{CONNECTIONS, Work},
};

/// A server that takes part in the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Contestant {
    /// The program `bench/native`.
    Native,
    /// carya with a new instance for each request.
    Carya,
    /// carya with `reuse`.
    CaryaReuse,
    /// `wasmtime serve` without options.
    Wasmtime,
    /// `wasmtime serve` with all options that make it faster.
    WasmtimeTuned,
    /// Pecan under gunicorn with worker processes.
    PecanSync,
    /// Pecan under gunicorn with threads.
    PecanThreads,
    /// Node.js with fastify and better-sqlite3.
    Node,
    /// workerd with a Durable Object on SQLite.
    Workerd,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native axum",
            Self::Carya => "carya",
            Self::CaryaReuse => "carya, reuse",
            Self::Wasmtime => "wasmtime serve",
            Self::WasmtimeTuned => "wasmtime serve, tuned",
            Self::PecanSync => "Pecan, sync workers",
            Self::PecanThreads => "Pecan, threads",
            Self::Node => "Node with fastify",
            Self::Workerd => "workerd",
        })
    }
}

/// Folders that the benchmark reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The build folder of the workspace.
    pub(crate) target: PathBuf,
    /// The source folder `bench/`.
    pub(crate) sources: PathBuf,
    /// Folder for databases, logs, configurations, and the cache of compiled code.
    pub(crate) scratch: PathBuf,
}

impl Places {
    pub(crate) fn carya(&self) -> Result<PathBuf> {
        existing(&self.target, "release/carya")
    }

    pub(crate) fn guest(&self, name: &str) -> Result<PathBuf> {
        existing(&self.target, &format!("bench/guests/wasm32-wasip2/release/{name}.wasm"))
    }
}

impl Contestant {
    /// Returns whether the server supports a workload. `wasmtime serve` has no database. Pecan implements only some of
    /// the workloads, and runs them only with the default number of connections. Node and workerd take part only in the
    /// part `languages`.
    pub(crate) fn does(self, work: &Work) -> bool {
        match self {
            Self::Native | Self::Carya => true,
            Self::CaryaReuse => !work.name.contains("by query-json"),
            Self::Wasmtime | Self::WasmtimeTuned => work.name == "hello",
            Self::PecanSync | Self::PecanThreads => {
                let known = matches!(work.name.as_str(), "hello" | "GET one row" | "POST one row");
                known && work.connections == CONNECTIONS && work.engine != Some(Engine::MariaDb)
            }
            Self::Node | Self::Workerd => false,
        }
    }

    /// Starts the server. `url` is the URL of its database.
    pub(crate) async fn start(self, places: &Places, url: Option<&str>) -> Result<Process> {
        let port = process::free_port()?;
        let log = places.scratch.join(format!("{self}.log").replace([',', ' '], "-"));
        let mut command = match self {
            Self::Native => {
                let mut command = Command::new(existing(&places.target, "release/native")?);
                command.arg(format!("127.0.0.1:{port}")).args(url);
                command
            }
            Self::Carya | Self::CaryaReuse => {
                let file = places.scratch.join(format!("carya-{port}.toml"));
                std::fs::write(&file, application(places, url, port, self == Self::CaryaReuse)?)?;
                serve(places, &file)?
            }
            Self::Wasmtime | Self::WasmtimeTuned => self.wasmtime(places, port)?,
            Self::PecanSync | Self::PecanThreads => self.pecan(places, port, url)?,
            Self::Node => node(places, port, url)?,
            Self::Workerd => workerd(places, port)?,
        };
        Process::start(&mut command, port, log).await
    }

    fn wasmtime(self, places: &Places, port: u16) -> Result<Command> {
        let mut command = Command::new(existing(&places.target, "bench/tools/bin/wasmtime")?);
        // `-Scli` adds the interfaces that Rust's standard library imports beyond the world of wasi:http.
        command.args(["serve", "-Scli", "--addr", &format!("127.0.0.1:{port}")]);
        if self == Self::WasmtimeTuned {
            command.args([
                "-Opooling-allocator=y,pooling-memory-keep-resident=2097152,pooling-table-keep-resident=65536",
                "-Opooling-pagemap-scan=auto",
                "--max-instance-reuse-count=128",
            ]);
        }
        command.arg(places.guest("wasi_http_hello")?);
        Ok(command)
    }

    fn pecan(self, places: &Places, port: u16, url: Option<&str>) -> Result<Command> {
        let mut command = Command::new(existing(&places.target, "bench/pecan/bin/gunicorn")?);
        command.args(["--workers", "2", "--keep-alive", "75", "--bind", &format!("127.0.0.1:{port}")]);
        command.args(match self {
            Self::PecanThreads => ["--worker-class", "gthread", "--threads", "4"].as_slice(),
            _ => &["--worker-class", "sync"],
        });
        command.args(["--access-logfile", "-", "--log-level", "warning", "app:application"]);
        command.current_dir(places.sources.join("pecan"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("BENCH_DATABASE", url.unwrap_or_default());
        Ok(command)
    }
}

fn node(places: &Places, port: u16, url: Option<&str>) -> Result<Command> {
    // Node.js looks for packages beside the program.
    let program = existing(&places.target, "bench/node")?.join("app.mjs");
    std::fs::copy(places.sources.join("node/app.mjs"), &program)?;
    let mut command = Command::new("node");
    command.arg(program).arg(port.to_string());
    command.args(url.and_then(|url| url.strip_prefix("sqlite://")));
    command.env("NODE_ENV", "production");
    Ok(command)
}

/// Returns the command for workerd. Its Durable Object creates its own database.
fn workerd(places: &Places, port: u16) -> Result<Command> {
    let disk = places.scratch.join("workerd");
    std::fs::create_dir_all(&disk)?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "64" };
    // The program itself: `node_modules/.bin/workerd` is a script that starts it as a child.
    let program = format!("bench/workerd/node_modules/@cloudflare/workerd-linux-{architecture}/bin/workerd");
    let mut command = Command::new(existing(&places.target, &program)?);
    command
        .arg("serve")
        .arg(places.sources.join("workerd/config.capnp"))
        .arg(format!("--socket-addr=http=127.0.0.1:{port}"))
        .arg(format!("--directory-path=disk={}", disk.display()));
    Ok(command)
}

/// Starts carya with a configuration that begins with keys of `[server]`, under a name for its files.
pub(crate) async fn start(places: &Places, name: &str, text: &str, env: &[(&str, &str)]) -> Result<Process> {
    let port = process::free_port()?;
    let [file, log] = ["toml", "log"].map(|extension| places.scratch.join(format!("carya-{name}.{extension}")));
    std::fs::write(&file, format!("{}{text}", head(places, port)))?;
    Process::start(serve(places, &file)?.envs(env.iter().copied()), port, log).await
}

/// Returns the command `carya serve` for a configuration.
pub(crate) fn serve(places: &Places, file: &Path) -> Result<Command> {
    let mut command = Command::new(places.carya()?);
    command.args(["serve", "--config"]).arg(file);
    Ok(command)
}

/// Returns the `[server]` section, which every configuration begins with.
pub(crate) fn head(places: &Places, port: u16) -> String {
    let cache = places.scratch.join("code");
    format!("[server]\nlisten = \"127.0.0.1:{port}\"\ncache = {cache:?}\n")
}

/// Returns the section of a component.
pub(crate) fn component(name: &str, path: &Path, reuse: bool) -> String {
    let reuse = if reuse { "reuse = { max_requests = 1000 }\n" } else { "" };
    format!("[component.{name}]\npath = {path:?}\n{reuse}")
}

/// Returns carya's configuration for the workloads that use the database of `url`. If `url` is `None`, returns that for
/// the workloads without a database.
fn application(places: &Places, url: Option<&str>, port: u16, reuse: bool) -> Result<String> {
    let head = head(places, port);
    let guest = |name: &str, file: &str| Ok::<_, crate::error::Error>(component(name, &places.guest(file)?, reuse));
    let Some(url) = url else {
        let components = [guest("hello", "hello")?, guest("echo", "echo")?, guest("gate-1", "gate")?];
        return Ok(format!("{head}{}{}{PLAIN}", components.concat(), component("gate-2", &twin(places)?, reuse)));
    };
    // The native program has the same number of connections. The long timeouts keep requests from failing on a busy
    // machine.
    let (connections, lock) = if url.starts_with("sqlite:") { (4, "busy_timeout") } else { (10, "lock_timeout") };
    let patience = format!("acquire_timeout = \"10s\"\nstatement_timeout = \"10s\"\n{lock} = \"10s\"");
    let database = format!("[database]\nurl = {url:?}\nmax_connections = {connections}\n{patience}\n");
    Ok(format!("{head}{database}{}timeout = \"10s\"\n{STORE}", guest("items", "items")?))
}

/// Writes the component of the second hook, which has the code of the first one and another digest, because the hooks
/// of an application usually are different components.
fn twin(places: &Places) -> Result<PathBuf> {
    let path = places.scratch.join("gate-2.wasm");
    std::fs::write(&path, distinct(std::fs::read(places.guest("gate")?)?, 2))?;
    Ok(path)
}

const PLAIN: &str = r#"
[[route]]
path = "/hello"
component = "hello"
[[route]]
path = "/hooks"
component = "hello"
hooks = ["gate-1", "gate-2"]
[[route]]
path = "/echo"
component = "echo"
methods = ["POST"]
"#;

const STORE: &str = r#"
[[route]]
path = "/items/{id}"
component = "items"
methods = ["GET"]
[[route]]
path = "/rows/{how}"
component = "items"
methods = ["GET"]
[[route]]
path = "/orders"
component = "items"
methods = ["POST"]
[[route]]
path = "/counter"
component = "items"
methods = ["POST"]
isolation = "serializable"
retries = 10
"#;

/// Returns whether this version of carya supports `reuse`, i.e. whether `carya check` accepts a configuration with
/// `reuse`.
pub(crate) async fn knows_reuse(places: &Places) -> Result<bool> {
    let file = places.scratch.join("carya-reuse.toml");
    std::fs::write(&file, application(places, None, 0, true)?)?;
    let mut check = tokio::process::Command::new(places.carya()?);
    match process::run(check.arg("check").arg("--config").arg(&file)).await {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains("reuse") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds a custom section to a component. The result has the same code and another digest.
pub(crate) fn distinct(mut component: Vec<u8>, number: u32) -> Vec<u8> {
    const NAME: &[u8] = b"bench";
    // All lengths are below 128, so their LEB128 encoding is a single byte.
    let length = 1 + NAME.len() + 4;
    component.extend([0, length as u8, NAME.len() as u8]);
    component.extend(NAME);
    component.extend(number.to_le_bytes());
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_become_distinct() {
        let component = b"\0asm".to_vec();
        let (one, two) = (distinct(component.clone(), 1), distinct(component.clone(), 2));
        assert_ne!(one, two);
        assert_eq!(one[4..7], [0, 10, 5], "a custom section, its length, its name's length");
        assert_eq!(one.len(), 4 + 2 + 10);
    }
}
