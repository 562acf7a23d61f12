//! Values from the environment: `CARYA_SECTION__KEY` overrides the value of a key, and `${NAME}` is replaced inside
//! strings. This module does not know the keys: unknown ones are reported, with their origin, when sections are read.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    problem::Origin,
    tree::{Node, Table, Value},
};

/// The environment variables of a process.
pub(super) type Environment = BTreeMap<String, String>;

const PREFIX: &str = "CARYA_";

/// Variables with the prefix that are not configuration: the command line and the log read them.
const OTHERS: [&str; 5] = ["CARYA_ACCESS_LOG", "CARYA_CONFIG", "CARYA_DEPLOY_TOKEN", "CARYA_LOG", "CARYA_LOG_FORMAT"];

/// Prefixes of further variables that are not configuration. The build reads those with `BUILD_`. Kubernetes sets the
/// others in every pod of a namespace that has a service named `carya`.
const OTHER_PREFIXES: [&str; 3] = ["BUILD_", "PORT_", "SERVICE_"];

/// Writes the variables that configure something into the tree. Returns the origin, key and error message of each
/// variable that cannot be applied.
pub(super) fn apply(root: &mut Table, env: &Environment) -> Vec<(Origin, String, String)> {
    let mut wrong = Vec::new();
    for (name, text) in env {
        let Some(path) = path(name) else { continue };
        let node = Node { origin: Origin::Variable(name.clone()), value: Value::Foreign(text.clone()) };
        let parts: Vec<&str> = path.split("__").collect();
        let refused = if parts.contains(&"") {
            Err("names no key; write CARYA_KEY or CARYA_SECTION__KEY")
        } else {
            set(root, &parts, node)
        };
        if let Err(message) = refused {
            wrong.push((Origin::Variable(name.clone()), parts.join("."), message.to_owned()));
        }
    }
    wrong
}

/// Returns the key that a variable sets, in lower case; `None` for a variable that is not configuration.
fn path(name: &str) -> Option<String> {
    let (prefix, path) = name.split_at_checked(PREFIX.len())?;
    let ours = prefix.eq_ignore_ascii_case(PREFIX) && !OTHERS.contains(&name);
    let other = path == "PORT" || OTHER_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    (ours && !other).then(|| path.to_lowercase())
}

/// Returns the variables that are not configuration, and those of the sections that are `wanted`.
pub(super) fn select(env: &Environment, wanted: impl Fn(&str) -> bool) -> Environment {
    let keep = |name: &str| path(name).is_none_or(|path| wanted(path.split("__").next().unwrap_or_default()));
    env.iter().filter(|(name, _)| keep(name)).map(|(name, text)| (name.clone(), text.clone())).collect()
}

fn set(table: &mut Table, parts: &[&str], node: Node) -> Result<(), &'static str> {
    let Some((first, rest)) = parts.split_first() else {
        return Ok(());
    };
    let key = spelled(table, first);
    if rest.is_empty() {
        table.insert(key, node);
        return Ok(());
    }
    let next =
        table.entry(key).or_insert_with(|| Node { origin: node.origin.clone(), value: Value::Table(Table::new()) });
    match &mut next.value {
        Value::Table(inner) => set(inner, rest, node),
        Value::Array(_) => Err("is inside a list; variables cannot set values in lists"),
        _ => Err("is inside a value that is not a table"),
    }
}

/// Returns a key in the spelling of the table: a variable's name has neither upper-case letters nor dashes.
fn spelled(table: &Table, name: &str) -> String {
    if table.contains_key(name) {
        return name.to_owned();
    }
    table.keys().find(|key| key.to_lowercase().replace('-', "_") == name).map_or_else(|| name.to_owned(), String::clone)
}

/// A part of a text with references.
enum Piece<'a> {
    Literal(&'a str),
    /// `${NAME}` or `${NAME:-default}`.
    Reference {
        name: &'a str,
        default: Option<&'a str>,
    },
}

/// Splits a text into literals and references. `$${` stands for `${`.
fn pieces(text: &str) -> impl Iterator<Item = Result<Piece<'_>, String>> {
    let mut rest = text;
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(piece) = next.take() {
            return Some(piece);
        }
        let (before, after) = match rest.split_once("${") {
            Some(parts) => parts,
            None if rest.is_empty() => return None,
            None => return Some(Ok(Piece::Literal(std::mem::take(&mut rest)))),
        };
        next = Some(if before.ends_with('$') {
            rest = after;
            Ok(Piece::Literal("{"))
        } else if let Some((inside, after)) = after.split_once('}') {
            rest = after;
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, text)| (name, Some(text)));
            Ok(Piece::Reference { name, default })
        } else {
            rest = "";
            Err("has `${` without `}`; write `$${` for a literal `${`".to_owned())
        });
        Some(Ok(Piece::Literal(before)))
    })
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. As in a shell, the default also replaces an empty
/// variable. The inserted values are not expanded again.
pub(super) fn expand(text: &str, env: &Environment) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text) {
        expanded += match piece? {
            Piece::Literal(text) => text,
            Piece::Reference { name, default: Some(default) } => {
                env.get(name).filter(|value| !value.is_empty()).map_or(default, String::as_str)
            }
            Piece::Reference { name, default: None } => env.get(name).ok_or_else(|| {
                format!("environment variable `{name}` is not set; set it, or write `${{{name}:-default}}`")
            })?,
        };
    }
    Ok(expanded)
}

/// Replaces all of a text by `hidden`, except for the names of variables.
pub(super) fn hide(text: &str, hidden: &str) -> String {
    let mut shown = String::new();
    for piece in pieces(text) {
        match piece {
            Ok(Piece::Literal("")) => {}
            Ok(Piece::Reference { name, default: None }) => shown += &format!("${{{name}}}"),
            Ok(Piece::Reference { name, default: Some(_) }) => shown += &format!("${{{name}:-{hidden}}}"),
            // Several literals in a row count as one.
            Ok(Piece::Literal(_)) | Err(_) if shown.ends_with(hidden) => {}
            Ok(Piece::Literal(_)) | Err(_) => shown += hidden,
        }
    }
    shown
}

/// Returns the environment of this process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn environment() -> Environment {
    // Convert text that is not Unicode with replacement characters. If its variable were skipped, a setting would be
    // ignored silently.
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Returns the name of the service manager's socket (`NOTIFY_SOCKET`) if it is an abstract one, without its `@`.
pub(crate) fn abstract_notify_socket() -> Option<String> {
    environment().get("NOTIFY_SOCKET")?.strip_prefix('@').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn variables_are_replaced() {
        let env = environment(&[("USER", "ann"), ("EMPTY", ""), ("NESTED", "${USER}")]);
        for (text, expected) in [
            ("plain $5 {x}", Ok("plain $5 {x}")),
            ("${USER}@${HOST:-local}", Ok("ann@local")),
            ("${EMPTY}|${EMPTY:-default}", Ok("|default")),
            ("${HOST:-}", Ok("")),
            ("$${USER} ${USER}", Ok("${USER} ann")),
            ("${NESTED}", Ok("${USER}")),
            ("${HOST}", Err("`HOST` is not set")),
            ("${USER", Err("without `}`")),
            ("${}", Err("`` is not set")),
        ] {
            match (expand(text, &env), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn names_of_variables_are_paths() {
        for (name, expected) in [
            ("CARYA_DEBUG", Some("debug")),
            ("carya_Server__Listen", Some("server__listen")),
            ("CARYA_LOG", None),
            ("CARYA_LOG_FORMAT", None),
            ("CARYA_BUILD_TOOLS_DIR", None),
            ("CARYA_PORT_8080_TCP", None),
            ("PATH", None),
            ("ééé", None),
        ] {
            assert_eq!(path(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn keys_are_found_however_they_are_spelled() {
        let mut root = parse("[component.my-items.settings]\napiKey = 'a'").expect("it is TOML");
        let env = environment(&[("CARYA_COMPONENT__MY_ITEMS__SETTINGS__APIKEY", "b")]);
        assert!(apply(&mut root, &env).is_empty());
        let Value::Table(components) = &root["component"].value else {
            panic!("component is a table");
        };
        let shown = format!("{components:?}");
        assert!(shown.contains(r#"Foreign("b")"#) && !shown.contains(r#"Text("a")"#));
        assert_eq!(components.len(), 1);
    }
}
