//! `carya config`: the effective configuration and the JSON schema.

use std::path::Path;

use insta::assert_snapshot;

use super::{
    super::support::{PATIENCE, Result, carya, write},
    Output, run,
};

/// Prints the effective configuration of a folder, with these environment variables.
async fn config(folder: &Path, variables: &[(&str, &str)]) -> Result<Output> {
    let mut program = carya();
    program.args(["config"]).current_dir(folder).envs(variables.iter().copied());
    program.env_remove("CARYA_SERVER__LISTEN").env_remove("CARYA_SERVER__CACHE").env("XDG_CACHE_HOME", "/cache");
    let output = tokio::time::timeout(PATIENCE, program.output()).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

const SHOP: &str = r#"
[server]
listen = "127.0.0.1:${PORT:-8080}"
max_body = 65536

[database]
url = "postgres://app:hunter2@db/items?sslmode=require"
reader_url = "postgres://reader:${READER_PASSWORD}@db/items"
admin_url = { file = "admin-url" }
replicas = ["postgres://reader:hunter2@db2/items", "${REPLICA}"]

[database.log]
url = "sqlite:log.db"

[component.items]
path = "items.wasm"
settings = { currency = "EUR", key = "${API_KEY:-hunter2}", pins = [1234, { file = "pin" }] }
reuse = { max_requests = 100 }

[registry."registry.example"]
username = "ann"
password = "hunter2"

[[hook]]
component = "items"

[[route]]
path = "/items"
component = "items"
methods = ["get", "PUT"]
hooks = [{ component = "items", priority = 20 }]

[deploy]
listen = "unix:admin.sock"
token = "hunter2hunter2hunter2"
"#;

const VARIABLES: [(&str, &str); 9] = [
    ("PORT", "81"),
    ("READER_PASSWORD", "hunter2"),
    ("REPLICA", "postgres://reader:hunter2@db3/items"),
    ("CARYA_DEBUG", "true"),
    ("CARYA_DATABASE__MAX_ROWS", "1_000"),
    ("CARYA_DATABASE__LOG__URL", "sqlite:other.db"),
    ("CARYA_TRANSACTION__COMMIT_ON", r#"["2xx", 404]"#),
    ("CARYA_COMPONENT__ITEMS__SETTINGS__CURRENCY", "hunter2"),
    ("CARYA_DEPLOY__TOKEN", "hunter2hunter2hunter2hunter2"),
];

#[tokio::test]
async fn shows_values_with_their_origins() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), SHOP, &[("admin-url", "postgres://owner:hunter2@db/items\n"), ("pin", "hunter2")])?;
    let ran = config(folder.path(), &VARIABLES).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(!ran.out.contains("hunter2") && !ran.out.contains("1234"), "{}", ran.out);
    assert_snapshot!(ran.out);
    Ok(())
}

/// The printed configuration is a valid file, and `carya config` reads the same values from it.
#[tokio::test]
async fn prints_a_configuration() -> Result {
    let folder = tempfile::tempdir()?;
    for (text, variables) in [
        ("", &[][..]),
        ("[database]\nurl = \"sqlite:a.db\"", &[("CARYA_DATABASE__MAX_RESULT", "1000"), ("CARYA_DEBUG", "true")][..]),
        ("[[smoke]]\npath = \"/a\"\nbody = \"\"\"\ntwo \"lines\"\n\"\"\"\nstatus = [\"2xx\", 404]\n", &[]),
        (
            "[reload]\ndeny = [\"route-lost\"]\n[server]\nlisten = \"[::1]:0\"",
            &[("CARYA_TRANSACTION__COMMIT_ON", "[404]")],
        ),
    ] {
        write(folder.path(), text, &[])?;
        let first = config(folder.path(), variables).await?;
        assert_eq!((first.code, first.err.as_str()), (Some(0), ""), "{text}");
        write(folder.path(), &first.out, &[])?;
        let second = config(folder.path(), &[]).await?;
        assert_eq!((second.code, second.err.as_str()), (Some(0), ""), "{}", first.out);
        let values = |text: &str| -> Result<toml::Table> { Ok(text.parse()?) };
        assert_eq!(values(&first.out)?, values(&second.out)?);
    }
    Ok(())
}

#[tokio::test]
async fn reports_all_problems_as_check_does() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "lisen = 1\n[server]\nconnections = 0\n[database]\nurl = \"${URL}\"\n", &[])?;
    let ran = config(folder.path(), &[]).await?;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (Some(2), "", 3), "{}", ran.err);
    assert_eq!(ran.err, run(folder.path(), &["check"]).await?.err);
    Ok(())
}

#[tokio::test]
async fn prints_the_schema_without_a_file() -> Result {
    let folder = tempfile::tempdir()?;
    let ran = run(folder.path(), &["config", "--schema"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.json()?, carya::config::schema());
    Ok(())
}
