//! Real database servers for the tests, in temporary folders on free loopback ports. The servers end with the test
//! process. All tests of a process share one [`Cluster`] for each engine, a primary with a replica. A test that stops,
//! kills or pauses servers starts its own [`Pair`]. This module does not depend on carya.

mod cluster;
mod installed;
mod pair;
mod server;
mod supervisor;

use std::fmt;

use tokio::sync::OnceCell;

use super::Result;
pub use cluster::Cluster;
use installed::Installation;
pub use pair::Pair;
pub use server::password;

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
        let mut engines = vec![Self::Sqlite];
        engines.extend(Self::servers());
        engines
    }

    /// Returns the installed engines that have servers, which excludes SQLite.
    pub fn servers() -> Vec<Self> {
        [Self::Postgres, Self::MariaDb].into_iter().filter(|engine| Installation::of(*engine).is_some()).collect()
    }
}

tokio::task_local! {
    static CURRENT: Engine;
}

impl Engine {
    /// Returns the engine of the running test. The default is SQLite.
    pub fn current() -> Self {
        CURRENT.try_get().unwrap_or(Self::Sqlite)
    }

    /// Runs a test on this engine. If the engine is not installed, reports that and passes.
    pub async fn run(self, test: impl Future<Output = Result>) -> Result {
        if Self::all().contains(&self) { self.scope(test).await } else { Ok(()) }
    }

    /// Makes this engine the value of [`Engine::current`] while `doing` runs.
    pub async fn scope<T>(self, doing: impl Future<Output = T>) -> T {
        CURRENT.scope(self, doing).await
    }
}

/// Generates a test for each function and engine: `sqlite::NAME`, `postgres::NAME` and `mariadb::NAME`. Applications
/// that the function starts use the engine of the test.
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
                    $crate::support::Engine::$engine.run(super::$test()).await
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
