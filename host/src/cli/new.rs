//! `carya new`: creates a project that can be built and served at once, from the files of `template/LANGUAGE/` and with
//! the project's name in them. The project contains the source of the language's guest library, as long as no registry
//! has it.

mod c;
pub(super) mod hook;
mod javascript;
mod python;
mod rust;

use std::{fs, io, path::Path};

use anyhow::{Context, bail};

/// Placeholder of the name of the project or of the hook in a template file.
const NAME: &str = "{{name}}";

/// A file of a project: its path and its content.
type File = (&'static str, &'static [u8]);

/// Includes files by their paths in a folder of the repository: `[File]`s with these paths below a folder of the project,
/// which ends with `/` or is empty.
macro_rules! files {
    ($folder:literal as $to:literal: $($path:literal),* $(,)?) => {
        &[$((
            concat!($to, $path),
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $folder, "/", $path)),
        )),*]
    };
}
use files;

/// Language of a new project.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum Language {
    #[default]
    Rust,
    /// JavaScript.
    Js,
    /// TypeScript.
    Ts,
    /// Python.
    Python,
    /// C.
    C,
}

impl Language {
    /// Returns the files of a project, with [`NAME`] for its name, and those of the guest library.
    const fn files(self) -> (&'static [File], &'static [File]) {
        match self {
            Self::Rust => (rust::PROJECT, rust::LIBRARY),
            Self::Js => (javascript::JAVASCRIPT, javascript::LIBRARY),
            Self::Ts => (javascript::TYPESCRIPT, javascript::LIBRARY),
            Self::Python => (python::PROJECT, python::LIBRARY),
            Self::C => (c::PROJECT, c::LIBRARY),
        }
    }
}

/// Parses the name of a project or of a hook: the ASCII names that Cargo accepts for a package, up to 64 characters.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("a name must begin with a letter and have at most 64 letters, digits, `-` and `_`".to_owned())
}

/// Creates a project in a new folder with the project's name.
pub(super) fn project(name: &str, language: Language) -> anyhow::Result<String> {
    let folder = Path::new(name);
    if folder.symlink_metadata().is_ok() {
        bail!("{name} exists already; choose another name, or move it away");
    }
    // The draft is renamed once it is complete. The rename can replace an empty folder, but no files.
    let draft = format!(".{name}.{}.draft", std::process::id());
    let made = write(Path::new(&draft), name, language).and_then(|()| fs::rename(&draft, folder));
    if made.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    made.with_context(|| format!("cannot create the folder {name}"))?;
    Ok(format!(
        "Created {name}/; its README.md describes the files. Build and serve it, and do so again after every change, with\n\n    cd {name} && make\n"
    ))
}

fn write(folder: &Path, name: &str, language: Language) -> io::Result<()> {
    fs::create_dir(folder)?;
    let (project, library) = language.files();
    let fill = |content: &[u8]| String::from_utf8_lossy(content).replace(NAME, name).into_bytes();
    let project = project.iter().map(|(path, content)| (path, fill(content)));
    let library = library.iter().map(|(path, content)| (path, content.to_vec()));
    for (path, content) in project.chain(library) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, content)?;
    }
    Ok(())
}
