//! Real database servers for the tests: private, in temporary folders on free loopback ports, gone with the test process.
//! Each engine has a cluster, a primary with a replica, that all tests of a process share; a test that wants to hurt one
//! starts its own [`Pair`]. Knows nothing of carya.

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

/// What tests can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Engine {
    /// Those that this machine has. A missing one is said loudly, once; with `CI` in the environment it is a panic.
    pub fn all() -> Vec<Self> {
        let mut engines = vec![Self::Sqlite];
        engines.extend(Self::servers());
        engines
    }

    /// The same without the embedded one.
    pub fn servers() -> Vec<Self> {
        [Self::Postgres, Self::MariaDb].into_iter().filter(|engine| Installation::of(*engine).is_some()).collect()
    }
}

tokio::task_local! {
    static CURRENT: Engine;
}

impl Engine {
    /// What the running test is run on.
    pub fn current() -> Self {
        CURRENT.try_get().unwrap_or(Self::Sqlite)
    }

    /// Runs a test on this engine; where it is missing, that is said and the test passes.
    pub async fn run(self, test: impl Future<Output = Result>) -> Result {
        if Self::all().contains(&self) { self.scope(test).await } else { Ok(()) }
    }

    /// Has this be [`Engine::current`] for what is done meanwhile.
    pub async fn scope<T>(self, doing: impl Future<Output = T>) -> T {
        CURRENT.scope(self, doing).await
    }
}

/// Makes tests of functions, one for each engine: `sqlite::NAME`, `postgres::NAME`, `mariadb::NAME`. What they start is
/// on the engine that they are run on.
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

/// The same on servers only.
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

/// The PostgreSQL cluster of this test process; `None` where there is no PostgreSQL.
pub async fn postgres() -> Result<Option<&'static Cluster>> {
    shared(Engine::Postgres).await
}

/// The MariaDB cluster of this test process; `None` where there is no MariaDB.
pub async fn mariadb() -> Result<Option<&'static Cluster>> {
    shared(Engine::MariaDb).await
}

/// An engine's cluster of this test process; `None` where it is not installed, and for SQLite. The first test that asks
/// starts it while others wait. It is for all: leave its servers as they are, and keep to databases of your own.
pub async fn shared(engine: Engine) -> Result<Option<&'static Cluster>> {
    static POSTGRES: OnceCell<Cluster> = OnceCell::const_new();
    static MARIADB: OnceCell<Cluster> = OnceCell::const_new();
    let Some(installation) = Installation::of(engine) else { return Ok(None) };
    let once = if engine == Engine::Postgres { &POSTGRES } else { &MARIADB };
    once.get_or_try_init(|| Cluster::start(engine, installation)).await.map(Some)
}
