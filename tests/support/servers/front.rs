//! Programs of others that listen on a free loopback port, each in a temporary folder: proxies in front of an application,
//! a certificate authority.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
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

/// The shell ends the program when its input ends: when the value is dropped, or the test process dies.
const SCRIPT: &str = r#""$0" "$@" & read -r _; kill -s KILL $!; wait"#;

/// A running program. Dropping the value ends it.
pub struct Front {
    address: String,
    shell: Child,
    _folder: TempDir,
}

/// Pebble, a certificate authority for tests, and a DNS server by which all names have the address 127.0.0.1.
pub struct Pebble {
    authority: Front,
    /// Address that has the certificate of the authority.
    management: String,
    _dns: Front,
}

impl Pebble {
    /// Starts an authority whose certificates are valid for some seconds. It checks names at the port `checked`. Its own
    /// TLS has a certificate and a key in files. Returns `None` if it is not installed.
    pub async fn start(checked: u16, tls: [&Path; 2], seconds: u32) -> Result<Option<Self>> {
        let (dns, management) = (free_port()?, free_port()?);
        let args = |port| {
            let [dns, port] = [dns, port].map(|port| format!("127.0.0.1:{port}"));
            let off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""].map(str::to_owned);
            [&off[..], &["-dns01".to_owned(), dns, "-management".to_owned(), port]].concat()
        };
        let Some(dns_server) = Front::start("pebble-challtestsrv", args, |_| String::new()).await? else {
            return Ok(None);
        };
        let args = |_| ["-config", "config", "-dnsserver", &format!("127.0.0.1:{dns}")].map(str::to_owned).into();
        let [certificate, key] = tls;
        let config = |port| {
            serde_json::json!({"pebble": {
                "listenAddress": format!("127.0.0.1:{port}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": certificate,
                "privateKey": key,
                "tlsPort": checked,
                "certificateValidityPeriod": seconds,
            }})
            .to_string()
        };
        let authority = Front::start("pebble", args, config).await?;
        let management = format!("127.0.0.1:{management}");
        Ok(authority.map(|authority| Self { authority, management, _dns: dns_server }))
    }

    /// Returns the URL of the authority's directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.authority.address())
    }

    /// Returns the URL of the certificate that signs those of the authority, as PEM.
    pub fn root(&self) -> String {
        format!("https://{}/roots/0", self.management)
    }
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
        let args = |_| ["-p", ".", "-c", "config", "-e", "stderr"].map(str::to_owned).into();
        Self::start("nginx", args, config).await
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
        Self::start("haproxy", |_| ["-db", "-f", "config"].map(str::to_owned).into(), config).await
    }

    /// Starts a program that listens on a port, with arguments and a file `config` for this port.
    async fn start(
        name: &'static str,
        args: impl FnOnce(u16) -> Vec<String>,
        config: impl FnOnce(u16) -> String,
    ) -> Result<Option<Self>> {
        let Some(program) = installed(name) else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::write(folder.path().join("config"), config(port))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(program).args(args(port)).current_dir(folder.path());
        // Pebble waits between its steps, as real authorities do, unless it is told not to.
        shell.env("PEBBLE_VA_NOSLEEP", "1");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let front = Self { address: format!("127.0.0.1:{port}"), shell: shell.spawn()?, _folder: folder };
        eventually("the program listens", async || Ok(TcpStream::connect(&front.address).await.is_ok())).await?;
        Ok(Some(front))
    }

    /// Returns the address that the program listens on.
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
