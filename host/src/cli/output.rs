//! Standard output of the commands.

use std::io::{self, Write};

use anyhow::Context;

/// Prints the answer to a command. Its reader may stop early, as `head` does.
pub(super) fn print(answer: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(answer.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the answer could not be printed"),
    }
}
