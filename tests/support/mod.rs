//! Starts the real `carya` program on a test's own configuration, sends requests to it, and inspects its database.

pub mod client;
mod log;
pub mod module;
pub mod proxy;
pub mod registry;
mod response;
pub mod servers;
pub mod upstream;
mod wrong;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{Method, header::HeaderMap};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use client::Client;
pub use log::Log;
pub use response::Response;
pub use servers::Engine;
pub(crate) use servers::{on_each_engine, on_each_server};
pub use wrong::Wrong;
pub(crate) use wrong::{check, check_eq, check_ne};

/// Maximum time to wait for any expected event.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Returns the path of a guest's component in `guest-examples/dist/`, which `make guests` builds.
pub fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/dist").join(name).with_extension("wasm");
    assert!(path.exists(), "{} is not there: run `make guests`", path.display());
    path
}

/// Returns a command that runs the program under test. All tests share its cache of compiled code. The command removes
/// all `CARYA_*` variables of the test's environment, since they would configure the program.
pub fn carya() -> Command {
    // The HTTP clients of the tests use the process-wide `rustls` provider, even though they do not use TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut command = Command::new(env!("CARGO_BIN_EXE_carya"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARYA_")) {
        command.env_remove(name);
    }
    command.env("CARYA_SERVER__CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/code"));
    // The program binds its address before any other step can fail, and tests run in parallel, so let the system choose
    // the port.
    command.env("CARYA_SERVER__LISTEN", "127.0.0.1:0").kill_on_drop(true);
    command
}

/// Returns a command that runs a shell command and then the program under test in the same process.
fn carya_after(shell: &str) -> Command {
    let program = carya();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} && exec \"$0\" \"$@\"")]).arg(program.as_std().get_program());
    for (name, value) in program.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.kill_on_drop(true);
    command
}

/// A running carya process and the application that it serves. Dropping the value kills the process.
pub struct App {
    pub folder: TempDir,
    pub log: Log,
    /// Engine of the application's database.
    pub engine: Engine,
    /// URL of the application's database on a server, or `None` for SQLite.
    pub database_url: Option<String>,
    address: String,
    client: reqwest::Client,
    process: Child,
}

impl App {
    /// Serves a configuration, in which `{guest:NAME}` stands for the path of a built guest. Environment variables set
    /// the listen address, the cache, `debug` and the URL of the database, so most tests need not configure them.
    /// `files` are further files of the application, as names and contents. The database is a new file of SQLite.
    pub async fn start(config: &str, files: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(Engine::Sqlite, config, files).await
    }

    /// Like [`App::start`], but on an engine of [`Engine::all`]. Migrations in `files` must be written for that engine.
    pub async fn start_on(engine: Engine, config: &str, files: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(engine.folder().await?, config, files, &[]).await
    }

    /// Like [`App::start`], but in an existing folder and with additional environment variables. The application uses
    /// the database of [`Engine::folder`], or a file of SQLite in another folder, unless `CARYA_DATABASE__URL` names a
    /// database.
    pub async fn start_in(folder: TempDir, config: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Self> {
        Self::run_in(folder, &["serve"], config, files, env).await
    }

    /// Like [`App::start_in`], but with another command than `serve`, e.g. `dev`.
    pub async fn run_in(
        folder: TempDir,
        command: &[&str],
        config: &str,
        files: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        Self::run_as(carya(), folder, command, config, files, env).await
    }

    /// Serves a configuration in a process that a shell command has set up before, e.g. with `ulimit -n 400`.
    pub async fn start_after(shell: &str, config: &str, env: &[(&str, &str)]) -> Result<Self> {
        Self::run_as(carya_after(shell), tempfile::tempdir()?, &["serve"], config, &[], env).await
    }

    async fn run_as(
        mut program: Command,
        folder: TempDir,
        command: &[&str],
        config: &str,
        files: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        write(folder.path(), config, files)?;
        let database_url = match env.iter().rev().find(|(name, _)| *name == "CARYA_DATABASE__URL") {
            Some((_, url)) => (*url).to_owned(),
            None => servers::database_of(folder.path())?,
        };
        let mut process = program
            .args(command)
            .args(["--log-format", "json"])
            .current_dir(folder.path())
            .env("CARYA_DEBUG", "true")
            .env("CARYA_DATABASE__URL", &database_url)
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().ok_or("no standard error")?;
        let log = Log::follow(stderr);
        let mut serving = log.wait_for("serving").await;
        // A component of an interpreter is compiled twice for a warm image. At the end of the log, waiting ends at once.
        for _ in 0..if config.contains("warm = ") { 6 } else { 0 } {
            if serving.is_err() {
                serving = log.wait_for("serving").await;
            }
        }
        let serving = serving?;
        let address = serving["address"].as_str().ok_or("no address")?.to_owned();
        let engine = Engine::of(&database_url);
        let database_url = Some(database_url).filter(|_| engine != Engine::Sqlite);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { folder, log, engine, database_url, address, client, process })
    }

    /// Returns the listen address, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Returns a request for the caller to complete. `path` begins with a slash and is sent unchanged.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// Sends a request without a body.
    pub async fn call(&self, method: &str, path: &str) -> Result<Response> {
        Response::read(self.request(method, path).send().await?).await
    }

    pub async fn get(&self, path: &str) -> Result<Response> {
        self.call("GET", path).await
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<Response> {
        Response::read(self.request("POST", path).body(body).send().await?).await
    }

    /// Sends a request with headers and a body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Response> {
        Response::read(self.request(method, path).headers(headers).body(body).send().await?).await
    }

    /// Opens a connection to the application's SQLite database that bypasses carya.
    pub async fn database(&self) -> Result<SqliteConnection> {
        Ok(SqliteConnection::connect_with(&self.file()).await?)
    }

    fn file(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.folder.path().join("app.sqlite")).busy_timeout(PATIENCE)
    }

    /// Returns a client of the application's database, on any engine.
    pub fn client(&self) -> Result<Client> {
        match &self.database_url {
            Some(url) => Client::new(url),
            None => Ok(Client::Sqlite(self.file())),
        }
    }

    /// Runs a query that returns one number, bypassing carya.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        self.client()?.number(sql).await
    }

    /// Runs a query and returns the strings in its first column, bypassing carya.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        self.client()?.texts(sql).await
    }

    /// Returns the SQL name of the host's outbox table.
    pub fn outbox(&self) -> String {
        let url = self.database_url.as_deref().unwrap_or_default();
        let path = url.rsplit('/').next().unwrap_or_default();
        match self.engine {
            Engine::Sqlite => "carya_outbox".to_owned(),
            Engine::Postgres => "carya.carya_outbox".to_owned(),
            Engine::MariaDb => format!("{}_carya.carya_outbox", path.split('?').next().unwrap_or_default()),
        }
    }

    /// Runs one or more statements, bypassing carya.
    pub async fn execute(&self, sql: &str) -> Result {
        self.client()?.execute(sql).await
    }

    /// Returns the value of a metric. `series` is the metric's name with its labels. Requires `server.metrics` in the
    /// configuration.
    pub async fn metric(&self, series: &str) -> Result<usize> {
        let line = self.log.wait_for("metrics").await?;
        let address = line["address"].as_str().ok_or("no address")?;
        let text = self.client.get(format!("http://{address}/metrics")).send().await?.text().await?;
        let number = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(number.ok_or_else(|| format!("no {series}: {text}"))?.parse()?)
    }

    /// Sends a signal to the process, e.g. `TERM` or `KILL`.
    pub async fn signal(&self, signal: &str) -> Result {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().await?;
        status.success().then_some(()).ok_or_else(|| format!("kill -s {signal} failed").into())
    }

    /// Sends SIGTERM and waits for the process to exit. Returns the folder, for a second start, and the exit code.
    pub async fn stop(mut self) -> Result<(TempDir, Option<i32>)> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await??;
        Ok((self.folder, status.code()))
    }

    /// Sends SIGKILL and waits for the process to end. Returns the folder, for a second start.
    pub async fn kill(mut self) -> Result<TempDir> {
        self.signal("KILL").await?;
        self.process.wait().await?;
        Ok(self.folder)
    }
}

/// Polls `is_so` until it returns true. `what` describes the condition in the error message.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result {
    let polling = async {
        while !is_so().await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, polling).await.map_err(|_| format!("timed out: {what}"))?
}

/// Writes a configuration and further files of the application to a folder. Replaces `{guest:NAME}` in the
/// configuration by the path of a built guest.
pub fn write(folder: &Path, config: &str, files: &[(&str, &str)]) -> Result {
    let mut text = String::new();
    let mut rest = config;
    while let Some((before, after)) = rest.split_once("{guest:") {
        let (name, after) = after.split_once('}').ok_or("{guest: is not closed")?;
        text.push_str(before);
        text.push_str(&guest(name).display().to_string());
        rest = after;
    }
    text.push_str(rest);
    std::fs::write(folder.join("carya.toml"), text)?;
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, content)?;
    }
    Ok(())
}
