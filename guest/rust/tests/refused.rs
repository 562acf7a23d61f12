//! Code that must not compile, with the messages that a guest's author sees.
//!
//! Each file in `refused/` is a program. The end of a line that the compiler must refuse is a comment `//~ MESSAGE` with a
//! part of the message. The errors of the compiler must be exactly these. Only first lines of messages are compared,
//! because the compiler may change its notes with every version.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Cargo file of a project with all programs, in a target folder and therefore outside of this workspace.
fn manifest(root: &Path) -> String {
    format!(
        "[package]\nname = \"refused\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         carya-guest = {{ path = {root:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n"
    )
}

/// Returns the programs, as name and text.
fn programs(root: &Path) -> Result<Vec<(String, String)>> {
    let entries = fs::read_dir(root.join("tests/refused"))?.collect::<std::io::Result<Vec<_>>>()?;
    let program = |entry: &fs::DirEntry| -> Result<_> {
        Ok((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?))
    };
    entries.iter().map(program).collect()
}

/// Returns the errors in the compiler's output, as `FILE:LINE: MESSAGE`, from lines `src/bin/FILE:LINE:COLUMN: error: MESSAGE`.
fn errors(output: &str) -> BTreeSet<String> {
    let error = |line: &str| {
        let (place, message) = line.strip_prefix("src/bin/")?.split_once(": error")?;
        let (place, _column) = place.rsplit_once(':')?;
        let (_code, message) = message.split_once(": ")?;
        Some(format!("{place}: {message}"))
    };
    output.lines().filter_map(error).collect()
}

#[test]
fn wrong_guests_do_not_compile() -> Result {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    fs::create_dir_all(project.join("src/bin"))?;
    fs::write(project.join("Cargo.toml"), manifest(&root))?;
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock"))?;
    let programs = programs(&root)?;
    let mut expected = BTreeSet::new();
    for (name, text) in &programs {
        fs::write(project.join("src/bin").join(name), text)?;
        let marked = (1..).zip(text.lines()).filter_map(|(number, line)| Some((number, line.split_once("//~ ")?.1)));
        expected.extend(marked.map(|(number, message)| format!("{name}:{number}: {message}")));
    }

    let cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--offline", "--bins", "--keep-going", "--message-format=short", "--color=never"])
        .arg("--target-dir")
        .arg(project.with_file_name("refused-target"))
        .current_dir(&project)
        .env_remove("RUSTFLAGS")
        .output()?;
    let output = String::from_utf8_lossy(&cargo.stderr);
    let found = errors(&output);
    let is_expected = |error: &String| expected.iter().any(|expected| error.starts_with(expected.as_str()));
    let is_found = |expected: &String| found.iter().any(|error| error.starts_with(expected.as_str()));
    let unexpected: Vec<_> = found.iter().filter(|error| !is_expected(error)).collect();
    let missing: Vec<_> = expected.iter().filter(|error| !is_found(error)).collect();
    assert!(
        !expected.is_empty() && unexpected.is_empty() && missing.is_empty(),
        "missing: {missing:#?}\nunexpected: {unexpected:#?}\n{output}"
    );
    Ok(())
}
