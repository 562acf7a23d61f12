//! The phase `after` of `trace-hook` alone, because the host calls a hook by what it exports.

#[path = "../../trace-hook/src/after.rs"]
mod after;
#[path = "../../trace-hook/src/handle.rs"]
mod handle;

wit_bindgen::generate!({
    inline: "
        package test:only-after;
        world guest {
            include carya:host/imports@0.1.0;
            export carya:host/after@0.1.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
