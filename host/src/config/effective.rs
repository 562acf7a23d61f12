//! The effective configuration, as `carya config` prints it.

use std::{fmt::Write, path::Path};

use super::{
    load::load_with_records,
    path::quoted,
    problem::{Origin, Problems},
    record::{Absent, Content, KeyRecord, Record, Set, ValueRecord},
};

/// Returns the configuration of a file as TOML: each key with its value, and the origin of the value in a comment.
///
/// Values are shown as they were written: `"${NAME}"` and `{ file = "path" }` are not resolved. Passwords, tokens and the settings of components are replaced by `***`. A key without a value is a comment.
///
/// # Errors
///
/// All [`Problems`] of the file and of the environment.
pub fn effective(file: &Path) -> Result<String, Problems> {
    let (_, records) = load_with_records(file)?;
    let mut text = String::new();
    for record in &records {
        write_table(&mut text, file, record);
    }
    Ok(text)
}

fn write_table(text: &mut String, file: &Path, Record { path, keys, .. }: &Record) {
    let mut values = keys.iter().filter_map(|KeyRecord { name, content, .. }| match content {
        Content::Value(value) if value.applies => Some((name, value)),
        _ => None,
    });
    let header = path.header();
    // A table inside the value of a key has no header; it is shown with that key.
    if header.is_none() && !path.is_root() {
        return;
    }
    let mut lines = String::new();
    for (name, value) in &mut values {
        let _ = writeln!(lines, "{}", line(&quoted(name), file, value));
    }
    if lines.is_empty() {
        return;
    }
    if let Some(header) = header {
        let _ = writeln!(text, "\n{header}");
    }
    *text += &lines;
}

fn line(name: &str, file: &Path, ValueRecord { absent, set, .. }: &ValueRecord) -> String {
    match (set, absent) {
        (Some(Set { origin, toml }), _) => format!("{name} = {toml} # {}", place(origin, file)),
        (None, Absent::Default { toml, .. }) => format!("{name} = {toml} # default"),
        (None, Absent::Unset { meaning }) => format!("# {name} is not set: {meaning}"),
        (None, Absent::UnsetWithout { .. } | Absent::Required) => format!("# {name} is not set"),
    }
}

fn place(origin: &Origin, file: &Path) -> String {
    match origin {
        Origin::File => file.display().to_string(),
        Origin::Line(line) | Origin::Point(line, _) => format!("{}:{line}", file.display()),
        Origin::Variable(name) => name.clone(),
    }
}
