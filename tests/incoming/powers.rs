//! The reports of `inspect`, `check`, `diff` and `deny` about components that export `incoming-handler` or import `current`.

use std::{fs, path::Path};

use serde_json::Value as Json;

use crate::support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, guest, module, write};

const CONFIG: &str = r#"
    [component.it]
    path = "it.wasm"
    [[route]]
    path = "/x"
    component = "it"
    transaction = "none"
"#;

/// Words about the import `current`.
const BY_CURRENT: &str = "read the database of a read-only request, and write to that of a read/write request, in each call \
                          inside the transaction, by the import `current`";

/// Returns a controller without a transaction, with more imports or exports.
fn plain(world: &str) -> Result<Vec<u8>> {
    module::built_for(&[], &[], &format!("{world}export plain-controller"))
}

/// Runs a command. Returns its exit code, standard output and standard error.
async fn run(folder: &Path, args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let running = carya().args(args).current_dir(folder).env("CARYA_LOG", "off").output();
    let output = tokio::time::timeout(PATIENCE, running).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

#[tokio::test]
async fn inspect_and_check_report_them() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), &format!("[database]\nurl = \"sqlite://app.sqlite\"\n{CONFIG}"), &[])?;
    let handler = "respond to requests with every access mode as a controller";
    let table = [
        (fs::read(guest("handler"))?, vec![handler, "respond in place of the controller as a hook", BY_CURRENT]),
        (plain("import current; ")?, vec!["respond without a transaction as a controller", BY_CURRENT]),
        (plain("")?, vec!["respond without a transaction as a controller"]),
    ];
    let mut wrong = Wrong::default();
    for (component, expected) in table {
        fs::write(folder.path().join("it.wasm"), component)?;
        let (code, out, err) = run(folder.path(), &["inspect", "it.wasm", "--json"]).await?;
        check_eq!(wrong, code, Some(0), "{err}");
        let found: Json = serde_json::from_str(&out)?;
        let is_ours = |words: &&str| !words.starts_with("imports ");
        let ours = |may: &Json| -> Vec<String> {
            let may = may.as_array().into_iter().flatten().filter_map(Json::as_str);
            may.filter(is_ours).map(str::to_owned).collect()
        };
        check_eq!(wrong, ours(&found["may"]), expected, "inspect");
        let (code, out, err) = run(folder.path(), &["check", "--json"]).await?;
        check_eq!(wrong, code, Some(0), "{err}");
        let found: Json = serde_json::from_str(&out)?;
        check_eq!(wrong, ours(&found["components"][0]["may"]), expected, "check");
        let (_, out, _) = run(folder.path(), &["check"]).await?;
        let line = "    may read and write the database in each call, by its import carya:host/current\n";
        check_eq!(wrong, out.contains(line), expected.contains(&BY_CURRENT), "{out}");
    }
    Ok(())
}

/// Returns the differences that widen the rights of a component, each with its description.
async fn differences(old: &[u8], new: &[u8]) -> Result<Vec<(String, String)>> {
    let folder = tempfile::tempdir()?;
    let config = format!("[database]\nurl = \"sqlite://{}\"\n{CONFIG}", folder.path().join("items.db").display());
    for (name, component) in [("old", old), ("new", new)] {
        let own = folder.path().join(name);
        fs::create_dir(&own)?;
        write(&own, &config, &[])?;
        fs::write(own.join("it.wasm"), component)?;
    }
    let (code, out, err) = run(folder.path(), &["diff", "old/carya.toml", "new/carya.toml", "--json"]).await?;
    assert_eq!(code, Some(0), "{err}");
    let found: Json = serde_json::from_str(&out)?;
    let text = |entry: &Json, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let gains = found["differences"].as_array().into_iter().flatten().filter(|entry| entry["widens"] == true);
    Ok(gains.map(|entry| (text(entry, "kind"), text(entry, "words"))).collect())
}

#[tokio::test]
async fn both_count_as_the_reader_and_the_writer() -> Result {
    let mut wrong = Wrong::default();
    let words = |what: &str| format!("now imports current: it may {what} the database in each call");
    let current = [("component-gains-reader", words("read")), ("component-gains-writer", words("write to"))];
    let owned = |list: &[(&str, String)]| -> Vec<_> {
        list.iter().map(|(kind, words)| ((*kind).to_owned(), words.clone())).collect()
    };
    let (before, handler) = (plain("")?, fs::read(guest("handler"))?);
    check_eq!(wrong, differences(&before, &plain("import current; ")?).await?, owned(&current), "current");
    let words =
        "now exports wasi:http/incoming-handler: it may respond to requests with every access mode as a controller";
    let found = differences(&before, &handler).await?;
    for kind in ["component-gains-reader", "component-gains-writer", "component-gains-plain"] {
        check!(wrong, found.contains(&(kind.to_owned(), words.to_owned())), "{kind}: {found:?}");
    }
    check_eq!(wrong, differences(&handler, &handler).await?, [], "no change");
    Ok(())
}

#[tokio::test]
async fn a_rule_refuses_them() -> Result {
    for component in [plain("import current; ")?, fs::read(guest("handler"))?] {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("it.wasm"), plain("")?)?;
        let config = format!("[reload]\ndeny = [\"component-gains-writer\"]\n{CONFIG}");
        let app = App::start_in(folder, &config, &[], &[]).await?;
        fs::write(app.folder.path().join("it.wasm"), component)?;
        app.signal("HUP").await?;
        let line = app.log.wait_for("the old generation stays").await?;
        let message = line["message"].as_str().unwrap_or_default();
        assert!(message.contains("component-gains-writer: component it: now "), "{message}");
    }
    Ok(())
}

/// A component without a contract's controller serves every method of a route without `methods`.
#[tokio::test]
async fn a_route_serves_every_method_by_the_handler() -> Result {
    let folder = tempfile::tempdir()?;
    let config = CONFIG.replace("transaction = \"none\"", "");
    write(folder.path(), &format!("[database]\nurl = \"sqlite://app.sqlite\"\n{config}"), &[])?;
    fs::copy(guest("handler"), folder.path().join("it.wasm"))?;
    let (code, out, err) = run(folder.path(), &["routes", "--json"]).await?;
    assert_eq!(code, Some(0), "{err}");
    let found: Json = serde_json::from_str(&out)?;
    let methods = ["GET read-only", "POST read-write", "PUT read-write", "PATCH read-write", "DELETE read-write"];
    assert_eq!(found[0]["methods"], serde_json::json!(methods));
    Ok(())
}
