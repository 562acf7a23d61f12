//! The settings of the component (`[component.NAME.settings]` in the configuration of the host).

use serde::de::DeserializeOwned;

use crate::{HostError, raw::config};

/// Returns a setting that is a string. Any other value is returned as JSON text.
///
/// ```no_run
/// # fn f() -> Result<(), carya_guest::Problem> {
/// let greeting = carya_guest::setting_text("greeting")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns an error if the configuration does not contain the setting.
pub fn setting_text(name: &str) -> Result<String, HostError> {
    config::get(name).ok_or_else(|| HostError(format!("the setting `{name}` of this component is missing")))
}

/// Returns a setting that is a number, a boolean, a list or a table. Use [`setting_text`] for strings.
///
/// ```no_run
/// # fn f() -> Result<(), carya_guest::Problem> {
/// let keys: Vec<String> = carya_guest::setting("keys")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns an error if the configuration does not contain the setting, or if the setting has another type.
pub fn setting<T: DeserializeOwned>(name: &str) -> Result<T, HostError> {
    let text = setting_text(name)?;
    serde_json::from_str(&text).map_err(|error| HostError(format!("the setting `{name}` of this component: {error}")))
}
