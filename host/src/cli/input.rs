//! The application that a command works on.

use std::path::Path;

use crate::{
    app::{Application, Sources},
    config::{self, Config},
    telemetry::{self, Format},
};

/// Reads the configuration, and starts the log with its settings.
pub(super) fn load(path: &Path, format: Format) -> anyhow::Result<Config> {
    let config = config::load(path)?;
    telemetry::start(format, &config.log_filter, config.log);
    Ok(config)
}

/// Reads an application, starts the log with its settings, and pulls its images.
pub(super) async fn load_sources(path: &Path, format: Format) -> anyhow::Result<Sources> {
    let application = Application::read(path, None)?;
    telemetry::start(format, &application.config.log_filter, application.config.log);
    Ok(application.pull().await?)
}
