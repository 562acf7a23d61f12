//! Core modules that carry the WIT of their world, as wit-bindgen leaves it in a build for wasm32-unknown-unknown: they
//! become components here. It does not know what a world means to this host.

use std::borrow::Cow;

use wit_component::{ComponentEncoder, metadata};

/// How the first version of WASI is imported, which only an adapter could answer.
const WASI_1: &str = "wasi_snapshot_preview1";

/// The component that a file's bytes are, or that a core module among them becomes. Tells why there is none.
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
        words if words.contains(WASI_1) => format!(
            "this core module imports {WASI_1}, for which it would need an adapter; \
             build it for the target wasm32-wasip2, or for wasm32-unknown-unknown, which imports no WASI"
        ),
        _ => broken(error),
    })?;
    tracing::debug!(module = bytes.len(), component = component.len(), "a core module was made a component");
    Ok(component.into())
}
