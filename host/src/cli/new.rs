//! `carya new`: creates a project that can be built and served at once, from the files of `template/` and with the
//! project's name in them. The project contains the source of the Rust library for guests, as long as no registry has it.

mod hook;

use std::{fs, io, path::Path};

use anyhow::{Context, bail};

/// Placeholder of the name of the project or of the hook in a template file.
const NAME: &str = "{{name}}";

/// A file of a project: its path and its text.
type File = (&'static str, &'static str);

/// Files of the template, by their paths in the project.
macro_rules! template {
    ($($path:literal),* $(,)?) => { &[$(($path, include_str!(concat!("../../template/", $path)))),*] };
}

/// Files of the library, by their paths in `guest/rust`.
macro_rules! library {
    ($($path:literal),* $(,)?) => {
        &[$((concat!("vendor/carya-guest/", $path), include_str!(concat!("../../../guest/rust/", $path)))),*]
    };
}

const TEMPLATE: &[File] = template![
    "README.md",
    "Makefile",
    "carya.toml",
    "migrations/0001_notes.sql",
    "notes/Cargo.toml",
    "notes/src/lib.rs",
    "greeting/Cargo.toml",
    "greeting/src/lib.rs",
    "tests/Cargo.toml",
    "tests/http.rs",
    "Cargo.toml",
    ".cargo/config.toml",
    ".gitignore",
];

const LIBRARY: &[File] = library![
    "Cargo.toml",
    "README.md",
    "macros/Cargo.toml",
    "macros/src/action.rs",
    "macros/src/endpoint.rs",
    "macros/src/hook.rs",
    "macros/src/lib.rs",
    "macros/src/module.rs",
    "macros/src/pattern.rs",
    "macros/src/route.rs",
    "macros/src/signature.rs",
    "src/__private.rs",
    "src/action.rs",
    "src/bindings.rs",
    "src/config.rs",
    "src/context.rs",
    "src/database.rs",
    "src/error.rs",
    "src/extract.rs",
    "src/hook.rs",
    "src/http.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/problem.rs",
    "src/request.rs",
    "src/response.rs",
    "src/database/error.rs",
    "src/database/handle.rs",
    "src/database/params.rs",
    "src/database/row.rs",
    "src/extract/body.rs",
    "src/extract/form.rs",
    "src/extract/identity.rs",
    "src/extract/path.rs",
    "src/extract/text.rs",
    "src/response/cookie.rs",
    "src/response/etag.rs",
    "src/response/json.rs",
    "src/response/rows.rs",
    "wit/actions.wit",
    "wit/controller.wit",
    "wit/database.wit",
    "wit/hook.wit",
    "wit/model.wit",
    "wit/request.wit",
    "wit/types.wit",
    "wit/world.wit",
];

/// Parses the name of a project or of a hook: the ASCII names that Cargo accepts for a package, up to 64 characters.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("a name must begin with a letter and have at most 64 letters, digits, `-` and `_`".to_owned())
}

/// Creates a project in a new folder with the project's name, or adds a hook to the project in the current folder.
pub(super) fn new(name: &str, is_hook: bool) -> anyhow::Result<String> {
    if is_hook { hook::add(name) } else { project(name) }
}

fn project(name: &str) -> anyhow::Result<String> {
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
    let template = TEMPLATE.iter().map(|(path, text)| (path, text.replace(NAME, name)));
    let library = LIBRARY.iter().map(|(path, text)| (path, (*text).to_owned()));
    for (path, text) in template.chain(library) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}
