//! Error type of the benchmark. Errors are only printed, so a boxed error is enough.

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;
