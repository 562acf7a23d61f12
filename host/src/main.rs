//! The `carya` program.

use std::process::ExitCode;

use carya::cli::{self, Cli};
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
