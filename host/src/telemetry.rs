//! Where the host's log goes: standard error, as text or as JSON lines. What is counted is in `telemetry/metrics.rs`.

pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: a JSON object a line.
    Json,
}

/// Starts logging. `CARYA_LOG` says what is logged, as `info` or `carya::sql=debug,info`; with `debug` every request's
/// lifecycle is logged too.
pub fn start(format: Format, debug: bool) {
    let default = if debug { "info,carya::lifecycle=debug" } else { "info" };
    let filter = EnvFilter::try_from_env("CARYA_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as tests do it, changes nothing.
    let _ = match format {
        Format::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        Format::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
}
