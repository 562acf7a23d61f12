//! Reasons why core modules are not merged.

use wasm_encoder::reencode;
use wasmparser::BinaryReaderError;

/// Reason why no core modules of a component were merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(in crate::component) enum NotMerged {
    #[error("it has no two core modules that can be merged")]
    Single,
    #[error("a core module has several instances")]
    Instances,
    #[error("a core module has a start function")]
    Start,
    #[error("it passes core modules between components")]
    Modules,
    #[error("it lowers a function with options that are lowered functions")]
    Chain,
    #[error("a core module uses garbage collection, exceptions or typed function references")]
    Proposal,
    #[error("it is malformed")]
    Malformed,
}

impl From<BinaryReaderError> for NotMerged {
    fn from(_: BinaryReaderError) -> Self {
        Self::Malformed
    }
}

impl From<reencode::Error<Self>> for NotMerged {
    fn from(error: reencode::Error<Self>) -> Self {
        match error {
            reencode::Error::UserError(reason) => reason,
            _ => Self::Malformed,
        }
    }
}
