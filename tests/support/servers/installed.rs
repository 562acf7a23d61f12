//! Finds the database servers that are installed on this machine, and the account that runs them. Starts nothing.

use std::{
    fmt::Display,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Engine;

/// The oldest supported major version of PostgreSQL.
const OLDEST_POSTGRES: u32 = 15;

/// Programs and account that run the servers of an engine.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Shell functions that control a server.
    pub script: &'static str,
    /// Paths of programs, or of their folder, by the variable names that the scripts use.
    pub programs: Vec<(&'static str, PathBuf)>,
    /// User and group that run the server if the tests run as root, since the servers refuse to run as root.
    pub account: Option<(u32, u32)>,
}

impl Installation {
    /// Returns the installation of an engine, or `None` for SQLite and for an engine that is not installed. A missing
    /// engine is reported once on standard error. With `CI` in the environment, where all tests must run, it is a
    /// panic.
    pub fn of(engine: Engine) -> Option<&'static Self> {
        static POSTGRES: OnceLock<Option<Installation>> = OnceLock::new();
        static MARIADB: OnceLock<Option<Installation>> = OnceLock::new();
        let (once, find): (_, fn() -> Result<Self, String>) = match engine {
            Engine::Sqlite => return None,
            Engine::Postgres => (&POSTGRES, postgres),
            Engine::MariaDb => (&MARIADB, mariadb),
        };
        let found = once.get_or_init(|| find().map_err(|why| report_skipped(engine, &why)).ok());
        assert!(found.is_some() || std::env::var_os("CI").is_none(), "no {engine} for the tests: run `make servers`");
        found.as_ref()
    }
}

/// Reports the skipped tests. Writes to standard error directly, because the test runner captures the output of tests
/// that pass.
pub fn report_skipped(what: impl Display, why: &str) {
    let text = format!("\n*** SKIPPED all tests on {what}: {why}. Install it with `make servers` ***\n\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn postgres() -> Result<Installation, String> {
    let mut folders = Vec::new();
    if let Some(folder) = output("pg_config", &["--bindir"]) {
        folders.push(PathBuf::from(folder));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.extend(path());
    // `pg_config` may be installed without a server. Prefer the newest version, and the first folder of equal versions.
    let servers = folders.into_iter().filter_map(|folder| Some((postgres_version(&folder)?, folder)));
    let newest = servers.reduce(|best, other| if other.0 > best.0 { other } else { best });
    match newest {
        Some((version, bin)) if version >= OLDEST_POSTGRES => Ok(Installation {
            script: include_str!("postgres.sh"),
            programs: vec![("BIN", bin)],
            account: account("postgres")?,
        }),
        Some((version, _)) => Err(format!("PostgreSQL {version} is too old, {OLDEST_POSTGRES} is needed")),
        None => Err("no `postgres` in pg_config's folder, in /usr/lib/postgresql or on the PATH".to_owned()),
    }
}

/// Returns the major version, 15 for `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
fn postgres_version(folder: &Path) -> Option<u32> {
    let text = output(folder.join("postgres"), &["--version"])?;
    let version = text.split_whitespace().nth(2)?;
    version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn mariadb() -> Result<Installation, String> {
    if let Some(server) = mysql() {
        let (script, programs) = (include_str!("mysql.sh"), vec![("SERVER", server)]);
        return Ok(Installation { script, programs, account: account("mysql")? });
    }
    let programs = vec![("SERVER", program("mariadbd")?), ("INSTALL", program("mariadb-install-db")?)];
    Ok(Installation { script: include_str!("mariadb.sh"), programs, account: account("mysql")? })
}

/// Returns the path of MySQL's server if `CARYA_TEST_MYSQL` names it. The tests on MariaDB then run on MySQL.
pub fn mysql() -> Option<PathBuf> {
    std::env::var_os("CARYA_TEST_MYSQL").map(PathBuf::from)
}

/// Returns the path of a program on the `PATH` or in the usual folders.
pub(super) fn program(name: &str) -> Result<PathBuf, String> {
    let folders = path().into_iter().chain(["/usr/sbin", "/usr/bin", "/usr/libexec"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| format!("no `{name}` on the PATH or in /usr/sbin"))
}

fn path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

/// Returns the user and group for a server: the user `name` if the tests run as root, otherwise `None` for the user of
/// the tests.
fn account(name: &str) -> Result<Option<(u32, u32)>, String> {
    if number(&["-u"]) != Some(0) {
        return Ok(None);
    }
    let (user, group) = (number(&["-u", name]), number(&["-g", name]));
    user.zip(group).map(Some).ok_or_else(|| format!("we are root, and there is no user `{name}` to run it as"))
}

fn number(arguments: &[&str]) -> Option<u32> {
    output("id", arguments)?.parse().ok()
}

fn output(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
