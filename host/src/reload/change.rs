//! The result of a change of the served generation, and its log lines.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{app::format_error, config, diff::Difference, generation::Generation, telemetry};

/// Target of the log lines, for `CARYA_LOG` and for scripts that read the log.
const TARGET: &str = "carya::reload";

/// A completed change of the served generation.
#[derive(Debug)]
pub(crate) struct Change {
    /// The generation that is served now.
    pub generation: Arc<Generation>,
    /// The files that were added, removed or changed. Empty for the activation of a deployed generation.
    pub files: Vec<PathBuf>,
    /// The differences in routes, components, databases and capabilities.
    pub differences: Vec<Difference>,
    /// Time from the beginning of the attempt until the new generation was served.
    pub took: Duration,
}

/// Function that reports the result of a change. Its second argument is the generation that was served before.
pub(crate) type Report = fn(&anyhow::Result<Change>, &Generation);

/// Logs a change, or the error that prevented it.
pub(crate) fn log_change(result: &anyhow::Result<Change>, served: &Generation) {
    match result {
        Ok(Change { generation, files, differences, took }) => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let (files, ms, routes) = (files.join(", "), telemetry::millis(*took), generation.handlers.len());
            tracing::info!(target: TARGET, generation = generation.id, routes, ms, files, "a new generation is served");
            differences.iter().for_each(log_difference);
        }
        Err(error) => {
            tracing::error!(target: TARGET, generation = served.id, "the old generation stays: {}", format_error(error));
        }
    }
}

/// Logs a difference, as a warning if it permits something that was not possible before.
fn log_difference(difference: &Difference) {
    let (kind, place) = (difference.kind.as_str(), &difference.place);
    match difference.kind.widens() {
        true => tracing::warn!(target: TARGET, kind, place, "{difference}"),
        false => tracing::info!(target: TARGET, kind, place, "{difference}"),
    }
}

/// Logs the changed settings that take effect only at the next start.
pub(super) fn warn_of_settings_for_the_next_start(before: &config::Config, now: &config::Config) {
    let (old, new) = (&before.server, &now.server);
    let keys = [
        ("listen", old.listen != new.listen),
        ("listen_mode", old.listen_mode != new.listen_mode),
        ("redirect", old.redirect != new.redirect),
        ("proxy_protocol", old.proxy_protocol != new.proxy_protocol),
        ("tls_cert", old.tls != new.tls),
        ("acme", old.acme != new.acme),
        ("http2", old.http2 != new.http2),
        ("metrics", old.metrics != new.metrics),
        ("public_health", old.public_health != new.public_health),
        ("http2_max_streams", old.http2_max_streams != new.http2_max_streams),
        ("connections", old.connections != new.connections),
        ("connections_per_address", old.connections_per_address != new.connections_per_address),
        ("header_timeout", old.header_timeout != new.header_timeout),
        ("idle_timeout", old.idle_timeout != new.idle_timeout),
        ("send_timeout", old.send_timeout != new.send_timeout),
        ("max_unsent", old.max_unsent != new.max_unsent),
        ("drain_delay", old.drain_delay != new.drain_delay),
        ("drain_timeout", old.drain_timeout != new.drain_timeout),
        ("max_concurrent_requests", old.max_concurrent_requests != new.max_concurrent_requests),
        ("max_waiting", old.max_waiting != new.max_waiting),
        ("max_receiving", old.max_receiving != new.max_receiving),
        ("max_guest_memory", old.max_guest_memory != new.max_guest_memory),
        ("cache", old.cache != new.cache),
        ("page_scan", old.page_scan != new.page_scan),
        ("keep_resident", old.keep_resident != new.keep_resident),
    ];
    for (key, _) in keys.into_iter().filter(|(_, differs)| *differs) {
        tracing::warn!(target: TARGET, "server.{key} has changed, which takes effect at the next start");
    }
    if before.log != now.log {
        tracing::warn!(target: TARGET, "[log] has changed, which takes effect at the next start");
    }
    if before.deploy != now.deploy {
        tracing::warn!(target: TARGET, "[deploy] has changed, which takes effect at the next start");
    }
}
