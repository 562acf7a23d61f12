//! Proxies in front of an application, each in a temporary folder on a free loopback port.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    super::{Result, eventually},
    installed::{program, report_skipped},
    supervisor::free_port,
};

/// The shell ends the proxy when its input ends: when the value is dropped, or the test process dies.
const SCRIPT: &str = r#""$0" "$@" & read -r _; kill -s KILL $!; wait"#;

/// A running nginx or HAProxy. Dropping the value ends it.
pub struct Front {
    address: String,
    shell: Child,
    _folder: TempDir,
}

impl Front {
    /// Starts nginx, which forwards all requests to a server, with directives for its location. Returns `None` if nginx
    /// is not installed.
    pub async fn nginx(to: &str, directives: &str) -> Result<Option<Self>> {
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {name};\n"))
            .concat();
        let config = |port| {
            format!(
                "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log \
                 off;\n{paths}server {{\nlisten 127.0.0.1:{port};\nlocation / {{\nproxy_pass http://{to};\n\
                 {directives}\n}}\n}}\n}}\n"
            )
        };
        Self::start("nginx", &["-p", ".", "-c", "config", "-e", "stderr"], config).await
    }

    /// Starts HAProxy, which forwards all connections to an address, with options for that server. Returns `None` if
    /// HAProxy is not installed.
    pub async fn haproxy(to: &str, options: &str) -> Result<Option<Self>> {
        let config = |port| {
            format!(
                "global\nmaxconn 100\ndefaults\nmode tcp\ntimeout connect 5s\ntimeout client 60s\ntimeout server 60s\n\
                 listen front\nbind 127.0.0.1:{port}\nserver app {to} {options}\n"
            )
        };
        Self::start("haproxy", &["-db", "-f", "config"], config).await
    }

    async fn start(name: &'static str, args: &[&str], config: impl FnOnce(u16) -> String) -> Result<Option<Self>> {
        let Some(program) = installed(name) else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::write(folder.path().join("config"), config(port))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(program).args(args).current_dir(folder.path());
        shell.stdin(Stdio::piped()).stderr(Stdio::null());
        let front = Self { address: format!("127.0.0.1:{port}"), shell: shell.spawn()?, _folder: folder };
        eventually("the proxy listens", async || Ok(TcpStream::connect(&front.address).await.is_ok())).await?;
        Ok(Some(front))
    }

    /// Returns the address that the proxy listens on.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Returns the path of a program, or `None` if it is not installed. A missing program is treated as in
/// [`Installation::of`](super::installed::Installation::of).
fn installed(name: &'static str) -> Option<PathBuf> {
    static FOUND: Mutex<BTreeMap<&str, Option<PathBuf>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let path = found.entry(name).or_insert_with(|| program(name).map_err(|why| report_skipped(name, &why)).ok());
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "no {name} for the tests: run `make servers`");
    path.clone()
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
