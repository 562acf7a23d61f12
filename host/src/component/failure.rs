//! Errors of calls of guests. Their text is one line of the log, from which an operator can find the cause: it contains
//! the guest's own message and the last statement that failed.

use std::{sync::Arc, time::Duration};

use wasmtime::WasmBacktrace;

use super::{export::Export, store::StoreData};
use crate::telemetry::excerpt;

/// Maximum length of a message of a guest or of wasmtime, in bytes.
pub(super) const MAX_MESSAGE: usize = 512;

/// Maximum length of the backtrace of a trap, in bytes.
const MAX_BACKTRACE: usize = 300;

/// Error of a call of a guest.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{evidence}")]
pub(crate) struct CallError {
    /// Cause of the failure.
    pub(crate) cause: Cause,
    /// The end of the guest's standard error, and a statement that may have led to the failure.
    evidence: String,
}

/// Cause of a failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The guest returned an error.
    #[error("component `{component}` failed: {message}")]
    Refused {
        /// The component.
        component: Arc<str>,
        /// The guest's error message.
        message: String,
    },
    /// The guest trapped: a panic, a stack overflow, an exit, or an invalid value in the canonical ABI.
    #[error("component `{component}` trapped: {message}")]
    Trapped {
        /// The component.
        component: Arc<str>,
        /// Error of wasmtime.
        message: String,
    },
    /// The call exceeded the `timeout` of the component.
    #[error("component `{component}` did not answer within {limit:?} (component.{component}.timeout)")]
    TimedOut {
        /// The component.
        component: Arc<str>,
        /// Time limit of the call.
        limit: Duration,
    },
    /// The guest requested memory beyond its limit.
    #[error("component `{component}`: {message} ({key})")]
    OutOfMemory {
        /// The component.
        component: Arc<str>,
        /// The memory that the instance would have had, and the limit.
        message: String,
        /// The key of the limit.
        key: String,
    },
    /// All places in the engine's pool of instances are in use.
    #[error("component `{component}`: no room for another instance: {message}")]
    Busy {
        /// The component.
        component: Arc<str>,
        /// Error of wasmtime, which contains the size of the pool.
        message: String,
    },
    /// The component does not export the interface of the call.
    #[error("component `{component}` does not export {}", export.name())]
    NotExported {
        /// The component.
        component: Arc<str>,
        /// The export.
        export: Export,
    },
}

impl CallError {
    /// Returns the error of the call for which `data` contains the state of the request.
    pub(super) fn new(cause: Cause, data: &mut StoreData) -> Self {
        let mut evidence = evidence(data);
        let is_unanswered = data.http.as_ref().is_some_and(|http| http.is_unanswered());
        if is_unanswered && matches!(cause, Cause::TimedOut { .. }) {
            evidence +=
                "; it had not set its `response-outparam`, and until then the host takes only the start of a body";
        }
        Self { cause, evidence }
    }
}

/// Describes a trap: the reason, and the innermost functions of the guest.
pub(super) fn trap(error: &wasmtime::Error) -> String {
    let reason = excerpt(&error.root_cause().to_string(), MAX_MESSAGE);
    match error.downcast_ref::<WasmBacktrace>() {
        Some(backtrace) => format!("{reason}; backtrace: {}", excerpt(&backtrace.to_string(), MAX_BACKTRACE)),
        None => reason,
    }
}

/// Describes a call that is cancelled because the request is interrupted.
pub(super) fn cancelled(data: &mut StoreData) -> String {
    format!("component `{}` was cancelled{}", data.properties.name.clone(), evidence(data))
}

/// Returns what the guest has written to its standard error, and a statement that may have led to the failure.
fn evidence(data: &mut StoreData) -> String {
    let mut text = String::new();
    if let Some(errors) = data.last_errors() {
        text.extend(["; stderr: ", &*errors]);
    }
    if let Some(report) = data.lent.bound.session().and_then(|session| session.report()) {
        text.extend(["; ", &*report]);
    }
    text
}

impl From<Cause> for CallError {
    fn from(cause: Cause) -> Self {
        Self { cause, evidence: String::new() }
    }
}
