//! A controller in C that uses the standard library, as a core module of WASI 0.1: built by Debian's clang and wasi-libc,
//! and by Zig from PyPI.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::support::{App, Result, module, servers::report_skipped};

const CONFIG: &str = r#"
    [model]
    migrations = "migrations"
    [component.notes]
    path = "notes.wasm"
    [[route]]
    path = "/{id}"
    component = "notes"
"#;

const TABLE: (&str, &str) = (
    "migrations/0001_notes.sql",
    "CREATE TABLE notes (id BIGINT PRIMARY KEY NOT NULL, note VARCHAR(100)); INSERT INTO notes VALUES (1, 'shagbark')",
);

const WORLD: &str = "import request; import database; export read-controller; export write-controller;";

/// Options of a C compiler. `-Wall` covers the bindings too.
const OPTIONS: [&str; 6] = ["-mexec-model=reactor", "-O2", "-Wall", "-Werror", "-o", "notes.wasm"];

/// Returns the path of a file in the folder of this test.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/core_modules").join(name)
}

/// Compiles a source with the bindings of its world. The options of `compiler` write the module to `notes.wasm`.
fn compile(mut compiler: Command, source: &str, world: &str) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    for (name, content) in module::c_bindings(world)? {
        std::fs::write(folder.path().join(&name), content)?;
        if !name.ends_with(".h") {
            compiler.arg(name);
        }
    }
    let compiled = compiler.arg("-I.").arg(file(source)).current_dir(&folder).output()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Ok(std::fs::read(folder.path().join("notes.wasm"))?)
}

/// Compiles a source with the headers of `guest/c` to `notes.wasm` in a folder.
pub fn compile_with_library(source: &Path, folder: &Path) -> Result {
    let compiled = Command::new("clang")
        .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/c"))
        .arg(source)
        .args(["-o", "notes.wasm"])
        .current_dir(folder)
        .output()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Ok(())
}

/// Returns whether clang can build programs for WASI. With `CI` in the environment a missing compiler is a panic.
pub fn has_clang() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for a program");
        let empty = folder.path().join("empty.c");
        std::fs::write(&empty, "int main(void) { return 0; }\n").expect("a file for a program");
        let compiled = Command::new("clang").arg("--target=wasm32-wasi").arg(&empty).current_dir(&folder).output();
        let why = match compiled {
            Ok(output) if output.status.success() => return true,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("CI").is_none(), "no clang for wasm32-wasi: run `make servers`: {why}");
        report_skipped("guests in C", &why);
        false
    })
}

/// Returns whether a line of the log is this line of a guest's output.
fn is_output(stream: &'static str, text: &'static str) -> impl Fn(&Value) -> bool {
    move |line| line["target"] == "guest" && line["stream"] == stream && line["message"] == text
}

/// Serves the module and checks the effects of its calls to the C library.
async fn uses_the_standard_library(module: &[u8]) -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("notes.wasm"), module)?;
    // A variable of the host's environment must not reach a guest.
    let app = App::start_in(folder, CONFIG, &[TABLE], &[("HOME", "/home/pecan")]).await?;

    let answer = app.send("POST", "/new", Default::default(), "mockernut").await?;
    assert_eq!((answer.status, &*answer.text()), (201, "written\n"));
    assert_eq!(answer.events().join(" "), "start controller:notes begin commit clear");
    app.log.wait_until("stdout", is_output("stdout", "wrote 9 bytes in 1 row")).await?;

    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    let before = now()?;
    let answer = app.get("/2").await?;
    let text = answer.text();
    let [note, time, home, file] = *text.splitn(4, ' ').collect::<Vec<_>>() else { return Err(text.into()) };
    assert_eq!((answer.status, note, home), (200, "mockernut", "homeless"));
    assert!((before..=now()?).contains(&time.parse()?), "{before} {text}");
    assert_ne!(file, "readable", "a guest has no files");

    // `printf` of floating-point numbers, and standard error.
    let answer = app.get("/30").await?;
    assert_eq!((answer.status, &*answer.text()), (404, "no note\n"));
    let line = app.log.wait_until("stderr", is_output("stderr", "no note 30:  0.50")).await?;
    assert_eq!((&line["level"], &line["request"]), (&"WARN".into(), &answer.header("x-request-id").into()));

    // `abort` after the row was written.
    let answer = app.send("POST", "/new", Default::default(), "").await?;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.events().join(" "), "start controller:notes begin rollback clear");
    app.log.wait_for("component `notes` trapped").await?;
    assert_eq!(app.number("SELECT count(*) FROM notes").await?, 2);
    assert_eq!(app.get("/1").await?.status, 200, "the next request has a fresh instance");
    Ok(())
}

#[tokio::test]
async fn a_controller_in_c_uses_the_standard_library() -> Result {
    if !has_clang() {
        return Ok(());
    }
    let mut clang = Command::new("clang");
    clang.arg("--target=wasm32-wasi").args(OPTIONS);
    let module = compile(clang, "guest.c", WORLD)?;
    assert_eq!(module[4..8], [1, 0, 0, 0], "a core module");
    uses_the_standard_library(&module).await
}

/// Runs Zig, which the script installs from PyPI if it is missing (98 MB, 0.4 GB unpacked).
fn zig(options: &[&str]) -> Command {
    let mut zig = Command::new(file("zig.sh"));
    zig.args(options);
    zig
}

#[tokio::test]
#[ignore = "downloads 98 MB once"]
async fn a_controller_in_c_built_by_zig_uses_the_standard_library() -> Result {
    let mut compiler = zig(&["cc", "--target=wasm32-wasi"]);
    compiler.args(OPTIONS);
    uses_the_standard_library(&compile(compiler, "guest.c", WORLD)?).await
}

/// Builds the example of `guest/c`, which `guest-examples/build.sh` builds with clang.
#[test]
#[ignore = "downloads 98 MB once"]
fn the_items_in_c_are_built_by_zig() -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir()?;
    let mut compiler = zig(&["cc", "--target=wasm32-wasi"]);
    compiler.args(OPTIONS).arg("-I").arg(root.join("guest/c"));
    let built = compiler.arg(root.join("guest-examples/items-c/items.c")).current_dir(&folder).output()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let served =
        Command::new(env!("CARGO_BIN_EXE_carya")).args(["inspect", "notes.wasm"]).current_dir(&folder).output()?;
    let text = String::from_utf8_lossy(&served.stdout);
    assert!(text.contains("GET /items/{id} (read-only)"), "{text}{}", String::from_utf8_lossy(&served.stderr));
    Ok(())
}

#[tokio::test]
#[ignore = "downloads 98 MB once"]
async fn a_controller_in_zig_is_served() -> Result {
    let options = ["build-exe", "-target", "wasm32-wasi", "-mexec-model=reactor", "-lc", "-O", "ReleaseSmall"];
    let mut compiler = zig(&options);
    compiler.arg("-femit-bin=notes.wasm");
    let folder = tempfile::tempdir()?;
    let module = compile(compiler, "guest.zig", "import request; export plain-controller;")?;
    std::fs::write(folder.path().join("notes.wasm"), module)?;
    let config = CONFIG.replace("[model]\n    migrations = \"migrations\"", "") + "transaction = \"none\"\n";
    let app = App::start_in(folder, &config, &[], &[]).await?;
    let answer = app.get("/nut").await?;
    assert_eq!((answer.status, &*answer.text()), (200, "/nut has 4 bytes"));
    app.log.wait_until("stderr", is_output("stderr", "asked for /nut")).await?;
    Ok(())
}
