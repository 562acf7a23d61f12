//! Standard output of the commands.

use std::io::{self, Write};

use anyhow::Context;

/// Prints the output of a command. The reader may stop early, as `head` does.
pub(super) fn print(output: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(output.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
