//! A hook in all four phases. The setting named after a phase says what it does there; without one it does nothing.
//!
//! Settings: `on_route`, `before`, `after`, `on_error` (see those files), `sql` for the statement of `write`, `name`
//! (default `hook`) for its mark, `NAME:HANDLE`. The `only-*` components are these phases one by one.

mod after;
mod before;
mod handle;
mod on_error;
mod on_route;

wit_bindgen::generate!({
    inline: "
        package test:trace-hook;
        world guest {
            include carya:host/imports@0.1.0;
            export carya:host/on-route@0.1.0;
            export carya:host/before@0.1.0;
            export carya:host/after@0.1.0;
            export carya:host/on-error@0.1.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
