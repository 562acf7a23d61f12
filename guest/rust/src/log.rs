//! Macros that write to the log of the host.

use crate::raw::log;
pub use log::Level;

/// Writes a message to the host's log. On other targets than WebAssembly, where unit tests run, to standard error.
#[doc(hidden)]
pub fn write(level: Level, message: std::fmt::Arguments<'_>) {
    // A literal without arguments needs no formatting, which would be a large part of a small guest.
    let text = message.as_str().map_or_else(|| message.to_string().into(), std::borrow::Cow::Borrowed);
    if cfg!(target_family = "wasm") {
        log::write(level, &text);
    } else {
        eprintln!("{level:?}: {text}");
    }
}

/// Writes a message of the level `trace` to the host's log. Arguments are those of [`format!`].
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::__private::log($crate::__private::Level::Trace, ::core::format_args!($($message)+)) };
}

/// Writes a message of the level `debug` to the host's log. Arguments are those of [`format!`].
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::__private::log($crate::__private::Level::Debug, ::core::format_args!($($message)+)) };
}

/// Writes a message of the level `info` to the host's log. Arguments are those of [`format!`].
///
/// The host adds the name of the component and the identifier of the request.
///
/// ```
/// let id = 7;
/// carya_guest::info!("ticket {id} was closed");
/// ```
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::__private::log($crate::__private::Level::Info, ::core::format_args!($($message)+)) };
}

/// Writes a message of the level `warn` to the host's log. Arguments are those of [`format!`].
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::__private::log($crate::__private::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Writes a message of the level `error` to the host's log. Arguments are those of [`format!`].
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::__private::log($crate::__private::Level::Error, ::core::format_args!($($message)+)) };
}
