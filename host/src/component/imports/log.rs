//! `log`: messages of guests, which the host logs with the component's name and the request's id.

use crate::component::{
    store::StoreData,
    wit::carya::host::log::{self, Level},
};

/// Maximum length of a message, in bytes. The rest is cut off.
const MAX_MESSAGE: usize = 8 * 1024;

impl log::Host for StoreData {
    fn write(&mut self, level: Level, mut message: String) -> wasmtime::Result<()> {
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push_str(" [cut]");
        }
        let (component, request) = (&*self.identity.name, &*self.lent.request.id);
        match level {
            Level::Trace => tracing::trace!(target: "guest", component, request, "{message}"),
            Level::Debug => tracing::debug!(target: "guest", component, request, "{message}"),
            Level::Info => tracing::info!(target: "guest", component, request, "{message}"),
            Level::Warn => tracing::warn!(target: "guest", component, request, "{message}"),
            Level::Error => tracing::error!(target: "guest", component, request, "{message}"),
        }
        Ok(())
    }
}
