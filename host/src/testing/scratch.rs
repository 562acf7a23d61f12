//! Throw-away databases: SQLite files in a folder, and databases on a server, which exist for one run of `carya test`.
//! The databases of `[database]` are never opened.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::server::{LEFT_OVER, Server};
use crate::{
    config::{self, Config, DatabaseConfig, Dialect},
    database::{Database, THROW_AWAY},
};

/// Folder for temporary files in memory, in which databases need no disk.
const MEMORY: &str = "/dev/shm";

/// The throw-away databases of a run.
#[derive(Debug)]
pub(crate) struct Scratch {
    files: Files,
    /// At most one of each dialect.
    servers: Vec<Server>,
    /// Numbers of the databases on PostgreSQL.
    on_postgres: Vec<usize>,
    keep: bool,
}

/// A folder with SQLite files, which is removed on drop.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    keep: bool,
}

/// All databases of an application, in one state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set {
    /// The databases that are migrated and initialized. All other sets are copies of them.
    First,
    /// The databases of a lane, after a number of resets.
    Lane { number: usize, resets: usize },
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Set::First => f.write_str("first"),
            Set::Lane { number, resets } => write!(f, "{number}_{resets}"),
        }
    }
}

impl Scratch {
    /// Creates the folder, and connects to the servers that the databases of a configuration need: those of `started`,
    /// and that of `[test] url`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no server for a database.
    pub(crate) async fn new(config: &Config, started: &[(Dialect, String)], keep: bool) -> anyhow::Result<Self> {
        let mut servers: Vec<Server> = Vec::new();
        for (name, database) in config.all_databases() {
            let is_there = servers.iter().any(|server| server.dialect() == database.dialect);
            if database.dialect != Dialect::Sqlite && !is_there {
                let url = server_for(config, started, name, database)?;
                servers.push(Server::new(url, database).await?);
            }
        }
        let all = config.all_databases().enumerate();
        let on_postgres = all.filter(|(_, (_, database))| database.dialect == Dialect::Postgres);
        let on_postgres = on_postgres.map(|(index, _)| index).collect();
        Ok(Self { files: Files::new(config, keep)?, servers, on_postgres, keep })
    }

    /// Returns a configuration with the databases of a set.
    pub(super) fn configure(&self, config: &Config, set: Set) -> Config {
        let mut config = config.clone();
        let named = config.databases.iter_mut().map(|(name, database)| (name.as_str(), database));
        let all = config.database.iter_mut().map(|database| (config::MAIN, database)).chain(named);
        for (index, (name, database)) in all.enumerate() {
            match self.server(database.dialect) {
                Some(server) => {
                    let name = name_on_server(database.dialect, index, set);
                    server.configure(database, &name, matches!(set, Set::Lane { .. }));
                }
                None => database.url = format!("sqlite://{}", self.files.of(set, name).display()),
            }
        }
        config
    }

    /// Creates the first databases on servers. SQLite creates its files when it opens them.
    pub(super) async fn create(&self, config: &Config) -> anyhow::Result<()> {
        for (index, (name, database)) in config.all_databases().enumerate() {
            if let Some(server) = self.server(database.dialect) {
                let cannot = || format!("cannot create a database for database {name:?}");
                server.create(&name_on_server(database.dialect, index, Set::First)).await.with_context(cannot)?;
            }
        }
        Ok(())
    }

    /// Saves the first databases, for [`copy`](Self::copy), and closes them.
    pub(super) async fn save<'d>(
        &self,
        databases: impl Iterator<Item = (&'d str, &'d Database)>,
    ) -> anyhow::Result<()> {
        for (index, (name, database)) in databases.enumerate() {
            let dialect = database.dialect();
            let cannot = || format!("cannot save database {name:?} for its copies");
            match self.server(dialect) {
                Some(server) => {
                    database.close();
                    server.save(&name_on_server(dialect, index, Set::First)).await.with_context(cannot)?;
                }
                None => {
                    database.save_to(&self.files.saved(name)).await.with_context(cannot)?;
                    database.close();
                }
            }
        }
        Ok(())
    }

    /// Copies the saved databases of a configuration to those of a set.
    pub(super) async fn copy(&self, config: &Config, set: Set) -> anyhow::Result<()> {
        for (index, (name, database)) in config.all_databases().enumerate() {
            let dialect = database.dialect;
            let cannot = || format!("cannot copy database {name:?}");
            match self.server(dialect) {
                Some(server) => {
                    let [from, to] = [Set::First, set].map(|set| name_on_server(dialect, index, set));
                    server.copy(&from, &to).await.with_context(cannot)?;
                }
                None => {
                    let copied = tokio::fs::copy(self.files.saved(name), self.files.of(set, name)).await;
                    copied.with_context(cannot)?;
                }
            }
        }
        Ok(())
    }

    /// Drops the databases of a set that has been replaced. Keeps SQLite files, which are small, and databases of
    /// MySQL, which the next set uses again.
    pub(super) async fn discard(&self, set: Set) -> anyhow::Result<()> {
        let Some(server) = self.server(Dialect::Postgres) else { return Ok(()) };
        for index in &self.on_postgres {
            server.drop_database(&name_on_server(Dialect::Postgres, *index, set)).await?;
        }
        Ok(())
    }

    /// Drops all databases and logins, unless they are to be kept. The caller must have closed all connections to them.
    pub(crate) async fn end(&self) {
        for server in &self.servers {
            let run = server.run();
            if self.keep {
                eprintln!("the databases on {} whose names start with {run} are kept", server.dialect().as_str());
            } else if let Err(error) = server.end().await {
                eprintln!("cannot drop the databases whose names start with {run}: {error:#}; drop them by hand");
            }
        }
    }

    fn server(&self, dialect: Dialect) -> Option<&Server> {
        self.servers.iter().find(|server| server.dialect() == dialect)
    }
}

/// Returns the URL of the server for the throw-away databases of a database.
fn server_for<'c>(
    config: &'c Config,
    started: &'c [(Dialect, String)],
    name: &str,
    database: &DatabaseConfig,
) -> anyhow::Result<&'c str> {
    let place = config.place(&config::url_key(name));
    let given = config.test.server.as_ref().map(|server| (server.dialect, &server.url));
    let servers = started.iter().map(|(dialect, url)| (*dialect, url)).chain(given);
    let Some((_, url)) = servers.into_iter().find(|(dialect, _)| *dialect == database.dialect) else {
        let (product, start) = match database.dialect {
            Dialect::MySql => ("MySQL or MariaDB", "mariadb"),
            Dialect::Postgres | Dialect::Sqlite => ("PostgreSQL", "postgres"),
        };
        bail!(
            "{}",
            place.problem(format!(
                "names a server, and `carya test` never uses its databases; to create throw-away databases, set [test] url \
                 to an administrator's login on a {product} server for tests, or run `carya test --start {start}`"
            ))
        );
    };
    let used = config.all_databases().find(|(_, used)| {
        [Some(&used.url), used.reader_url.as_ref(), used.admin_url.as_ref()]
            .into_iter()
            .flatten()
            .chain(&used.replicas)
            .any(|used| config::same_database(used, url))
    });
    if let Some((other, _)) = used {
        bail!(
            "{}",
            config.place("test.url").problem(format!(
                "names the same database as {}; name one that the application does not use, such as `postgres` or `mysql`",
                config::section_of(other)
            ))
        );
    }
    Ok(url)
}

/// Returns the name of a database in a set, without the start that all names of a run have. On MySQL, a lane uses the
/// same database after each reset.
fn name_on_server(dialect: Dialect, index: usize, set: Set) -> String {
    match (dialect, set) {
        (Dialect::MySql, Set::Lane { number, .. }) => format!("{index}_{number}"),
        _ => format!("{index}_{set}"),
    }
}

impl Files {
    fn new(config: &Config, keep: bool) -> anyhow::Result<Self> {
        let parent = temporary_folder(config);
        remove_left_overs(parent);
        let folder = parent.join(format!("{THROW_AWAY}{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        Ok(Self { folder, keep })
    }

    fn of(&self, set: Set, name: &str) -> PathBuf {
        self.folder.join(format!("{set}-{name}.sqlite"))
    }

    fn saved(&self, name: &str) -> PathBuf {
        self.folder.join(format!("saved-{name}.sqlite"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("the databases are kept in {}", self.folder.display());
            return;
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("cannot remove {}: {error}; remove it by hand", self.folder.display());
            }
            _ => {}
        }
    }
}

/// Returns the folder for temporary files.
pub(super) fn temporary_folder(config: &Config) -> &Path {
    match &config.test.temporary {
        Some(folder) => folder,
        None if Path::new(MEMORY).is_dir() => Path::new(MEMORY),
        None => Path::new("/tmp"),
    }
}

/// Removes the folders of processes that were killed more than a day ago. Skips those of other users.
fn remove_left_overs(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(THROW_AWAY);
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|changed| changed.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > LEFT_OVER) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
