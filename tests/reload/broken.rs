//! Broken changes: the host continues to serve the old generation, i.e. the application before the change. It logs the
//! reason in one line, and serves a later valid change.

use std::fs;

use serde_json::{Value as Json, json};

use super::{CONFIG, FILES, Watched};
use crate::support::{Result, guest};

/// A changed file and its new content, `None` for a deleted file. In `carya.toml`, `{guest:NAME}` stands for
/// the path of a built guest.
type Change = (&'static str, Option<Vec<u8>>);

async fn refuses(changes: &[Change], reason: &str) -> Result {
    let mut watched = Watched::start().await?;
    let before = watched.page().await?;
    for (name, content) in changes {
        match content {
            Some(content) if *name == "carya.toml" => watched.put_config(std::str::from_utf8(content)?)?,
            Some(content) => watched.put(name, content)?,
            None => fs::remove_file(watched.path().join(name))?,
        }
    }
    // The host may detect the changes one by one and refuse each of them, so skip messages with another reason.
    let why = loop {
        let why = watched.refused().await?;
        println!("refused{why}");
        if why.contains(reason) {
            break why;
        }
    };
    assert!(why.len() < 2000 && why.lines().count() <= 20, "more than a screen: {why}");
    assert_eq!(watched.page().await?, before, "the refused change affected the response");
    let wrote = watched.play("POST", &json!([{ "sql": "INSERT INTO marks VALUES ('later')" }])).await?;
    assert_eq!(wrote.status, 200, "{}", wrote.text());

    // Repair all files, and change the template.
    fs::copy(guest("timing"), watched.path().join(".timing"))?;
    fs::rename(watched.path().join(".timing"), watched.path().join("hook.wasm"))?;
    watched.put_config(CONFIG)?;
    for entry in fs::read_dir(watched.path().join("migrations"))? {
        let path = entry?.path();
        if !path.ends_with("0001_marks.sql") {
            fs::remove_file(path)?;
        }
    }
    watched.put("templates/page.html", "page two")?;
    while watched.page().await?.text != "page two" {
        watched.outcome().await?;
    }
    assert_ne!(watched.page().await?.generation, before.generation);
    let again = |line: &Json| line["message"].as_str().is_some_and(|message| message.contains("is tried again"));
    assert!(!watched.app.log.lines().iter().any(again), "the host retries a reload that cannot succeed");
    Ok(())
}

fn config(from: &str, to: &str) -> Vec<Change> {
    assert!(CONFIG.contains(from), "{from}");
    vec![("carya.toml", Some(CONFIG.replace(from, to).into_bytes()))]
}

#[tokio::test]
async fn a_component_that_is_garbage() -> Result {
    refuses(&[("hook.wasm", Some(b"garbage".to_vec()))], "component.hook.path: hook.wasm: ").await
}

#[tokio::test]
async fn a_component_that_is_cut_off() -> Result {
    let whole = fs::read(guest("timing"))?;
    refuses(&[("hook.wasm", Some(whole[..whole.len() / 2].to_vec()))], "it cannot be compiled").await
}

#[tokio::test]
async fn a_component_without_the_export_that_its_route_needs() -> Result {
    let reads = guest("reads-only").display().to_string();
    let mut changes = config("{guest:probe}", &reads);
    changes[0].1 = changes[0].1.take().map(|text| [text, b"methods = [\"GET\", \"POST\"]".to_vec()].concat());
    refuses(&changes, "component `probe` would have to export carya:host/write-controller").await
}

#[tokio::test]
async fn a_hook_that_exports_no_hook_phase() -> Result {
    refuses(&[("hook.wasm", Some(fs::read(guest("probe"))?))], "component `hook` exports no hook phase").await
}

/// The model's `init` writes to a table that does not exist.
#[tokio::test]
async fn a_model_whose_init_fails() -> Result {
    let model = guest("shop-model").display().to_string();
    let to = format!("[component.model]\npath = \"{model}\"\n[model]\ncomponent = \"model\"");
    refuses(&config("[model]", &to), "the model could not be initialized: component `model` failed: ").await?;
    refuses(&config("[model]", &to), " in `SELECT 1 FROM items LIMIT 1`").await
}

#[tokio::test]
async fn a_migration_that_fails() -> Result {
    let migration = b"CREATE TABLE more (x INTEGER); INSERT INTO no_such_table VALUES (1);".to_vec();
    refuses(&[("migrations/0002_more.sql", Some(migration))], "while executing migration 2").await
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran() -> Result {
    let other = b"CREATE TABLE marks (other INTEGER)".to_vec();
    let mut watched = Watched::start().await?;
    watched.put("migrations/0001_marks.sql", other)?;
    let why = watched.refused().await?;
    assert!(why.contains("migration 1 was previously applied but has been modified"), "{why}");
    watched.put("migrations/0001_marks.sql", FILES[1].1)?;
    watched.served().await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_gone() -> Result {
    refuses(&[("hook.wasm", None)], "component.hook.path: hook.wasm does not exist; build it").await
}

#[tokio::test]
async fn a_configuration_that_is_gone() -> Result {
    refuses(&[("carya.toml", None)], "carya.toml: cannot be read").await
}

#[tokio::test]
async fn a_template_with_a_syntax_error() -> Result {
    refuses(&[("templates/page.html", Some(b"page {% if %}".to_vec()))], "page.html").await
}

#[tokio::test]
async fn a_configuration_that_is_no_toml() -> Result {
    refuses(&[("carya.toml", Some(b"[server\n".to_vec()))], "is not TOML").await
}

#[tokio::test]
async fn a_configuration_with_unknown_keys() -> Result {
    refuses(&config("settings =", "setings ="), "unknown key; did you mean `settings`?").await
}

#[tokio::test]
async fn a_database_that_cannot_be_opened() -> Result {
    let more = "[database.more]\nurl = \"sqlite:no/such/folder/x.sqlite\"\n[model]";
    refuses(&config("[model]", more), "database.more.url: cannot be opened: there is no folder ").await
}

#[tokio::test]
async fn half_a_file_is_not_served_and_the_whole_one_is() -> Result {
    use std::io::Write;
    let mut watched = Watched::start().await?;
    let before = watched.page().await?;
    let whole = fs::read(guest("trace-hook"))?;
    let (half, rest) = whole.split_at(whole.len() / 2);
    let mut file = fs::File::create(watched.path().join("hook.wasm"))?;
    file.write_all(half)?;
    // Wait until the host has read and refused the incomplete file, then write the rest.
    assert!(watched.refused().await?.contains("component.hook.path: "));
    assert_eq!(watched.page().await?, before);
    file.write_all(rest)?;
    drop(file);
    let id = watched.served().await?;
    let page = watched.page().await?;
    assert_eq!((page.generation, page.has_timing), (id, false));
    Ok(())
}
