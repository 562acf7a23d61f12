//! One database server in a folder of its own, which ends with the test process in whatever way that ends. The rest of
//! the work is done by `supervisor.sh`. Knows nothing of SQL.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{super::Result, Engine, installed::Installation};

/// What `supervisor.sh` needs of its engine.
const POSTGRES: &str = concat!(include_str!("postgres.sh"), include_str!("supervisor.sh"));
const MARIADB: &str = concat!(include_str!("mariadb.sh"), include_str!("supervisor.sh"));

/// A shell that looks after a server. Dropping this, or dying, ends the server and removes its folder.
pub struct Supervisor {
    pub folder: PathBuf,
    pub port: u16,
    /// Blocking pipes: they serve the whole process, and a test's runtime lives as long as the test.
    line: Arc<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Supervisor {
    /// In a new folder and with a free port; no server runs yet.
    pub fn new(engine: Engine, installation: &Installation, password: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("carya-server-").tempdir()?;
        let port = free_port()?;
        let script = if engine == Engine::Postgres { POSTGRES } else { MARIADB };
        let mut command = Command::new("sh");
        // Ctrl-C goes to a process group, and must reach the server by way of the test process only.
        command.args(["-c", script]).current_dir(folder.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("FOLDER", folder.path()).env("PORT", port.to_string()).env("PASSWORD", password);
        command.envs(installation.programs.iter().map(|(name, path)| (name, path)));
        if let Some((user, group)) = installation.account {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        let mut shell = command
            .spawn()
            .map_err(|error| format!("{engine} could not be started in {}: {error}", folder.path().display()))?;
        let orders = shell.stdin.take().ok_or("no standard input")?;
        let answers = shell.stdout.take().ok_or("no standard output")?;
        // From here on the shell removes it.
        let folder = folder.keep();
        Ok(Self { folder, port, line: Arc::new(Mutex::new((orders, BufReader::new(answers)))) })
    }

    /// Has an order carried out, as `start` or `adopt FOLDER`.
    pub async fn order(&self, order: impl Into<String>) -> Result {
        let (line, order) = (self.line.clone(), order.into());
        let asked = order.clone();
        let answer = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            let (orders, answers) = &mut *line;
            // At once, since half an order would be taken for one.
            orders.write_all(format!("{order}\n").as_bytes())?;
            let mut answer = String::new();
            answers.read_line(&mut answer)?;
            Ok(answer)
        });
        match answer.await??.trim() {
            "done" => Ok(()),
            _ => Err(format!("`{asked}` failed in {}:\n{}", self.folder.display(), self.log()).into()),
        }
    }

    /// The end of what the server said.
    fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// A port that nobody listens on. Below those that the system gives to outgoing connections: one of these must not get in
/// while a server is down that is to come back on its port.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        // Another test process begins elsewhere.
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id().wrapping_mul(37).wrapping_add(step)) % 12_000;
        let port = u16::try_from(port)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port between 20000 and 32000".into())
}
