//! Exports only the phase `before` of `trace-hook`, because the host calls all phases that a hook exports.

#[path = "../../trace-hook/src/before.rs"]
mod before;
#[path = "../../trace-hook/src/handle.rs"]
mod handle;
#[path = "../../trace-hook/src/identity.rs"]
mod identity;

wit_bindgen::generate!({
    inline: "
        package test:only-before;
        world guest {
            include carya:host/imports@0.2.0;
            import carya:host/identity-setter@0.2.0;
            export carya:host/before@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
