//! Runs one database server in a temporary folder. The server ends with the test process, however that process ends.
//! `supervisor.sh` controls the server; this module only sends commands to the script and contains no SQL.

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

/// The loop that executes the shell functions of an engine.
const LOOP: &str = include_str!("supervisor.sh");

/// A shell process that controls one server. When the value is dropped or the test process dies, the shell ends the
/// server and removes its folder.
pub struct Supervisor {
    pub folder: PathBuf,
    pub port: u16,
    /// Blocking pipes: they outlive the Tokio runtime, which ends with each test.
    line: Arc<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Supervisor {
    /// Starts a shell in a new folder and chooses a free port. The server is not started yet.
    pub fn new(engine: Engine, installation: &Installation, password: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("carya-server-").tempdir()?;
        let port = free_port()?;
        let mut command = Command::new("sh");
        // A terminal sends Ctrl-C to the whole process group. The new group keeps the signal from the server, which
        // only ends when the test process does.
        command.arg("-c").arg([installation.script, LOOP].concat()).current_dir(folder.path()).process_group(0);
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
        // From here on the shell removes the folder.
        let folder = folder.keep();
        Ok(Self { folder, port, line: Arc::new(Mutex::new((orders, BufReader::new(answers)))) })
    }

    /// Sends a command, e.g. `start` or `adopt FOLDER`, and waits for its result.
    pub async fn order(&self, order: impl Into<String>) -> Result {
        let (line, order) = (self.line.clone(), order.into());
        let asked = order.clone();
        let answer = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            let (orders, answers) = &mut *line;
            // Write the line in a single call: after an interrupted write the shell would execute an incomplete
            // command.
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

    /// Returns the last 30 lines of the server's log.
    fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Returns a free port below the range that Linux assigns to outgoing connections. An outgoing connection must not take
/// the port of a server that is down and will start on the same port again.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        // Different processes start at different ports.
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id().wrapping_mul(37).wrapping_add(step)) % 12_000;
        let port = u16::try_from(port)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port between 20000 and 32000".into())
}
