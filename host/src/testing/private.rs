//! Private database servers of `carya test --start`: in a temporary folder, on a free loopback port. A shell
//! (`supervisor.sh`) starts the server. It ends the server when this process ends, also if this process is killed.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::chown,
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::scratch::temporary_folder;
use crate::{
    config::{Config, Dialect},
    database::THROW_AWAY,
};

const POSTGRES: &str = concat!(include_str!("private/postgres.sh"), include_str!("private/supervisor.sh"));
const MARIADB: &str = concat!(include_str!("private/mariadb.sh"), include_str!("private/supervisor.sh"));
/// Number of lines of a server's log in messages.
const LOG_LINES: usize = 20;

/// A product that `carya test` can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Product {
    Postgres,
    Mariadb,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct PrivateServer {
    dialect: Dialect,
    url: String,
    folder: PathBuf,
    shell: Child,
    /// The shell ends the server when this is closed.
    input: ChildStdin,
}

impl Product {
    /// Returns an error if no database of a configuration is on a server of this product.
    pub(crate) fn check_needed(self, config: &Config) -> anyhow::Result<()> {
        let dialect = self.dialect();
        ensure!(
            config.all_databases().any(|(_, database)| database.dialect == dialect),
            "--start {}: no database of the configuration is on {}; leave the option out",
            self.name(),
            dialect.as_str()
        );
        Ok(())
    }

    /// Returns the value of the option.
    fn name(self) -> &'static str {
        match self {
            Product::Postgres => "postgres",
            Product::Mariadb => "mariadb",
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Product::Postgres => Dialect::Postgres,
            Product::Mariadb => Dialect::MySql,
        }
    }

    /// Returns the account that runs the server if this process runs as root, which the servers refuse.
    fn account(self) -> &'static str {
        match self {
            Product::Postgres => "postgres",
            Product::Mariadb => "mysql",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Product::Postgres => POSTGRES,
            Product::Mariadb => MARIADB,
        }
    }
}

impl PrivateServer {
    /// Starts a server for the databases of a configuration in a new temporary folder, and waits until it accepts
    /// connections.
    pub(crate) async fn start(product: Product, config: &Config) -> anyhow::Result<Self> {
        let mut databases = config.all_databases().map(|(_, database)| database);
        let has_replicas = databases.any(|one| one.dialect == product.dialect() && !one.replicas.is_empty());
        let folder = temporary_folder(config).join(format!("{THROW_AWAY}server_{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr())?.port();
        let password = format!("{:032x}", rand::random::<u128>());
        let mut command = Command::new("sh");
        // A terminal sends Ctrl-C to the whole group: the server must live until the databases are dropped.
        command.args(["-c", product.script()]).current_dir(&folder).process_group(0);
        command.env("FOLDER", &folder).env("PORT", port.to_string()).env("PASSWORD", &password);
        command.env("REPLICAS", if has_replicas { "simulated" } else { "" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if id(&["-u"]).await == Some(0) {
            let account = product.account();
            let (Some(user), Some(group)) = (id(&["-u", account]).await, id(&["-g", account]).await) else {
                bail!("the server must not run as root, and there is no user `{account}` to run it as");
            };
            chown(&folder, Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        let mut shell = command.spawn().context("cannot run `sh`")?;
        let pipes = shell.stdin.take().zip(shell.stdout.take());
        let (input, output) = pipes.context("`sh` has no pipes")?;
        let first = BufReader::new(output).lines().next_line().await?;
        if first.as_deref() != Some("ready") {
            let log = std::fs::read(folder.join("log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<_> = log.lines().collect();
            let lines = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            bail!("--start {}: the server has not started:\n{lines}", product.name());
        }
        let url = match product {
            Product::Postgres => format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"),
            Product::Mariadb => format!("mysql://root:{password}@127.0.0.1:{port}/mysql?ssl-mode=DISABLED"),
        };
        Ok(Self { dialect: product.dialect(), url, folder, shell, input })
    }

    /// Returns the dialect, and the URL with the login of an administrator.
    pub(crate) fn url(&self) -> (Dialect, String) {
        (self.dialect, self.url.clone())
    }

    /// Ends the server, and waits until its folder is removed.
    pub(crate) async fn end(self) {
        let Self { mut shell, input, folder, .. } = self;
        drop(input);
        let _ = shell.wait().await;
        // The account of the server may lack the right to remove the empty folder.
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {error}; remove it by hand", folder.display());
        }
    }
}

/// Returns the number that `id` prints.
async fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().await.ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
