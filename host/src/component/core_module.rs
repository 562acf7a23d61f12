//! Converts core modules to components. A core module must contain the WIT of its world, which `wit-bindgen` embeds. An
//! adapter converts imports of WASI 0.1, which C, Zig and TinyGo programs have, to WASI 0.2. This module accepts every
//! world; the loader checks the imports and exports of the resulting component.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, metadata};

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
                    build it for the target wasm32-wasip2, or with wit-bindgen"
            .to_owned());
    }
    let encoder = ComponentEncoder::default().validate(true).module(bytes).map_err(broken)?;
    // The encoder leaves the adapter out if the module does not import WASI 0.1.
    let mut encoder =
        encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER).map_err(broken)?;
    let component = encoder.encode().map_err(broken)?;
    tracing::debug!(module = bytes.len(), component = component.len(), "a core module was made a component");
    Ok(component.into())
}
