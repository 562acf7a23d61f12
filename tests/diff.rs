//! New powers of a generation, compared with the one before it: the host logs them on every reload, `carya diff` lists
//! them, and `[reload] deny` refuses them.

use std::{fs, path::Path};

use insta::assert_snapshot;
use serde_json::Value as Json;

use crate::support::{App, PATIENCE, Result, carya, guest, write};

const CONFIG: &str = r#"
    [model]
    migrations = "migrations"
    [component.items]
    path = "items.wasm"
    [[route]]
    path = "/items"
    component = "items"
"#;

const DENY: &str = "[reload]\ndeny = [\"component-gains-writer\"]\n";

const TABLE: (&str, &str) = (
    "migrations/0001_items.sql",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL)",
);

const ITEM: &str = r#"{"name":"Pecan","price_cents":250,"stock":4}"#;

/// Starts an application with the component `reads-only`, which has no writer.
async fn start(config: &str) -> Result<App> {
    let folder = tempfile::tempdir()?;
    fs::copy(guest("reads-only"), folder.path().join("items.wasm"))?;
    let app = App::start_in(folder, config, &[TABLE], &[]).await?;
    assert_eq!(app.post("/items", ITEM).await?.status, 405);
    Ok(app)
}

/// Replaces the component with `items`, which has a writer.
fn gain_writer(folder: &Path) -> Result {
    fs::copy(guest("items"), folder.join("items.new"))?;
    Ok(fs::rename(folder.join("items.new"), folder.join("items.wasm"))?)
}

async fn reload(app: &App, message: &str, times: usize) -> Result {
    app.signal("HUP").await?;
    let logged =
        || app.log.lines().iter().filter(|line| line["message"].as_str().is_some_and(|m| m.contains(message))).count();
    app.log.wait_until(message, |_| logged() >= times).await.map(drop)
}

/// Returns the logged differences: level, kind and message. Leaves out imports and changed code, which depend on the
/// compiler.
fn differences(app: &App) -> Vec<String> {
    let text = |line: &Json, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let line = |line: Json| format!("{} {} | {}", text(&line, "level"), text(&line, "kind"), text(&line, "message"));
    let lines = app.log.lines().into_iter().filter(|line| line["kind"].is_string());
    lines.map(line).filter(|line| !line.contains("-import ") && !line.contains("code-changed")).collect()
}

const SERVED: &str = "a new generation is served";
const KEPT: &str = "the old generation stays";

#[tokio::test]
async fn reports_a_component_that_gains_the_writer() -> Result {
    let app = start(CONFIG).await?;
    gain_writer(app.folder.path())?;
    app.signal("HUP").await?;
    app.log.wait_until("the last difference", |line| line["kind"] == "component-gains-writer").await?;
    assert_snapshot!(differences(&app).join("\n"), @r#"
    WARN route-new | route POST /items: is new: served by items, read-write, database default
    WARN component-gains-writer | component items: now exports write-controller: it may write to the database as a controller
    "#);
    assert_eq!(app.post("/items", ITEM).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_rule_keeps_the_old_generation() -> Result {
    let app = start(&format!("{CONFIG}{DENY}")).await?;
    gain_writer(app.folder.path())?;
    // The same reload also removes the rule. The rules of the generation that is served decide.
    write(app.folder.path(), CONFIG, &[])?;
    reload(&app, KEPT, 1).await?;
    let error = app.log.wait_for(KEPT).await?;
    assert_snapshot!(error["message"].as_str().unwrap_or_default(), @r#"
    the old generation stays: `[reload] deny` forbids differences of the new generation:
      component-gains-writer: component items: now exports write-controller: it may write to the database as a controller
    undo these changes, or first remove the rule in a separate reload
    "#);
    assert_eq!(differences(&app), [""; 0], "what is refused is told in the error");
    assert_eq!(app.post("/items", ITEM).await?.status, 405);

    // A separate reload removes the rule, so the rule does not apply to the reload after that.
    fs::copy(guest("reads-only"), app.folder.path().join("items.wasm"))?;
    reload(&app, SERVED, 1).await?;
    gain_writer(app.folder.path())?;
    reload(&app, SERVED, 2).await?;
    assert_eq!(app.post("/items", ITEM).await?.status, 201);
    let told = differences(&app);
    let lifted = "WARN deny-rule-lifted | [reload] deny: no longer forbids component-gains-writer";
    assert!(told.iter().any(|line| line == lifted), "{told:#?}");
    Ok(())
}

/// Runs `carya diff` on an application without and an application with a writer. Returns the exit code, standard output
/// and standard error.
async fn diff(args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let folder = tempfile::tempdir()?;
    let config = format!("[database]\nurl = \"sqlite://{}\"\n{CONFIG}", folder.path().join("items.db").display());
    for (name, component) in [("old", "reads-only"), ("new", "items")] {
        let own = folder.path().join(name);
        fs::create_dir(&own)?;
        fs::copy(guest(component), own.join("items.wasm"))?;
        write(&own, &config, &[TABLE])?;
    }
    let mut command = carya();
    command.args(["diff", "old/carya.toml", "new/carya.toml"]).args(args).current_dir(folder.path());
    let output = tokio::time::timeout(PATIENCE, command.env("CARYA_LOG", "off").output()).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

fn without_imports(out: &str) -> String {
    out.lines()
        .filter(|line| !line.contains("-import ") && !line.contains("code-changed"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn the_command_line_reports_it_too() -> Result {
    let (code, out, err) = diff(&[]).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_snapshot!(without_imports(&out), @r#"
    ! route-new                     route POST /items: is new: served by items, read-write, database default
    ! component-gains-writer        component items: now exports write-controller: it may write to the database as a controller
    "#);

    let (code, out, err) = diff(&["--json", "--deny", "route-lost"]).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let found: Json = serde_json::from_str(&out)?;
    let writer =
        found["differences"].as_array().into_iter().flatten().find(|it| it["kind"] == "component-gains-writer");
    assert_snapshot!(format!("{:#}", writer.ok_or("no writer")?), @r#"
    {
      "kind": "component-gains-writer",
      "place": "component items",
      "widens": true,
      "words": "now exports write-controller: it may write to the database as a controller"
    }
    "#);
    Ok(())
}

#[tokio::test]
async fn the_command_line_denies() -> Result {
    let (code, out, err) = diff(&["--deny", "component-gains-writer"]).await?;
    assert_eq!(code, Some(1));
    assert!(out.contains("component-gains-writer"), "{out}");
    assert_snapshot!(err, @r#"
    error: --deny forbids these differences:
      component-gains-writer: component items: now exports write-controller: it may write to the database as a controller
    "#);

    let (code, _, err) = diff(&["--deny", "component-gains-pen"]).await?;
    assert!(code == Some(2) && err.contains("accepted: route-new, route-lost, "), "{err}");
    Ok(())
}
