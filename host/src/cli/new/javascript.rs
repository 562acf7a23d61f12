//! Files of projects with guests in JavaScript and in TypeScript.

use super::{File, files};

/// Files that are the same in both languages.
macro_rules! shared {
    ($path:literal) => {
        ($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/template/javascript/project/", $path)))
    };
}

macro_rules! typescript {
    ($path:literal) => {
        ($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/template/typescript/project/", $path)))
    };
}

pub(super) const JAVASCRIPT: &[File] = files!["host/template/javascript/project" as "":
    "README.md",
    "Makefile",
    "carya.toml",
    "migrations/0001_notes.sql",
    "notes/notes.js",
    "greeting/greeting.js",
    "tests/http.test.mjs",
    "package.json",
    "jsconfig.json",
    ".npmrc",
    ".gitignore",
];

pub(super) const TYPESCRIPT: &[File] = &[
    typescript!("README.md"),
    typescript!("Makefile"),
    typescript!("carya.toml"),
    shared!("migrations/0001_notes.sql"),
    typescript!("notes/notes.ts"),
    typescript!("greeting/greeting.ts"),
    shared!("tests/http.test.mjs"),
    typescript!("package.json"),
    typescript!("tsconfig.json"),
    shared!(".npmrc"),
    shared!(".gitignore"),
];

/// The package `guest/javascript`, without its tests.
pub(super) const LIBRARY: &[File] = files!["guest/javascript" as "vendor/carya-guest/":
    "README.md",
    "bin/carya-guest.mjs",
    "build/build.mjs",
    "build/bundle.mjs",
    "build/command.mjs",
    "build/engines.mjs",
    "build/error.mjs",
    "build/evaluate.mjs",
    "build/lines.mjs",
    "build/section.mjs",
    "build/world.mjs",
    "package.json",
    "src/bytes.js",
    "src/config.js",
    "src/console.js",
    "src/cookie.js",
    "src/database.js",
    "src/driver.js",
    "src/drizzle/buffer.js",
    "src/drizzle/index.d.ts",
    "src/drizzle/index.js",
    "src/drizzle/mysql.js",
    "src/drizzle/postgres.js",
    "src/drizzle/schema.js",
    "src/drizzle/sqlite.js",
    "src/drizzle/transaction.js",
    "src/engine.js",
    "src/entry.js",
    "src/error.js",
    "src/etag.js",
    "src/fetch.js",
    "src/form.js",
    "src/format.js",
    "src/hooks.js",
    "src/host.js",
    "src/index.d.ts",
    "src/index.js",
    "src/json.js",
    "src/kysely.d.ts",
    "src/kysely.js",
    "src/log.js",
    "src/pattern.js",
    "src/problem.js",
    "src/program.js",
    "src/quickjs/jobs.js",
    "src/quickjs/prelude.js",
    "src/quickjs/random.js",
    "src/quickjs/runtime.js",
    "src/quickjs/timeout.js",
    "src/quickjs/utf8.js",
    "src/raw.d.ts",
    "src/reply.js",
    "src/request.js",
    "src/response.js",
    "src/router.js",
    "src/rows.js",
    "src/runtime.js",
    "src/schema.js",
    "src/settle.js",
    "src/stack.js",
    "src/starlingmonkey/prelude.js",
    "src/testing.d.ts",
    "src/testing.js",
    "src/values.js",
    "src/xoshiro.js",
    "wasi/random.wit",
    "wit/actions.wit",
    "wit/controller.wit",
    "wit/database.wit",
    "wit/hook.wit",
    "wit/model.wit",
    "wit/request.wit",
    "wit/reseed.wit",
    "wit/types.wit",
    "wit/world.wit",
];
