//! The `carya` program.

use std::{process::ExitCode, time::Duration};

use carya::cli::{self, Cli};
use clap::Parser;
use tokio::runtime::Runtime;

/// How long background tasks have to end once the command is done. A thread that compiles, or that waits for a file,
/// cannot be interrupted; the process ends without it.
const LAST_STEPS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the threads of the host cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(cli));
    runtime.shutdown_timeout(LAST_STEPS);
    code
}
