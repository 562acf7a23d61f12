//! The generated bindings of the contract in `wit/`.
//!
//! The imports are generated once. Each export has a module of its own with a macro `export_*!`, which adds the types of only
//! this export to a component. The attributes of this crate invoke these macros, so a component exports exactly the
//! interfaces that it implements.

#![allow(missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn)]

wit_bindgen::generate!({
    inline: "
        package carya:guest;
        world guest {
            include carya:host/imports@0.2.0;
            import carya:host/identity-setter@0.2.0;
        }
    ",
    path: "wit",
    additional_derives: [PartialEq],
    additional_derives_ignore: ["handle"],
    generate_all,
});

/// Generates the module of an export, which uses the types of the imports above.
macro_rules! export {
    ($module:ident, $macro:literal, $world:literal) => {
        export!(@ $module, $macro, $world,
            "carya:host/database@0.2.0": crate::bindings::carya::host::database,
            "carya:host/types@0.2.0": crate::bindings::carya::host::types
        );
    };
    // Not every export uses the interface `types`, and a mapping without a use is an error.
    ($module:ident, $macro:literal, $world:literal, database) => {
        export!(@ $module, $macro, $world, "carya:host/database@0.2.0": crate::bindings::carya::host::database);
    };
    (@ $module:ident, $macro:literal, $world:literal, $($with:tt)*) => {
        pub mod $module {
            wit_bindgen::generate!({
                inline: $world,
                path: "wit",
                with: { $($with)* },
                export_macro_name: $macro,
                pub_export_macro: true,
            });
        }
    };
}

export!(
    read_controller,
    "export_read_controller",
    "
    package carya:guest;
    world read-controller { export carya:host/read-controller@0.2.0; }
"
);
export!(
    write_controller,
    "export_write_controller",
    "
    package carya:guest;
    world write-controller { export carya:host/write-controller@0.2.0; }
"
);
export!(
    plain_controller,
    "export_plain_controller",
    "
    package carya:guest;
    world plain-controller { export carya:host/plain-controller@0.2.0; }
"
);
export!(
    on_route,
    "export_on_route",
    "
    package carya:guest;
    world on-route { export carya:host/on-route@0.2.0; }
"
);
export!(
    before,
    "export_before",
    "
    package carya:guest;
    world before { export carya:host/before@0.2.0; }
"
);
export!(
    on_error,
    "export_on_error",
    "
    package carya:guest;
    world on-error { export carya:host/on-error@0.2.0; }
"
);
export!(
    after,
    "export_after",
    "
    package carya:guest;
    world after { export carya:host/after@0.2.0; }
",
    database
);
export!(
    model,
    "export_model",
    "
    package carya:guest;
    world model { export carya:host/model@0.2.0; }
",
    database
);
export!(
    actions,
    "export_actions",
    "
    package carya:guest;
    world actions { export carya:host/actions@0.2.0; }
",
    database
);
