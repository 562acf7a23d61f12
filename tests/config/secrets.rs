//! References to environment variables and files.

use std::fs;

use carya::config::parse;
use insta::assert_snapshot;

use super::{environment, problems};

#[test]
fn secrets_are_read_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), "hunter2\n").expect("a file");
    let file = folder.path().join("carya.toml");
    let text = r#"
[component.items]
path = "items.wasm"
settings = { key = { file = "key" }, all = [{ file = "${KEY:-key}" }], text = "$${KEY}" }
"#;
    let config = parse(text, &file, &environment(&[])).expect("the file is right");
    let items = &config.components["items"];
    assert_eq!(items.path, folder.path().join("items.wasm"));
    assert_eq!(items.settings["key"], "hunter2");
    assert_eq!(items.settings["all"], r#"["hunter2"]"#);
    assert_eq!(items.settings["text"], "${KEY}");

    let text = r#"
[server]
listen = { file = "key" }
request_timeout = "${KEY}"
[database]
max_rows = "${KEY}"
url = { file = "key" }
"#;
    let problems = parse(text, &file, &environment(&[("KEY", "hunter2")])).expect_err("the file is wrong").to_string();
    assert!(problems.contains("request_timeout: \"${KEY}\" is not a duration"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn reports_missing_variables_and_files() {
    assert_snapshot!(problems(
        r#"
[server]
listen = "${HOST}:80"
cache = "${CACHE"
[database]
url = { file = "no/such/file" }
[component.items]
path = "items.wasm"
settings = { keys = ["${A_KEY}", { file = 5 }] }
"#,
        &[],
    ), @"
    carya.toml:3: server.listen: environment variable `HOST` is not set; set it, or write `${HOST:-default}`
    carya.toml:4: server.cache: has `${` without `}`; write `$${` for a literal `${`
    carya.toml:6: database.url: cannot read the file no/such/file: No such file or directory (os error 2)
    carya.toml:9: component.items.settings.keys[0]: environment variable `A_KEY` is not set; set it, or write `${A_KEY:-default}`
    carya.toml:9: component.items.settings.keys[1]: has a `file` that is not text; write its path in quotes
    ");
}
