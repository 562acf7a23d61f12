//! `log`: messages of guests, which the host logs with the component's name and the request's id.

use crate::{
    component::{
        log::write,
        store::StoreData,
        wit::carya::host::log::{self, Level},
    },
    telemetry,
};

impl log::Host for StoreData {
    fn write(&mut self, level: Level, mut message: String) -> wasmtime::Result<()> {
        telemetry::cut(&mut message);
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        write(&self.properties.name, &self.lent.request, level, None, &message);
        Ok(())
    }
}
