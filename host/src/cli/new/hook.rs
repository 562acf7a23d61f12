//! `carya new --hook`: adds a hook for all requests to the project in the current folder.

use std::{fs, io, path::Path};

use anyhow::{Context, bail};

use super::NAME;

/// Placeholder of the name of the component's file, which has `_` for `-`.
const FILE: &str = "{{file}}";

const MANIFEST: &str = include_str!("../../../template/rust/hook/Cargo.toml");
const SOURCE: &str = include_str!("../../../template/rust/hook/src/lib.rs");
const CONFIGURATION: &str = include_str!("../../../template/rust/hook/carya.toml");

/// The line of the project's `Cargo.toml` that lists the guests.
const MEMBERS: &str = "\nmembers = [";

/// A hook in JavaScript, which is also one in TypeScript.
const SCRIPT: &str = include_str!("../../../template/javascript/hook/hook.js");
const SCRIPT_CONFIGURATION: &str = include_str!("../../../template/javascript/hook/carya.toml");

const PYTHON: &str = include_str!("../../../template/python/hook/hook.py");
const PYTHON_CONFIGURATION: &str = include_str!("../../../template/python/hook/carya.toml");

const C: &str = include_str!("../../../template/c/hook/hook.c");
const C_CONFIGURATION: &str = include_str!("../../../template/c/hook/carya.toml");

/// Placeholder of the extension of scripts.
const EXTENSION: &str = "{{extension}}";

pub(in crate::cli) fn add(name: &str) -> anyhow::Result<String> {
    if Path::new(name).symlink_metadata().is_ok() {
        bail!("{name} exists already; choose another name, or move it away");
    }
    if Path::new("package.json").exists() {
        return script(name);
    }
    if Path::new("compile_flags.txt").exists() {
        return c(name);
    }
    if Path::new("requirements.txt").exists() { python(name) } else { rust(name) }
}

fn read(file: &str) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {file}; run this in a project of `carya new`"))
}

/// Returns the configuration of the project, which must not have the component yet.
fn configuration(name: &str) -> anyhow::Result<String> {
    let configuration = read("carya.toml")?;
    if configuration.contains(&format!("[component.{name}]")) {
        bail!("carya.toml has a component {name} already; choose another name");
    }
    Ok(configuration)
}

fn rust(name: &str) -> anyhow::Result<String> {
    let folder = Path::new(name);
    let workspace = read("Cargo.toml")?;
    let configuration = configuration(name)?;
    let Some(at) = workspace.find(MEMBERS).map(|at| at + MEMBERS.len()) else {
        bail!("Cargo.toml has no line that begins with `members = [`; add the guest by hand, as README.md describes");
    };
    let workspace = format!("{}\"{name}\", {}", &workspace[..at], &workspace[at..]);
    let fill = |text: &str| text.replace(NAME, name).replace(FILE, &name.replace('-', "_"));
    // The files of the project change last, so that a failure before leaves it as it was.
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("Cargo.toml"), fill(MANIFEST))?;
        fs::write(folder.join("src/lib.rs"), fill(SOURCE))?;
        fs::write("Cargo.toml", workspace)?;
        fs::write("carya.toml", configuration + &fill(CONFIGURATION))
    };
    write().with_context(|| format!("cannot add the hook {name}"))?;
    Ok(format!("Added the hook {name} to Cargo.toml and carya.toml. Its code is in {name}/src/lib.rs.\n"))
}

fn script(name: &str) -> anyhow::Result<String> {
    let extension = if Path::new("tsconfig.json").exists() { "ts" } else { "js" };
    let fill = |text: &str| text.replace(NAME, name).replace(EXTENSION, extension);
    module(name, name, &format!("{name}.{extension}"), (&fill(SCRIPT), &fill(SCRIPT_CONFIGURATION)))
}

fn python(name: &str) -> anyhow::Result<String> {
    let file = name.replace('-', "_");
    let fill = |text: &str| text.replace(NAME, name).replace(FILE, &file);
    module(name, &file, &format!("{file}.py"), (&fill(PYTHON), &fill(PYTHON_CONFIGURATION)))
}

fn c(name: &str) -> anyhow::Result<String> {
    let fill = |text: &str| text.replace(NAME, name);
    module(name, name, &format!("{name}.c"), (&fill(C), &fill(C_CONFIGURATION)))
}

/// Adds a hook that is one file in a new folder.
fn module(name: &str, folder: &str, file: &str, (source, section): (&str, &str)) -> anyhow::Result<String> {
    let configuration = configuration(name)?;
    let path = Path::new(folder).join(file);
    let write = || -> io::Result<()> {
        fs::create_dir(folder)?;
        fs::write(&path, source)?;
        fs::write("carya.toml", configuration + section)
    };
    write().with_context(|| format!("cannot add the hook {name}"))?;
    Ok(format!("Added the hook {name} to carya.toml. Its code is in {}.\n", path.display()))
}
