//! Components given as core modules that contain the WIT of their world.

pub mod c;
mod header;
mod library;
mod memories;

use std::process;

use sha2::{Digest, Sha256};

use crate::support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, module, write};

const CONFIG: &str = r#"
    [component.echo]
    path = "echo.wasm"
    [[route]]
    path = "/{*what}"
    component = "echo"
    transaction = "none"
"#;

/// Message that the host logs when it turns a module into a component.
const MADE: &str = "a core module was made a component";

const LOG: (&str, &str) = ("CARYA_LOG", "info,carya=debug");

async fn run(folder: &std::path::Path, args: &[&str]) -> Result<process::Output> {
    let running = carya().args(args).current_dir(folder).env("CARYA_LOG", "off").output();
    Ok(tokio::time::timeout(PATIENCE, running).await??)
}

#[tokio::test]
async fn a_core_module_is_served_and_converted_once() -> Result {
    let folder = tempfile::tempdir()?;
    // The text is unique to this run, so that the cache does not contain the module.
    let text = format!("hickory {} ", folder.path().display());
    let file = folder.path().join("echo.wasm");
    std::fs::write(&file, module::echo(&text)?)?;
    let app = App::start_in(folder, CONFIG, &[], &[LOG]).await?;
    let answer = app.get("/a/path").await?;
    assert_eq!((answer.status, answer.text()), (200, format!("{text}/a/path")));
    assert_eq!(app.log.wait_for("compiled").await?["component"], "echo");
    app.log.wait_for(MADE).await?;

    let (folder, _) = app.stop().await?;
    let app = App::start_in(folder, CONFIG, &[], &[LOG]).await?;
    assert_eq!(app.get("/b").await?.text(), format!("{text}/b"));
    app.log.wait_for("loaded").await?;
    assert!(!app.log.lines().iter().any(|line| line["message"] == MADE), "the cache has its code");
    Ok(())
}

#[tokio::test]
async fn a_core_module_is_inspected_and_checked_like_a_component() -> Result {
    let folder = tempfile::tempdir()?;
    let bytes = module::echo("pecan ")?;
    std::fs::write(folder.path().join("echo.wasm"), &bytes)?;
    write(folder.path(), CONFIG, &[])?;

    let found: serde_json::Value =
        serde_json::from_slice(&run(folder.path(), &["inspect", "--json", "echo.wasm"]).await?.stdout)?;
    assert_eq!(found["may"], serde_json::json!(["respond without a transaction as a controller"]));
    assert_eq!(found["exports"], serde_json::json!(["carya:host/plain-controller@0.2.0"]));
    let imports = found["imports"].to_string();
    assert!(imports.contains("carya:host/request@0.2.0") && !imports.contains("wasi:"), "{imports}");

    let checked: serde_json::Value = serde_json::from_slice(&run(folder.path(), &["check", "--json"]).await?.stdout)?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(checked["components"][0]["digest"], digest.as_str(), "the file's, by which it was built");
    Ok(())
}

#[tokio::test]
async fn reports_a_module_that_is_expensive_to_instantiate() -> Result {
    let folder = tempfile::tempdir()?;
    let wat = |table: u32, memory: u32| {
        format!(
            r#"(module (memory (export "memory") {memory}) (table {table} funcref)
                (func (export "carya:host/plain-controller@0.2.0#plain") (result i32) unreachable))"#
        )
    };
    write(folder.path(), CONFIG, &[])?;
    let mut wrong = Wrong::default();
    for (table, memory, expected) in [
        (10, 3, vec![]),
        (10, 100, vec!["an instance starts with 6400 KiB of memory; "]),
        (9000, 100, vec!["an instance starts with 6400 KiB ", "an instance starts with a table of 9000 functions; "]),
    ] {
        let bytes = module::embed(&wat(table, memory), "export plain-controller;")?;
        std::fs::write(folder.path().join("echo.wasm"), bytes)?;
        let checked: serde_json::Value =
            serde_json::from_slice(&run(folder.path(), &["check", "--json"]).await?.stdout)?;
        let told = checked["components"][0]["expensive"].as_array().ok_or("no list")?;
        check_eq!(wrong, told.len(), expected.len(), "{table:?}: {told:?}");
        for (told, expected) in told.iter().zip(&expected) {
            check!(wrong, told.as_str().is_some_and(|told| told.starts_with(expected)), "{told} {expected}");
        }
        let checked = run(folder.path(), &["check"]).await?.stdout;
        let lines = String::from_utf8(checked)?.lines().filter(|line| line.starts_with("    expensive: an ")).count();
        check_eq!(wrong, lines, expected.len(), "{table:?}");
    }
    Ok(())
}

/// C, Zig and TinyGo programs import WASI 0.1.
#[tokio::test]
async fn a_core_module_of_wasi_0_1_runs_by_the_adapter() -> Result {
    // Writes a line to standard output, then returns the text of the line as an error.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "\20\00\00\00\0c\00\00\00")
        (data (i32.const 32) "words of C!\n")
        (data (i32.const 64) "\01\00\00\00\20\00\00\00\0b\00\00\00")
        (func (export "carya:host/plain-controller@0.2.0#plain") (result i32)
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
            (i32.const 64)))"#;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("echo.wasm"), module::embed(text, "export plain-controller;")?)?;
    let app = App::start_in(folder, CONFIG, &[], &[LOG]).await?;
    assert_eq!(app.get("/a").await?.status, 500);
    let error = app.log.wait_for("component `echo`").await?;
    assert!(error["message"].as_str().is_some_and(|message| message.contains("words of C!")), "{error}");
    let is_output = |line: &serde_json::Value| line["message"] == "words of C!" && line["stream"] == "stdout";
    assert!(app.log.lines().iter().any(is_output), "{:?}", app.log.lines());
    Ok(())
}

#[tokio::test]
async fn reports_why_a_module_cannot_become_a_component() -> Result {
    let folder = tempfile::tempdir()?;
    let world = "export plain-controller;";
    let mut torn = module::echo("")?;
    torn.truncate(torn.len() - 10);
    let table: [(&str, Vec<u8>, &str); 3] = [
        (
            "bare",
            wat::parse_str("(module)")?,
            "this is a core module without the WIT of its world, not a component; \
             build it for the target wasm32-wasip2, or with wit-bindgen",
        ),
        (
            "less",
            module::embed(r#"(module (memory (export "memory") 1))"#, world)?,
            "this core module cannot be made a component: ",
        ),
        ("torn", torn, "this core module cannot be made a component: "),
    ];
    let mut wrong = Wrong::default();
    for (name, bytes, message) in table {
        let file = format!("{name}.wasm");
        std::fs::write(folder.path().join(&file), bytes)?;
        let ran = run(folder.path(), &["inspect", &file]).await?;
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        let expected = format!("error: {file}: {message}");
        check!(wrong, ran.status.code() == Some(1) && told.starts_with(&expected), "{name}: {told}");
        check!(wrong, told.trim_end().len() > expected.len() || message.ends_with("wit-bindgen"), "{name}: {told}");
    }
    Ok(())
}
