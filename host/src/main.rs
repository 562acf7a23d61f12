//! The `carya` program.

use std::{process::ExitCode, time::Duration};

use carya::cli::{self, Cli};
use clap::Parser;
use tokio::runtime::Runtime;

/// Maximum time that background tasks have to end after the command has finished. A thread that compiles a component or
/// waits for a file cannot be interrupted, so the process exits without waiting for it any longer.
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
