//! nginx in front of an application, in a temporary folder on a free loopback port.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    super::{Result, eventually},
    installed::{program, report_skipped},
    supervisor::free_port,
};

/// The shell ends nginx when its input ends: when the value is dropped, or the test process dies.
const SCRIPT: &str = r#""$0" -p . -c nginx.conf -e stderr & read -r _; kill -s KILL $!; wait"#;

/// A running nginx. Dropping the value ends it.
pub struct Nginx {
    address: String,
    shell: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx, which forwards all requests to an address, with directives for its location. Returns `None` if
    /// nginx is not installed.
    pub async fn start(to: &str, directives: &str) -> Result<Option<Self>> {
        let Some(program) = nginx() else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}\
             server {{\nlisten 127.0.0.1:{port};\nlocation / {{\nproxy_pass http://{to};\n{directives}\n}}\n}}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(program).current_dir(folder.path()).stdin(Stdio::piped()).stderr(Stdio::null());
        let nginx = Self { address: format!("127.0.0.1:{port}"), shell: shell.spawn()?, _folder: folder };
        eventually("nginx listens", async || Ok(TcpStream::connect(&nginx.address).await.is_ok())).await?;
        Ok(Some(nginx))
    }

    /// Returns the address that nginx listens on.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Returns the path of nginx, or `None` if it is not installed. A missing program is treated as in
/// [`Installation::of`](super::installed::Installation::of).
fn nginx() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| program("nginx").map_err(|why| report_skipped("nginx", &why)).ok());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no nginx for the tests: run `make servers`");
    found.clone()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
