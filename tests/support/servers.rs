//! Real database servers for the tests, in temporary folders on free loopback ports. The servers end with the test
//! process. All tests of a process share one [`Cluster`] for each engine, a primary with a replica. A test that stops,
//! kills or pauses servers starts its own [`Pair`]. This module does not depend on carya.

mod cluster;
mod front;
mod installed;
mod pair;
mod pooler;
mod server;
mod supervisor;

use std::{fmt, path::Path};

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::Result;
pub use cluster::Cluster;
pub use front::{Front, Pebble};
use installed::Installation;
pub use installed::report_skipped;
pub use pair::Pair;
pub use pooler::Pooler;
pub use server::password;
pub use supervisor::free_port;

/// Database engine that a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Engine {
    /// Returns the engines that are installed on this machine. A missing engine is reported once on standard error;
    /// with `CI` in the environment it is a panic.
    pub fn all() -> Vec<Self> {
        [Self::Sqlite, Self::Postgres, Self::MariaDb].into_iter().filter(|engine| engine.is_installed()).collect()
    }

    /// Returns the installed engines that have servers, which excludes SQLite.
    pub fn servers() -> Vec<Self> {
        Self::all().into_iter().filter(|engine| *engine != Self::Sqlite).collect()
    }

    /// Returns the name of the dialect in the contract.
    pub fn dialect(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
            Self::MariaDb => "mysql",
        }
    }

    /// Returns whether this engine is installed. See [`Engine::all`].
    pub fn is_installed(self) -> bool {
        self == Self::Sqlite || Installation::of(self).is_some()
    }

    /// Returns the engine of a database's URL.
    pub fn of(url: &str) -> Self {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Self::Postgres,
            Some(("mysql" | "mariadb", _)) => Self::MariaDb,
            _ => Self::Sqlite,
        }
    }

    /// Returns a new folder. Applications in it use a new database on this engine. See [`App::start_in`].
    ///
    /// [`App::start_in`]: super::App::start_in
    pub async fn folder(self) -> Result<TempDir> {
        let folder = tempfile::tempdir()?;
        if self != Self::Sqlite {
            let cluster = shared(self).await?.ok_or_else(|| format!("{self} is not installed"))?;
            std::fs::write(folder.path().join(DATABASE), cluster.primary_url(&cluster.create_database().await?))?;
        }
        Ok(folder)
    }
}

/// File of a test's folder with the URL of its database on a server.
const DATABASE: &str = "database-url";

/// Returns the URL of a folder's database.
pub fn database_of(folder: &Path) -> Result<String> {
    match std::fs::read_to_string(folder.join(DATABASE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok("sqlite://app.sqlite".to_owned()),
        url => Ok(url?),
    }
}

/// Generates a test for each function and engine: `sqlite::NAME`, `postgres::NAME` and `mariadb::NAME`. The function
/// receives the engine. If the engine is not installed, the test reports that and passes.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        $crate::support::servers::on_each_engine! { sqlite Sqlite: $($test),+ }
        $crate::support::servers::on_each_engine! { postgres Postgres: $($test),+ }
        $crate::support::servers::on_each_engine! { mariadb MariaDb: $($test),+ }
    };
    ($module:ident $engine:ident: $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() -> $crate::support::Result {
                    let engine = $crate::support::Engine::$engine;
                    if !engine.is_installed() {
                        return Ok(());
                    }
                    super::$test(engine).await
                }
            )+
        }
    };
}
pub(crate) use on_each_engine;

/// Like `on_each_engine`, but without SQLite.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        $crate::support::servers::on_each_engine! { postgres Postgres: $($test),+ }
        $crate::support::servers::on_each_engine! { mariadb MariaDb: $($test),+ }
    };
}
pub(crate) use on_each_server;

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        })
    }
}

/// Returns the PostgreSQL cluster of this test process, or `None` if PostgreSQL is not installed.
pub async fn postgres() -> Result<Option<&'static Cluster>> {
    shared(Engine::Postgres).await
}

/// Returns the MariaDB cluster of this test process, or `None` if MariaDB is not installed.
pub async fn mariadb() -> Result<Option<&'static Cluster>> {
    shared(Engine::MariaDb).await
}

/// Returns the cluster of an engine in this test process, or `None` for SQLite and for an engine that is not installed.
/// The first caller starts the cluster while further callers wait. Since all tests share the cluster, a test must not
/// stop or reconfigure its servers, and must use databases of its own.
pub async fn shared(engine: Engine) -> Result<Option<&'static Cluster>> {
    static POSTGRES: OnceCell<Cluster> = OnceCell::const_new();
    static MARIADB: OnceCell<Cluster> = OnceCell::const_new();
    let Some(installation) = Installation::of(engine) else { return Ok(None) };
    let once = if engine == Engine::Postgres { &POSTGRES } else { &MARIADB };
    once.get_or_try_init(|| Cluster::start(engine, installation)).await.map(Some)
}
