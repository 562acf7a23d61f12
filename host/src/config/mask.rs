//! Values as TOML, as they were written, without the secrets in them.

use super::{
    env::{self, Environment},
    path::{quoted, string},
    tree::{Node, Value, literal},
};

/// Replacement of a secret.
const HIDDEN: &str = "***";

/// Hides the secrets in a text. The environment is that of the references in the text; `None` if the text has none
/// because it comes from outside the file.
pub(super) type Mask = fn(&str, Option<&Environment>) -> String;

/// Hides a text, except for the names of environment variables in it.
pub(super) fn hidden(text: &str, env: Option<&Environment>) -> String {
    match env {
        Some(_) => env::hide(text, HIDDEN),
        None => HIDDEN.to_owned(),
    }
}

/// Formats a value as TOML. `is_text`: the key accepts text only.
pub(super) fn written(node: &Node, is_text: bool, mask: Option<Mask>, env: &Environment) -> String {
    match (&node.value, mask) {
        (Value::Text(text), Some(mask)) => string(&mask(text, Some(env))),
        (Value::Foreign(text), Some(mask)) => match literal(text, &node.origin) {
            Some(value @ Value::Array(_)) if !is_text => {
                written(&Node { origin: node.origin.clone(), value }, false, Some(mask), env)
            }
            _ => string(&mask(text, None)),
        },
        (Value::Boolean(_) | Value::Integer(_) | Value::Float(_), Some(_)) => string(HIDDEN),
        (Value::Text(text), None) => string(text),
        (Value::Foreign(text), None) => match literal(text, &node.origin) {
            Some(value) if !is_text => written(&Node { origin: node.origin.clone(), value }, true, None, env),
            _ => string(text),
        },
        (Value::Boolean(value), None) => value.to_string(),
        (Value::Integer(value), None) => value.to_string(),
        // TOML writes the name in lower case.
        (Value::Float(value), None) => format!("{value:?}").to_lowercase(),
        (Value::Array(items), _) => {
            let items: Vec<_> = items.iter().map(|item| written(item, is_text, mask, env)).collect();
            format!("[{}]", items.join(", "))
        }
        (Value::Table(table), _) => {
            // A reference to a file names a secret and does not contain it.
            let mask = if node.value.is_file_reference() { None } else { mask };
            let fields: Vec<_> = table
                .iter()
                .map(|(key, node)| format!("{} = {}", quoted(key), written(node, is_text, mask, env)))
                .collect();
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
        }
    }
}
