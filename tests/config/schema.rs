//! The JSON schema for editors.

use boon::{Compiler, SchemaIndex, Schemas};
use carya::config::schema;
use serde_json::{Value, json};

use super::EVERY_KEY;
use crate::support::Result;

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    /// Compiles the schema, which checks it against the schema of draft 7.
    fn compile() -> Result<Self> {
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.add_resource("carya.json", schema()).map_err(|error| format!("{error:#}"))?;
        let index = compiler.compile("carya.json", &mut schemas).map_err(|error| format!("{error:#}"))?;
        Ok(Self { schemas, index })
    }

    /// Returns the path and reason of each problem, or nothing for a valid file.
    fn check(&self, text: &str) -> Result<String> {
        let table: toml::Table = text.parse()?;
        let value = serde_json::to_value(table)?;
        let result = self.schemas.validate(&value, self.index);
        Ok(result.err().map(|error| format!("{error:#}")).unwrap_or_default())
    }
}

#[test]
fn accepts_the_examples() -> Result {
    let schema = Schema::compile()?;
    let examples = [
        ("every key", EVERY_KEY),
        ("the shop", include_str!("../../guest-examples/carya.toml")),
        ("the template of `carya new`", include_str!("../../host/template/rust/project/carya.toml")),
        ("an empty file", ""),
        ("only databases with names", "[database.a]\nurl = \"sqlite:a.db\"\n"),
        ("a database whose URL is a variable", "[database]\nmax_rows = 7\n"),
        (
            "references",
            "[server]\nmax_body = \"${SIZE:-1MiB}\"\nconnections = \"${N}\"\nlisten = { file = \"address\" }\n",
        ),
        ("references in lists", "[database]\nreplicas = [\"${A}\", { file = \"b\" }]\n"),
    ];
    for (name, text) in examples {
        assert_eq!(schema.check(text)?, "", "{name}");
    }
    Ok(())
}

#[test]
fn rejects_mistakes() -> Result {
    let schema = Schema::compile()?;
    let mut accepted = Vec::new();
    for text in [
        "lisen = 1",
        "[server]\nlisten_on = \"127.0.0.1:1\"",
        "[server]\nmax_body = \"1MB\"",
        "[server]\nmax_body = 0",
        "[server]\nheader_timeout = 30",
        "[server]\nconnections = 0",
        "[server]\nlisten = \"8080\"",
        "[server]\npage_scan = \"on\"",
        "[database]\nurl = \"oracle://db\"",
        "[database]\nreplicas = \"postgres://ann@db/items\"",
        "[database.a]\nmax_rows = 7",
        "[database.a]\nurl = \"sqlite:a.db\"\nrows = 7",
        "[transaction]\ncommit_on = [\"6xx\"]",
        "[component.a]\nmemory = \"16MiB\"",
        "[component.a]\npath = \"a.wasm\"\nbuild = \"make\"",
        "[component.a]\npath = \"a.wasm\"\nreuse = { max_requests = 1 }",
        "[registry.\"a.example\"]\nusername = \"ann\"",
        "[route]\npath = \"/\"",
        "[[route]]\npath = \"/\"",
        "[[route]]\npath = \"items\"\ncomponent = \"a\"",
        "[[route]]\npath = \"/\"\ncomponent = \"a\"\nhooks = [{ priority = 1 }]",
        "[reload]\ndeny = [\"component-gains-write\"]",
        "[deploy]\ntoken = \"short\"",
    ] {
        if schema.check(text)?.is_empty() {
            accepted.push(text);
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    Ok(())
}

#[test]
fn describes_a_key() {
    let schema = schema();
    let database = &schema["properties"]["database"];
    for key in
        [&database["properties"]["busy_timeout"], &database["additionalProperties"]["properties"]["busy_timeout"]]
    {
        let description = "for the lock of another process on the file (duration; SQLite only)";
        assert_eq!((&key["description"], &key["default"]), (&json!(description), &json!("1s")));
    }
    assert_eq!(schema["properties"]["server"]["properties"]["connections"]["default"], Value::from(10_000));
}
