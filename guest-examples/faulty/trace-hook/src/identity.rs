//! Sets the identity of the client. Components that include this file import `identity-setter`.

use crate::carya::host::{config, identity_setter};

/// Sets the hook's name as the subject, and two claims.
pub(crate) fn identify() -> Result<(), String> {
    let name = config::get("name").unwrap_or_else(|| "hook".into());
    identity_setter::set(&name, r#"{"role": "admin", "level": 1.50}"#)
}
