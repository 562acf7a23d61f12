//! Starting the real program on a configuration of one's own, asking it things, and looking at its database.

mod answer;
pub mod client;
mod log;
pub mod module;
pub mod proxy;
pub mod registry;
pub mod servers;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{Method, header::HeaderMap};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use answer::Answer;
use client::Client;
pub use log::Log;
pub use servers::Engine;
pub(crate) use servers::{on_each_engine, on_each_server};

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The component of a guest in `guest-examples/`, as `make guests` builds it.
pub fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/dist").join(name).with_extension("wasm");
    assert!(path.exists(), "{} is not there: run `make guests`", path.display());
    path
}

/// The program under test, with its compiled-code cache shared by all tests, and nothing of the environment that would
/// configure it.
pub fn carya() -> Command {
    // HTTP clients of tests take the process's own, though they speak no TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut command = Command::new(env!("CARGO_BIN_EXE_carya"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARYA_")) {
        command.env_remove(name);
    }
    command.env("CARYA_SERVER__CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/code"));
    // An address is bound before anything else can fail, and tests run beside each other.
    command.env("CARYA_SERVER__LISTEN", "127.0.0.1:0").kill_on_drop(true);
    command
}

/// The program under test in a process that has run a command of the shell before.
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

/// An application that is being served. It ends when this is dropped.
pub struct App {
    pub folder: TempDir,
    pub log: Log,
    /// The URL of its database on a server; `None` with SQLite.
    pub database_url: Option<String>,
    address: String,
    client: reqwest::Client,
    process: Child,
}

impl App {
    /// Serves a configuration. `{guest:NAME}` in it stands for the path of a built guest; `[server]`, `[database]` and
    /// `debug` are set by the environment where a test needs nothing special. Other files of the application are
    /// given by name and text. The database is a fresh one of the engine that the test is run on.
    pub async fn start(config: &str, files: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, config, files, &[]).await
    }

    /// The same on an engine, one of [`Engine::all`]. Migrations among the files are the engine's.
    pub async fn start_on(engine: Engine, config: &str, files: &[(&str, &str)]) -> Result<Self> {
        engine.scope(Self::start(config, files)).await
    }

    /// The same in a folder that is there already, and on its database if it has one, with more environment variables.
    /// One of them may name another database.
    pub async fn start_in(folder: TempDir, config: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Self> {
        Self::run_in(folder, &["serve"], config, files, env).await
    }

    /// The same with a command line of one's own, as `dev`.
    pub async fn run_in(
        folder: TempDir,
        command: &[&str],
        config: &str,
        files: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        Self::run_as(carya(), folder, command, config, files, env).await
    }

    /// Serves a configuration in a process that a command of the shell has set up, as `ulimit -n 400`.
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
            None => database_of(folder.path()).await?,
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
        let serving = log.wait_for("serving").await?;
        let address = serving["address"].as_str().ok_or("no address")?.to_owned();
        let database_url = Some(database_url).filter(|url| !url.starts_with("sqlite:"));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { folder, log, database_url, address, client, process })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// A request to be filled in; `path` begins with a slash and is sent as it is.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// Sends a request without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        Answer::read(self.request(method, path).send().await?).await
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask("GET", path).await
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
        Answer::read(self.request("POST", path).body(body).send().await?).await
    }

    /// Sends a request with headers and a body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        Answer::read(self.request(method, path).headers(headers).body(body).send().await?).await
    }

    /// Another client's connection to the application's database, which is SQLite's.
    pub async fn database(&self) -> Result<SqliteConnection> {
        Ok(SqliteConnection::connect_with(&self.file()).await?)
    }

    fn file(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.folder.path().join("app.sqlite")).busy_timeout(PATIENCE)
    }

    /// Another client of the application's database, of whatever engine.
    pub fn client(&self) -> Result<Client> {
        match &self.database_url {
            Some(url) => Client::new(url),
            None => Ok(Client::Sqlite(self.file())),
        }
    }

    /// The one number that a query returns, as another client sees it.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        self.client()?.number(sql).await
    }

    /// The texts of a query's first column, as another client sees them.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        self.client()?.texts(sql).await
    }

    /// The name of the host's table of actions, for another client.
    pub fn outbox(&self) -> String {
        let url = self.database_url.as_deref().unwrap_or_default();
        let path = url.rsplit('/').next().unwrap_or_default();
        match Engine::current() {
            Engine::Sqlite => "carya_outbox".to_owned(),
            Engine::Postgres => "carya.carya_outbox".to_owned(),
            Engine::MariaDb => format!("{}_carya.carya_outbox", path.split('?').next().unwrap_or_default()),
        }
    }

    /// Runs one or more statements as another client.
    pub async fn execute(&self, sql: &str) -> Result {
        self.client()?.execute(sql).await
    }

    /// A number that the program tells of itself, where `server.metrics` is configured.
    pub async fn metric(&self, series: &str) -> Result<usize> {
        let line = self.log.wait_for("metrics").await?;
        let address = line["address"].as_str().ok_or("no address")?;
        let text = self.client.get(format!("http://{address}/metrics")).send().await?.text().await?;
        let number = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(number.ok_or_else(|| format!("no {series}: {text}"))?.parse()?)
    }

    /// Sends a signal, as `TERM` or `KILL`.
    pub async fn signal(&self, signal: &str) -> Result {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().await?;
        status.success().then_some(()).ok_or_else(|| format!("kill -s {signal} failed").into())
    }

    /// Asks the program to end and waits for it. Gives the folder back, for a second start, and the exit code.
    pub async fn stop(mut self) -> Result<(TempDir, Option<i32>)> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await??;
        Ok((self.folder, status.code()))
    }

    /// Kills the program on the spot. Gives the folder back, for a second start.
    pub async fn kill(mut self) -> Result<TempDir> {
        self.signal("KILL").await?;
        self.process.wait().await?;
        Ok(self.folder)
    }
}

/// The URL of the database that belongs to a folder; a fresh one of the current engine, if there is none yet.
async fn database_of(folder: &Path) -> Result<String> {
    let engine = Engine::current();
    if engine == Engine::Sqlite {
        return Ok("sqlite://app.sqlite".to_owned());
    }
    let file = folder.join("database-url");
    if !file.exists() {
        let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
        std::fs::write(&file, cluster.primary_url(&cluster.create_database().await?))?;
    }
    Ok(std::fs::read_to_string(file)?)
}

/// Writes a configuration and what belongs to it.
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
