//! The log of the host on standard error, as text or as JSON lines. Metrics are in [`metrics`].
//!
//! Each record is one line, because control characters in its texts are escaped.

mod escape;
pub(crate) mod metrics;
mod panics;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use self::escape::printable;
use self::escape::JsonWriter;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Starts logging. The environment variable `CARYA_LOG` selects log lines, for example `info` or
/// `carya::sql=debug,info`. Without a valid `CARYA_LOG` the level is `info`, and `debug` adds the lifecycle of every
/// request.
pub(crate) fn start(format: Format, debug: bool) {
    let default = if debug { "info,carya::lifecycle=debug" } else { "info" };
    let filter = EnvFilter::try_from_env("CARYA_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        Format::Text => {
            let layer = fmt::layer().fmt_fields(fmt::format::debug_fn(escape::write_field));
            registry.with(layer.with_writer(io::stderr).with_ansi(io::stderr().is_terminal())).try_init()
        }
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true);
            registry.with(layer.with_writer(|| JsonWriter(io::stderr()))).try_init()
        }
    };
    // Tests start logging more than once: only the first start has an effect.
    if started.is_ok() {
        panics::log();
    }
}

/// Returns a duration in milliseconds for a record. Records show the `u128` of [`Duration::as_millis`] as a text.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a duration in microseconds for a record, like [`millis`].
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    /// Runs an ignored test in a process of its own, since a process has one log. Returns its standard error.
    pub(crate) fn in_own_process(test: &str, backtrace: &str) -> String {
        let program = "/proc/self/exe";
        let args = ["--exact", test, "--ignored", "--nocapture"];
        let ran = Command::new(program).args(args).env("RUST_BACKTRACE", backtrace).env_remove("CARYA_LOG").output();
        let ran = ran.expect("the test program starts again");
        assert!(ran.status.success(), "{test}: {ran:?}");
        String::from_utf8(ran.stderr).expect("the log is UTF-8")
    }
}
