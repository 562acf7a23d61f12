//! The guests `conformance*`: one controller on the library of each language. All of them receive the same requests, and
//! must return the same responses and leave the same rows.
//!
//! The expected values are those of the guest in Rust. A case that another guest answers differently lists this guest with
//! the reason. TypeScript has no guest of its own, because its component is built from the same JavaScript.
//!
//! A write through a reader is impossible in the API of each library: the library's tests check this. Rust:
//! `guest/rust/tests/refused/writes.rs`; JavaScript: `guest/javascript/test/database.test.mjs` and `test/typings/use.ts`;
//! Python: `test_a_reader_cannot_write` in `guest/python/tests/test_database.py`; C: `hooks_refuse_and_explain` in
//! `tests/guestbook.rs`. The cases here send a statement that writes to a function that reads. A raw handle of a reader is
//! used as that of a writer in `errors_name_lines_of_the_source` in `tests/javascript.rs` and in
//! `tests/core_modules/library.rs`; the bindings for Rust and Python have no such function.

use std::fmt::Write;

use tokio::sync::OnceCell;

use super::{actions, bodies, compile, errors, is_built, requests, values};
use crate::support::{App, Engine, Result, Wrong, on_each_engine};

/// The first guest is the reference. `conformance-js` runs on StarlingMonkey.
const GUESTS: [&str; 5] = ["conformance", "conformance-js", "conformance-qjs", "conformance-python", "conformance-c"];

const ROUTES: [&str; 15] = [
    "/query/{how}",
    "/savepoint",
    "/path/{name}/{*rest}",
    "/number/{number}",
    "/search",
    "/problem/{kind}",
    "/flash",
    "/cookie",
    "/tagged/{version}",
    "/json",
    "/form",
    "/text",
    "/bytes",
    "/fail/{how}",
    "/action/{how}",
];

fn tables(engine: Engine) -> String {
    let (key, bytes, float, moment, text) = match engine {
        Engine::Sqlite => ("INTEGER PRIMARY KEY", "BLOB", "DOUBLE", "DATETIME", "TEXT"),
        Engine::Postgres => {
            ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA", "DOUBLE PRECISION", "TIMESTAMP", "TEXT")
        }
        Engine::MariaDb => ("BIGINT AUTO_INCREMENT PRIMARY KEY", "LONGBLOB", "DOUBLE", "DATETIME(6)", "LONGTEXT"),
    };
    format!(
        "CREATE TABLE notes (id {key}, name VARCHAR(100) NOT NULL, parent BIGINT, weight BIGINT,
            CONSTRAINT notes_name UNIQUE (name), CONSTRAINT notes_weight CHECK (weight > 0),
            CONSTRAINT notes_parent FOREIGN KEY (parent) REFERENCES notes (id));
        CREATE TABLE cells (whole BIGINT, fraction {float}, words {text}, raw {bytes}, flag BOOLEAN,
            exact DECIMAL(30, 10), day DATE, moment {moment}, clock TIME);
        CREATE TABLE texts (text {text} NOT NULL);"
    )
}

/// Compiles the guests once for all engines.
async fn compile_guests(guests: &[&str]) -> Result {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    let compiling = async || {
        for name in guests {
            compile(name).await?;
        }
        Ok(())
    };
    COMPILED.get_or_try_init(compiling).await.copied()
}

async fn serve(engine: Engine, name: &str) -> Result<App> {
    let mut config = format!(
        "[server]\nmax_body = \"2MiB\"\n[model]\nmigrations = \"migrations\"\n\
         [component.guest]\npath = \"{{guest:{name}}}\"\n"
    );
    for path in ROUTES {
        write!(config, "[[route]]\npath = \"{path}\"\ncomponent = \"guest\"\n")?;
    }
    App::start_on(engine, &config, &[("migrations/0001_tables.sql", &tables(engine))]).await
}

async fn all_guests_answer_alike(engine: Engine) -> Result {
    let guests: Vec<&str> = GUESTS.into_iter().filter(|name| is_built(name)).collect();
    compile_guests(&guests).await?;
    let mut apps = Vec::new();
    for name in guests {
        apps.push((name, serve(engine, name).await?));
    }
    let mut wrong = Wrong::default();
    let cases =
        [values::cases(engine), errors::cases(engine), requests::cases(), bodies::cases(engine), actions::cases()];
    for case in cases.into_iter().flatten() {
        let mut reference = None;
        for (guest, app) in &apps {
            case.check(&mut wrong, guest, app, &mut reference).await?;
        }
    }
    Ok(())
}

on_each_engine!(all_guests_answer_alike);
