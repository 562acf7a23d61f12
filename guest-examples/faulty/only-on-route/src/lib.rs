//! Exports only the phase `on-route` of `trace-hook`, because the host calls all phases that a hook exports.

#[path = "../../trace-hook/src/identity.rs"]
mod identity;
#[path = "../../trace-hook/src/on_route.rs"]
mod on_route;

wit_bindgen::generate!({
    inline: "
        package test:only-on-route;
        world guest {
            include carya:host/imports@0.2.0;
            import carya:host/identity-setter@0.2.0;
            export carya:host/on-route@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
