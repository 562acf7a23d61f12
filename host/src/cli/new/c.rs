//! Files of a project with guests in C.

use super::{File, files};

pub(super) const PROJECT: &[File] = files!["host/template/c/project" as "":
    "README.md",
    "Makefile",
    "carya.toml",
    "compile_flags.txt",
    "migrations/0001_notes.sql",
    "notes/notes.c",
    "greeting/greeting.c",
    "tests/http.sh",
    ".gitignore",
];

/// The headers in `guest/c`, and the types of the interfaces.
pub(super) const LIBRARY: &[File] = files!["guest/c" as "vendor/carya-guest/":
    "carya_guest.h",
    "carya_host.h",
    "carya_json.h",
    "carya_web.h",
    "world/actions.wasm",
    "world/after.wasm",
    "world/before.wasm",
    "world/controller.wasm",
    "world/imports.wasm",
    "world/init.wasm",
    "world/on-error.wasm",
    "world/on-route.wasm",
    "world/plain.wasm",
    "world/reseed.wasm",
];
