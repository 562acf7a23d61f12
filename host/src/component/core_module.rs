//! Converts core modules to components. A core module must contain the WIT of its world, which `wit-bindgen` embeds in
//! builds for `wasm32-unknown-unknown`. This module accepts every world; the loader checks the imports and exports of
//! the resulting component.

use std::borrow::Cow;

use wit_component::{ComponentEncoder, metadata};

/// Module name of imports from WASI 0.1. A core module with such imports needs an adapter to become a component.
const WASI_1: &str = "wasi_snapshot_preview1";

/// Converts a core module to a component. Returns all other bytes unchanged.
///
/// # Errors
///
/// Returns a message for a core module that cannot become a component.
pub(super) fn to_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let [0, b'a', b's', b'm', 1, 0, 0, 0, ..] = bytes else { return Ok(bytes.into()) };
    let broken = |error| format!("this core module cannot be made a component: {error:#}");
    if let (None, _) = metadata::decode(bytes).map_err(broken)? {
        return Err("this is a core module without the WIT of its world, not a component; \
                    build it for the target wasm32-wasip2, or with wit-bindgen for wasm32-unknown-unknown"
            .to_owned());
    }
    let encoder = ComponentEncoder::default().validate(true).module(bytes).map_err(broken)?;
    let component = { encoder }.encode().map_err(|error| match format!("{error:#}") {
        text if text.contains(WASI_1) => format!(
            "this core module imports {WASI_1}, for which it would need an adapter; \
             build it for the target wasm32-wasip2, or for wasm32-unknown-unknown, which imports no WASI"
        ),
        _ => broken(error),
    })?;
    tracing::debug!(module = bytes.len(), component = component.len(), "a core module was made a component");
    Ok(component.into())
}
