//! The contract in `wit/`: every item is documented, all files have one version, and no function ends a transaction.

use std::path::Path;

use super::support::{Result, Wrong, check};

fn contract() -> Result<Vec<(String, String)>> {
    files("wit")
}

/// Returns the names and texts of the files in a folder of the repository.
fn files(folder: &str) -> Result<Vec<(String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, std::fs::read_to_string(&path)?));
    }
    files.sort();
    Ok(files)
}

/// Returns whether a line declares an item that needs documentation.
fn declares(line: &str) -> bool {
    let keyword = line.split([' ', '(']).next().unwrap_or_default();
    let is_type = ["interface", "world", "record", "variant", "enum", "resource", "type", "flags"].contains(&keyword);
    // A function, a field or a case.
    let is_member = line.contains(": func(") || line.ends_with(',') || line.ends_with("),");
    is_type || is_member
}

#[test]
fn every_item_is_documented() -> Result {
    let mut wrong = Vec::new();
    for (file, text) in contract()? {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let is_code = !line.starts_with("///") && !line.starts_with("use ") && !line.starts_with("package ");
            // An enumeration in a single line needs one doc comment only.
            if is_code && declares(line) && index > 0 && !lines[index - 1].starts_with("///") {
                wrong.push(format!("{file}:{}: {line}", index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "without a doc comment: {wrong:#?}");
    Ok(())
}

#[test]
fn every_file_is_of_the_same_version() -> Result {
    let (package, version) = (carya::component::PACKAGE, carya::component::VERSION);
    let mut wrong = Wrong::default();
    for (file, text) in contract()? {
        check!(wrong, text.starts_with(&format!("package {package}@{version};")), "{file}");
    }
    Ok(())
}

/// The libraries for guests are packages of their own, so each contains a copy.
#[test]
fn the_copies_of_the_libraries_for_guests_are_the_same() -> Result {
    for folder in ["guest/rust/wit", "guest/javascript/wit"] {
        assert_eq!(files(folder)?, contract()?, "copy the files of wit/ to {folder}/");
    }
    Ok(())
}

/// The contract has no function that begins, configures or ends a transaction.
#[test]
fn no_handle_ends_a_transaction() -> Result {
    let mut wrong = Wrong::default();
    for (file, text) in contract()? {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("///")) {
            for word in ["begin:", "commit: func", "start-transaction", "set-isolation"] {
                let is_registration = line.starts_with("after-commit:");
                check!(wrong, !line.contains(word) || is_registration, "{file}: {line}");
            }
        }
    }
    Ok(())
}
