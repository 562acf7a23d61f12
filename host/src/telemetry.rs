//! The log of the host on standard error, as text or as JSON lines. Metrics are in [`metrics`].
//!
//! Each record is one line, because control characters in its texts are escaped. Guests and failures can fill the log
//! only up to its [`Limits`].

mod access;
mod allowance;
mod escape;
mod excerpt;
mod lines;
pub(crate) mod metrics;
mod panics;
mod rate;

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use self::{
    access::{AccessFormat, Combined, access_format, log_access_as},
    allowance::Allowance,
};
use self::{escape::JsonWriter, lines::Records};
pub(crate) use self::{escape::printable, excerpt::excerpt, lines::ACCESS};

/// Target of the records of guests.
pub(crate) const GUEST: &str = "guest";
/// Target of the records of statements.
pub(crate) const SQL: &str = "carya::sql";
/// Target of records about the log itself.
const LOG: &str = "carya::log";

/// Length that a record is assumed to have besides its texts: its time, level, target and the names of its fields.
const FRAME: usize = 100;

/// Mark at the end of a text that was cut off.
const CUT: &str = " [cut]";

/// Maximum length of a guest's text in a record, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Limits of the log, in bytes. The process has one log, so a reload does not change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum length of the lines that the guests of one request write.
    pub max_per_request: usize,
    /// Maximum length of the records of one source in a second. Sources are the guests of one component, statements,
    /// and each kind of warning or error.
    pub max_per_second: usize,
}

/// Limits of the started log.
static LIMITS: OnceLock<Limits> = OnceLock::new();

/// Starts logging the lines that `filter` selects, for example `info` or `carya::sql=debug,info`.
pub(crate) fn start(format: Format, filter: &str, limits: Limits) {
    let filter = EnvFilter::new(filter);
    let registry = tracing_subscriber::registry().with(filter).with(rate::Limiter(limits.max_per_second));
    let started = match format {
        Format::Text => {
            let layer = fmt::layer().fmt_fields(fmt::format::debug_fn(escape::write_field));
            registry.with(layer.with_writer(Records).with_ansi(io::stderr().is_terminal())).try_init()
        }
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true);
            registry.with(layer.with_writer(JsonWriter(Records))).try_init()
        }
    };
    // Tests start logging more than once: only the first start has an effect.
    if started.is_ok() {
        let _ = LIMITS.set(limits);
        lines::start();
        panics::log();
    }
}

/// Logs how many records were dropped since the last report, and writes all lines that wait. From now on, each line is
/// written at once.
pub(crate) fn end() {
    rate::report();
    lines::end();
}

/// Returns a duration in milliseconds for a record. Records show the `u128` of [`Duration::as_millis`] as a text.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a duration in microseconds for a record, like [`millis`].
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Cuts off the end of a guest's text that is too long for a record.
pub(crate) fn cut(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str(CUT);
    }
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
