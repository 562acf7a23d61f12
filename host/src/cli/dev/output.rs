//! Lines that `carya dev` prints, and the values in them.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use crate::telemetry;

/// Prints to standard output. Ignores errors: `dev` continues without a reader.
pub(in crate::cli) fn print(text: &str) {
    let _ = io::stdout().write_all(telemetry::printable(text).as_bytes());
}

/// Formats a list of files: the first three paths, and the number of further files.
pub(in crate::cli) fn list(files: &[PathBuf]) -> String {
    match files {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            let (first, second, third) = (first.display(), second.display(), third.display());
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        _ => files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// Formats a duration.
pub(super) fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
