//! Exports only the phase `after` of `trace-hook`, because the host calls all phases that a hook exports.

#[path = "../../trace-hook/src/after.rs"]
mod after;
#[path = "../../trace-hook/src/handle.rs"]
mod handle;

wit_bindgen::generate!({
    inline: "
        package test:only-after;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/after@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
