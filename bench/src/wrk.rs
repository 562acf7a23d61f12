//! Runs `wrk` with `wrk.lua`, which sends the requests of a workload for some seconds, and returns the figures. A wrong
//! response is an error.

use std::{path::Path, time::Duration};

use serde::Deserialize;
use tokio::process::Command;

use crate::{error::Result, measure::Measure, process::Process, work::Work};

/// Expected body of all responses: the same bytes, or any body that matches a Lua pattern.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Body(Vec<u8>),
    Pattern(&'static str),
}

/// The JSON line that the script prints at the end.
#[derive(Debug, Deserialize)]
struct Told {
    requests: u64,
    us: u64,
    bytes: u64,
    p50_us: u64,
    p99_us: u64,
    failed: u64,
    broken: u64,
    wrong: u64,
    example: String,
}

/// Selects the checks of each response. The comparison of bodies takes processor time of the client, so measured rounds
/// only check the statuses and the number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Closely,
    AtStatus,
}

/// Sends the requests of a workload to a server for `seconds`, and returns the [`Measure`].
pub(crate) async fn drive(
    process: &Process,
    work: &Work,
    expected: &Expected,
    (look, seconds): (Look, u64),
    folder: &Path,
) -> Result<Measure> {
    let mut command = Command::new("wrk");
    let (connections, duration) = (work.connections.to_string(), format!("{seconds}s"));
    command.args(["-t1", "-c", &connections, "-d", &duration, "--timeout", "10s"]);
    command.arg("-s").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/wrk.lua"));
    command.arg(format!("{}://127.0.0.1:{}", process.scheme, process.port));
    command.env("BENCH_METHOD", work.method).env("BENCH_PATHS", work.paths.join(" "));
    command.env("BENCH_STATUS", work.status.to_string());
    if let Some(body) = &work.body {
        let file = folder.join("request-body");
        std::fs::write(&file, body)?;
        command.env("BENCH_BODY", file);
    }
    if look == Look::Closely {
        match expected {
            Expected::Body(body) => {
                let file = folder.join("expected-body");
                std::fs::write(&file, body)?;
                command.env("BENCH_ANSWER", file);
            }
            Expected::Pattern(pattern) => drop(command.env("BENCH_PATTERN", pattern)),
        }
    }
    command.kill_on_drop(true);
    let cpu = process.cpu_us();
    let middle = async {
        tokio::time::sleep(Duration::from_millis(seconds * 700)).await;
        process.memory_kb()
    };
    let (output, memory_kb) = tokio::join!(crate::process::run(&mut command), middle);
    let cpu = process.cpu_us() - cpu;
    let output = output?;
    let told = output.lines().rfind(|line| line.starts_with('{')).ok_or_else(|| format!("wrk says: {output}"))?;
    let told: Told = serde_json::from_str(told)?;
    if told.requests == 0 {
        return Err(format!("not one answer in {seconds} s\n{}", process.log_tail()).into());
    }
    if told.failed + told.broken + told.wrong > 0 {
        let Told { requests, failed, broken, wrong, example, .. } = told;
        return Err(format!(
            "of {requests} answers {failed} were failures, {wrong} were wrong and {broken} did not come; {example}\n{}",
            process.log_tail()
        )
        .into());
    }
    Ok(Measure {
        requests: told.requests,
        per_second: told.requests as f64 * 1e6 / told.us as f64,
        bytes_each: told.bytes as f64 / told.requests as f64,
        p50_us: told.p50_us,
        p99_us: told.p99_us,
        cpu_us: cpu as f64 / told.requests as f64,
        memory_kb,
    })
}
