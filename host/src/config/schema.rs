//! The JSON schema of `carya.toml`, for editors.

use serde_json::{Map, Value as Json, json};

use super::{
    file::description,
    path::{KeyPath, Step},
    record::{Absent, Content, KeyRecord, Record, ValueRecord},
    types::REFERENCE,
};

/// Returns the JSON schema (draft 7) of the configuration file, for completion and checks in editors.
///
/// It accepts each file that `load` accepts if the file sets all required keys itself, and not by environment
/// variables. It does not express everything that `load` checks, such as the dialect of a key.
pub fn schema() -> Json {
    let mut schema = table(&description(), &KeyPath::default());
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "carya.toml".into();
    schema["definitions"] = json!({
        REFERENCE: {
            "description": "Text with an environment variable, or text from a file.",
            "anyOf": [
                { "type": "string", "pattern": "\\$\\{" },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
        },
    });
    schema
}

/// Returns the schema of a table.
fn table(records: &[Record], path: &KeyPath) -> Json {
    let keys = records.iter().find(|record| record.path == *path).map_or(&[][..], |record| &record.keys);
    let named = child(records, path, |step| matches!(step, Step::Name(_))).map(|path| table(records, path));
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut dependencies = Map::new();
    for KeyRecord { name, doc, content } in keys {
        let mut schema = match content {
            Content::Tables => tables(records, &path.key(name)),
            Content::Value(value) => {
                match value.absent {
                    // A table that contains further tables may consist of them alone.
                    Absent::Required if named.is_none() => required.push(name.clone()),
                    Absent::UnsetWithout { other } => {
                        dependencies.insert(name.to_string(), json!([other]));
                    }
                    _ => {}
                }
                value.schema.clone()
            }
        };
        schema["description"] = describe(doc, content).into();
        if let Content::Value(ValueRecord { absent: Absent::Default { toml, text: None }, .. }) = content {
            schema["default"] = default(toml);
        }
        properties.insert(name.to_string(), schema);
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "dependencies": dependencies,
        "additionalProperties": named.unwrap_or(Json::Bool(false)),
    })
}

/// Returns the schema of a table or of a list of tables.
fn tables(records: &[Record], path: &KeyPath) -> Json {
    match child(records, path, |step| matches!(step, Step::Index(_))) {
        Some(item) => json!({ "type": "array", "items": table(records, item) }),
        None if child(records, path, |_| true).is_none() && !records.iter().any(|record| record.path == *path) => {
            json!({ "type": "object" })
        }
        None => table(records, path),
    }
}

/// Returns the record's path that continues `path` by such a step.
fn child<'r>(records: &'r [Record], path: &KeyPath, is: impl Fn(&Step) -> bool) -> Option<&'r KeyPath> {
    let paths = records.iter().map(|record| &record.path);
    paths.into_iter().find(|found| found.split_last().is_some_and(|(parent, step)| parent == *path && is(step)))
}

/// Returns the documentation of a key as plain text, with the type in words: it has limits that the schema has not.
fn describe(doc: &str, content: &Content) -> String {
    let text = plain(doc);
    match content {
        Content::Tables => text,
        Content::Value(ValueRecord { type_name, dialects: None, .. }) => format!("{text} ({type_name})"),
        Content::Value(ValueRecord { type_name, dialects: Some(dialects), .. }) => {
            format!("{text} ({type_name}; {dialects} only)")
        }
    }
}

/// Returns Markdown without the targets of links.
fn plain(markdown: &str) -> String {
    let mut plain = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once("](") {
        let start = before.rfind('[').unwrap_or_default();
        plain += &before[..start];
        plain += before[start..].trim_start_matches('[');
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

/// Converts a default from TOML to JSON.
fn default(toml: &str) -> Json {
    let value: Option<toml::Value> = toml.parse().ok();
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn links_become_text() {
        for (markdown, text) in [
            ("plain", "plain"),
            ("see [Reuse](../reuse.md)", "see Reuse"),
            ("[kinds](a.md) of [x](b.md#c).", "kinds of x."),
            ("`[reload] init = false`, see [a](b)", "`[reload] init = false`, see a"),
        ] {
            assert_eq!(plain(markdown), text);
        }
    }
}
