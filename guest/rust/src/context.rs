//! Values that hooks pass to later hooks and to the controller.

use crate::{HostError, raw::context as host};

/// Returns the value that an earlier hook of this request has set for a key.
pub fn context(key: &str) -> Option<String> {
    host::get(key)
}

/// Sets a value for later hooks of this request and for its controller.
///
/// ```no_run
/// # fn f() -> Result<(), carya_guest::Problem> {
/// carya_guest::set_context("tenant", "acme")?;
/// assert_eq!(carya_guest::context("tenant").as_deref(), Some("acme"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns an error beyond 64 keys, or beyond 64 KiB of keys and values in total.
pub fn set_context(key: &str, value: &str) -> Result<(), HostError> {
    host::set(key, value).map_err(HostError)
}
