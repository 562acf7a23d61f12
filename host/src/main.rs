//! The `carya` program.

use std::{process::ExitCode, time::Duration};

use carya::cli::{self, Cli};
use clap::Parser;
use tokio::runtime::Runtime;

/// Maximum time that background tasks have to end after the command has finished. A thread that compiles a component or
/// waits for a file cannot be interrupted, so the process exits without waiting for it any longer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the threads of the host: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::execute(cli));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    code
}
