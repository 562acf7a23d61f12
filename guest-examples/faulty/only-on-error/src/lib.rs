//! Exports only the phase `on-error` of `trace-hook`, because the host calls all phases that a hook exports.

#[path = "../../trace-hook/src/handle.rs"]
mod handle;
#[path = "../../trace-hook/src/on_error.rs"]
mod on_error;

wit_bindgen::generate!({
    inline: "
        package test:only-on-error;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/on-error@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
