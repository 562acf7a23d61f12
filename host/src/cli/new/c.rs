//! Files of a project with guests in C.

use super::{File, files};

pub(super) const PROJECT: &[File] = files!["host/template/c/project" as "":
    "README.md",
    "Makefile",
    "carya.toml",
    "compile_flags.txt",
    "migrations/0001_notes.sql",
    "notes/notes.c",
    "tests/http.sh",
    ".gitignore",
];

/// The headers in `guest/c`, and the bindings.
pub(super) const LIBRARY: &[File] = files!["guest/c" as "vendor/carya-guest/":
    "carya_guest.h",
    "carya_json.h",
    "controller.c",
    "controller.h",
    "controller_component_type.o",
];
