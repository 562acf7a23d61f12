//! A server process on its own core: starts it, reads its usage from `/proc`, and ends it.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

use crate::error::Result;

/// The core of the measured server. `make bench` starts this program, and thus all other processes, on the other core.
const CORE: &str = "0";
/// Maximum time until a server listens. The longest start compiles a thousand components.
const PATIENCE: Duration = Duration::from_secs(600);
/// Ticks per second in `/proc`. All Linux systems use the same value.
const TICKS_PER_SECOND: u64 = 100;

/// A running server. Dropping the value kills the process.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
    /// `http`, or `https` for a listener with a certificate.
    pub(crate) scheme: &'static str,
    log: PathBuf,
}

impl Process {
    /// Starts a command on the servers' core, with its log in a file, and waits until the server listens.
    pub(crate) async fn start(command: &mut std::process::Command, port: u16, log: PathBuf) -> Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", CORE]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARYA_")) {
            pinned.env_remove(name);
        }
        pinned.env("TOKIO_WORKER_THREADS", "1");
        pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let file = File::create(&log)?;
        pinned.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let child =
            pinned.spawn().map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
        let mut process = Self { child, port, scheme: "http", log };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("the server exited ({status}):\n{}", process.log_tail()).into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("timed out waiting for the server to listen:\n{}", process.log_tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(process)
    }

    /// Returns the errors in the log and the last lines of the log, to be added to an error message.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned();
        let log = String::from_utf8_lossy(&log);
        // At the end of every load `wrk` disconnects in the middle of requests, so these errors are normal.
        let trouble = log.lines().filter(|line| line.contains("ERROR") && !line.contains("the client disconnected"));
        let trouble = trouble.take(20).collect::<Vec<_>>().join("\n");
        format!("{trouble}\n{end}\n(errors and the end of {})", self.log.display())
    }

    /// Returns the processor time of the process and its children, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        let ticks = |pid: u32| -> Option<u64> {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name may contain spaces, so skip it. The fields 14 and 15 are the user time and the system time.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
            Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
        };
        self.tree().into_iter().filter_map(ticks).sum::<u64>() * (1_000_000 / TICKS_PER_SECOND)
    }

    /// Returns the resident memory of the process and its children, in KiB.
    pub(crate) fn memory_kb(&self) -> u64 {
        let resident = |pid: u32| -> Option<u64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
        };
        self.tree().into_iter().filter_map(resident).sum()
    }

    /// Returns the ids of the process and of all its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut found: Vec<u32> = self.child.id().into_iter().collect();
        let mut at = 0;
        while let Some(pid) = found.get(at) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        found
    }

    /// Sends SIGTERM and waits for the process to end. Kills the process after 15 s.
    pub(crate) async fn stop(mut self) -> Result {
        if let Some(pid) = self.child.id() {
            Command::new("kill").args(["-s", "TERM", &pid.to_string()]).status().await?;
        }
        if tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        // Truncate the log, which has a line for each request.
        File::create(&self.log)?;
        Ok(())
    }
}

/// Returns a free port below the range that Linux assigns to outgoing connections.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(18_000);
    for _ in 0..1000 {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port above 18000".into())
}

/// Runs a program and returns its output. If the program fails, the output is in the error message.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_owned();
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("{program:?} cannot be started: {error}"))?;
    let output_text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(output_text),
        false => Err(format!("{program:?} failed ({}):\n{output_text}", output.status).into()),
    }
}

/// Returns the path of a file below a folder, or an error if the file does not exist.
pub(crate) fn existing(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("{} does not exist; run `make bench`, which builds it", path.display()).into()),
    }
}
