//! Hook with all four phases. The setting with the name of a phase selects its behaviour; without it the phase does
//! nothing.
//!
//! Settings: `on_route`, `before`, `after` and `on_error` (see those files), `sql` (the statement of `write`), and
//! `name` (default `hook`, used in the mark `NAME:HANDLE`). Each `only-*` component exports one of these phases.

mod after;
mod before;
mod handle;
mod identity;
mod on_error;
mod on_route;

wit_bindgen::generate!({
    inline: "
        package test:trace-hook;
        world guest {
            include carya:host/imports@0.2.0;
            import carya:host/identity-setter@0.2.0;
            export carya:host/on-route@0.2.0;
            export carya:host/before@0.2.0;
            export carya:host/after@0.2.0;
            export carya:host/on-error@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hook;
export!(Hook);
