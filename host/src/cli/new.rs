//! `carya new`: creates a project that can be built and served at once, from the files of `template/` and with the
//! project's name in them. The contract of the project is a copy of this host's `wit/`.

use std::{fs, io, path::Path};

use anyhow::{Context, bail};

/// Placeholder of the project's name in a template file.
const NAME: &str = "{{name}}";

/// Files of the template, by their paths in the project.
macro_rules! template {
    ($($path:literal),* $(,)?) => { [$(($path, include_str!(concat!("../../template/", $path)))),*] };
}

/// Files of the contract.
macro_rules! contract {
    ($($name:literal),* $(,)?) => { [$((concat!("wit/", $name), include_str!(concat!("../../../wit/", $name)))),*] };
}

const TEMPLATE: [(&str, &str); 11] = template![
    "README.md",
    "Makefile",
    "carya.toml",
    "migrations/0001_notes.sql",
    "notes/Cargo.toml",
    "notes/src/lib.rs",
    "greeting/Cargo.toml",
    "greeting/src/lib.rs",
    "Cargo.toml",
    ".cargo/config.toml",
    ".gitignore",
];

const CONTRACT: [(&str, &str); 8] = contract![
    "actions.wit",
    "controller.wit",
    "database.wit",
    "hook.wit",
    "model.wit",
    "request.wit",
    "types.wit",
    "world.wit",
];

/// Parses a project's name: the ASCII names that Cargo accepts for a package, up to 64 characters.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("a name must begin with a letter and have at most 64 letters, digits, `-` and `_`".to_owned())
}

/// Creates a project in a new folder with the project's name.
pub(super) fn new(name: &str) -> anyhow::Result<String> {
    let folder = Path::new(name);
    if folder.symlink_metadata().is_ok() {
        bail!("{name} exists already; choose another name, or move it away");
    }
    // The draft is renamed once it is complete. The rename can replace an empty folder, but no files.
    let draft = format!(".{name}.{}.draft", std::process::id());
    let made = write(Path::new(&draft), name).and_then(|()| fs::rename(&draft, folder));
    if made.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    made.with_context(|| format!("cannot create the folder {name}"))?;
    Ok(format!(
        "Created {name}/; its README.md describes the files. Build and serve it, and do so again after every change, with\n\n    cd {name} && make\n"
    ))
}

fn write(folder: &Path, name: &str) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (path, text) in TEMPLATE.iter().chain(&CONTRACT) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text.replace(NAME, name))?;
    }
    Ok(())
}
