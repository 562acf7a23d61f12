//! Writes messages of guests to the host's log, within the limits of the request.

use tracing::Level;

use crate::{message::Request, telemetry::GUEST};

/// Logs a message of a component. `stream` is the name of the standard stream to which the guest wrote the message.
pub(super) fn write(component: &str, request: &Request, level: Level, stream: Option<&str>, message: &str) {
    // The level is part of the static description of a record, so each level needs a call of its own.
    macro_rules! log {
        ($level:ident) => {
            if tracing::enabled!(target: GUEST, Level::$level) && is_admitted(request, message) {
                let request = &*request.id;
                tracing::event!(target: GUEST, Level::$level, component, request, stream, "{message}");
            }
        };
    }
    match level {
        Level::TRACE => log!(TRACE),
        Level::DEBUG => log!(DEBUG),
        Level::INFO => log!(INFO),
        Level::WARN => log!(WARN),
        Level::ERROR => log!(ERROR),
    }
}

/// Start functions run before an instance serves a request. Their request has no id and is shared by all of them.
fn is_admitted(request: &Request, message: &str) -> bool {
    request.id.is_empty() || request.log.admit(&request.id, message.len())
}
