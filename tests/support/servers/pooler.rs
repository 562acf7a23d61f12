//! PgBouncer in front of a PostgreSQL server, in a temporary folder on a free loopback port.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    super::{Result, eventually},
    Engine,
    installed::{Installation, program, report_skipped},
    supervisor::free_port,
};

/// The shell ends PgBouncer when its input ends: when the value is dropped, or the test process dies.
const SCRIPT: &str = r#""$0" -q pgbouncer.ini & read -r _; kill -s KILL $!; wait"#;

/// A running PgBouncer. Dropping the value ends it.
pub struct Pooler {
    url: String,
    shell: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts PgBouncer with further settings in front of the server of a URL. All of its sessions have the login of the
    /// URL. Returns `None` if PgBouncer is not installed.
    pub async fn start(url: &str, settings: &str) -> Result<Option<Self>> {
        let Some((program, postgres)) = pgbouncer().zip(Installation::of(Engine::Postgres)) else { return Ok(None) };
        let (mut url, port) = (reqwest::Url::parse(url)?, free_port()?);
        let (server, user, password) =
            (url.port().ok_or("no port")?, url.username(), url.password().unwrap_or_default());
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}\n"
        );
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("pgbouncer.ini"), config)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(program).current_dir(folder.path()).stdin(Stdio::piped()).stderr(Stdio::null());
        if let Some((user, group)) = postgres.account {
            chown(folder.path(), Some(user), Some(group))?;
            shell.uid(user).gid(group);
        }
        let shell = shell.spawn()?;
        url.set_port(Some(port)).map_err(|()| "no URL of a server")?;
        let pooler = Self { url: url.into(), shell, _folder: folder };
        eventually("PgBouncer listens", async || Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok())).await?;
        Ok(Some(pooler))
    }

    /// Returns the server's URL with the port of PgBouncer.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the path of PgBouncer, or `None` if it is not installed. A missing program is treated as in
/// [`Installation::of`].
fn pgbouncer() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| program("pgbouncer").map_err(|why| report_skipped("PgBouncer", &why)).ok());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no PgBouncer for the tests: run `make servers`");
    found.clone()
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
