//! New powers of a deployed generation, compared with the one before it: the host lists them before it serves the
//! generation, and refuses those that `[reload] deny` forbids.

use std::fs;

use carya::deploy::Manifest;
use insta::assert_snapshot;
use serde_json::Value;

use super::{Files, Host, Output, TOKEN, deploy, manifest, own, run, write};
use crate::support::{App, Result, Wrong, check, guest, module};

const ITEM: &str = r#"{"name":"Pecan","price_cents":250,"stock":4}"#;

/// Returns an application that serves one component at `/items`.
fn with(component: &str) -> Result<(Files, Manifest)> {
    let config = r#"
        [model]
        migrations = "migrations"
        [component.items]
        path = "items.wasm"
        [[route]]
        path = "/items"
        component = "items"
    "#;
    let table = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, \
                 stock INTEGER NOT NULL)";
    let files: Files = [
        ("carya.toml", config.as_bytes().to_vec()),
        ("items.wasm", fs::read(guest(component))?),
        ("migrations/0001_items.sql", table.as_bytes().to_vec()),
    ]
    .map(|(path, content)| (path.to_owned(), content))
    .into();
    let manifest = manifest(&files);
    Ok((files, manifest))
}

/// A host that serves the component `reads-only`, and the folder of an application with `items`, which has a writer.
struct Case {
    host: Host,
    folder: tempfile::TempDir,
    reads: Manifest,
    writes: Manifest,
}

impl Case {
    async fn start(rules: &str) -> Result<Self> {
        let host = Host::start_in(tempfile::tempdir()?, &format!("{}{rules}", own())).await?;
        let (files, reads) = with("reads-only")?;
        host.put(&files).await?;
        assert_eq!(host.activate(&reads).await?.status, 200);
        let folder = tempfile::tempdir()?;
        let (files, writes) = with("items")?;
        write(folder.path(), &files)?;
        Ok(Self { host, folder, reads, writes })
    }

    async fn deploy(&self, more: &[&str]) -> Result<Output> {
        deploy(self.folder.path(), &self.host, more).await
    }

    /// Removes or replaces all parts of a text that differ between builds: ids, digests, sizes, times, and imports,
    /// which depend on the compiler.
    fn steady(&self, text: &str) -> String {
        let text = text.replace(&self.reads.id.to_string(), "READS").replace(&self.writes.id.to_string(), "WRITES");
        let words = |line: &str| -> String {
            let is_odd = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
            let word = |word: &str| match word.trim_end_matches(',') {
                odd if is_odd(odd) => word.replace(odd, "DIGEST"),
                _ => word.to_owned(),
            };
            line.split(' ').map(word).collect::<Vec<_>>().join(" ")
        };
        let cut = |line: &str| line.split_once(" (").map_or(line, |(before, _)| before).to_owned();
        let lines = text.lines().filter(|line| !line.contains("-import "));
        lines.map(words).map(|line| cut(&line)).collect::<Vec<_>>().join("\n")
    }

    async fn writes(&self) -> Result<bool> {
        Ok(self.host.app.post("/items", ITEM).await?.status == 201)
    }
}

#[tokio::test]
async fn a_component_that_gains_the_writer_is_shown() -> Result {
    let case = Case::start("").await?;
    let ran = case.deploy(&["--dry-run"]).await?;
    assert!(ran.success && !case.writes().await?, "{}", ran.messages);
    assert_snapshot!(case.steady(&ran.answer), @r"
    generation WRITES: 3 files, 1 uploaded
      ~ items.wasm
    ! route-new                     route POST /items: is new: served by items, read-write, database default
      component-code-changed        component items: has different code: DIGEST, was DIGEST
    ! component-gains-writer        component items: now exports write-controller: it may write to the database as a controller
    not activated; run the command without --no-activate to activate it
    ");
    let ran = case.deploy(&[]).await?;
    assert!(ran.success && case.writes().await?, "{}", ran.messages);
    assert_snapshot!(case.steady(&ran.answer), @r"
    generation WRITES: 3 files, 0 uploaded
      ~ items.wasm
    ! route-new                     route POST /items: is new: served by items, read-write, database default
      component-code-changed        component items: has different code: DIGEST, was DIGEST
    ! component-gains-writer        component items: now exports write-controller: it may write to the database as a controller
    serving WRITES: 1 routes, after READS
    ");
    // A rollback lists the exports and routes that it removes.
    let ran = run(&["rollback", "--to", &case.host.url()], &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    assert_snapshot!(case.steady(&ran.answer), @r"
      route-lost                    route POST /items: was removed: items served it
      component-code-changed        component items: has different code: DIGEST, was DIGEST
      component-loses-export        component items: no longer exports write-controller
    serving READS: 1 routes, after WRITES
    ");
    assert!(!case.writes().await?);
    Ok(())
}

#[tokio::test]
async fn a_rule_refuses_the_deployment() -> Result {
    let case = Case::start("[reload]\ndeny = [\"component-gains-writer\"]\n").await?;
    let ran = case.deploy(&["--dry-run"]).await?;
    assert!(!ran.success && ran.answer.contains("! component-gains-writer"), "{}", ran.answer);
    assert_snapshot!(case.steady(&ran.messages), @r"
    error: the host has generation WRITES now, and would not serve it: `[reload] deny` forbids differences of the new generation:
      component-gains-writer: component items: now exports write-controller: it may write to the database as a controller
    undo these changes, or first remove the rule in a separate reload
    ");
    let ran = case.deploy(&[]).await?;
    assert!(!ran.success && ran.answer.contains("! component-gains-writer"), "{}", ran.answer);
    assert_snapshot!(case.steady(&ran.messages), @r"
    error: the host answers 422 Unprocessable Entity: `[reload] deny` forbids differences of the new generation:
      component-gains-writer: component items: now exports write-controller: it may write to the database as a controller
    undo these changes, or first remove the rule in a separate reload
    ");
    assert!(!case.writes().await?);
    // A restart does not serve it either.
    let host = case.host.killed().await?;
    assert_eq!(host.list().await?["active"], case.reads.id.to_string());
    assert_eq!(host.app.post("/items", ITEM).await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn the_listener_reports_the_differences() -> Result {
    let case = Case::start("").await?;
    assert!(case.deploy(&["--no-activate"]).await?.success);
    let (reads, writes) = (&case.reads.id, &case.writes.id);
    let ask = async |path: String| -> Result<Value> { case.host.call("GET", &path, "").await?.json() };
    let shown = ask(format!("/generations/{writes}")).await?;
    let component = &shown["components"][0];
    assert_eq!(
        (&component["name"], &component["may"][0]),
        (&"items".into(), &"read the database as a controller".into())
    );
    let kinds = |found: &Value| -> Vec<String> {
        let all = found["differences"].as_array().into_iter().flatten();
        all.filter_map(|one| Some(one["kind"].as_str()?.to_owned())).filter(|kind| !kind.contains("import")).collect()
    };
    let there = ask(format!("/generations/{reads}/diff/{writes}")).await?;
    assert_eq!(kinds(&there), ["route-new", "component-code-changed", "component-gains-writer"], "{there}");
    assert_eq!((&there["files"]["changed"], &there["problem"]), (&["items.wasm"][..].into(), &Value::Null));
    let back = ask(format!("/generations/{writes}/diff/{reads}")).await?;
    assert_eq!(kinds(&back), ["route-lost", "component-code-changed", "component-loses-export"], "{back}");
    assert!(!case.writes().await?, "to be looked at is not to be served");
    Ok(())
}

/// The host's own configuration has no manifest. A deployment is compared with it all the same.
#[tokio::test]
async fn a_first_deployment_is_compared_with_the_served_generation() -> Result {
    let host = Host::start_in(tempfile::tempdir()?, &format!("{}[reload]\ndeny = [\"route-new\"]\n", own())).await?;
    let (files, _) = with("reads-only")?;
    let folder = tempfile::tempdir()?;
    write(folder.path(), &files)?;
    let ran = deploy(folder.path(), &host, &[]).await?;
    assert!(!ran.success && ran.answer.contains("! route-new") && ran.messages.contains("route-new"), "{}", ran.answer);
    Ok(())
}

/// `carya deploy` reports that a generation cannot be served, before it is activated.
#[tokio::test]
async fn reports_a_generation_that_cannot_be_served() -> Result {
    let case = Case::start("").await?;
    fs::write(case.folder.path().join("items.wasm"), "no component")?;
    let ran = case.deploy(&["--no-activate"]).await?;
    assert!(!ran.success && ran.messages.contains("component.items.path: "), "{}", ran.messages);
    fs::remove_file(case.folder.path().join("items.wasm"))?;
    let ran = case.deploy(&[]).await?;
    assert!(!ran.success && ran.messages.contains("items.wasm does not exist; build it"), "{}", ran.messages);
    Ok(())
}

/// Clients of the host would see the events of their requests.
#[tokio::test]
async fn a_deployed_file_cannot_turn_on_debug() -> Result {
    let app = App::start_after("unset CARYA_DEBUG", &own(), &[]).await?;
    let host = Host::of(app).await?;
    let (mut files, _) = with("reads-only")?;
    files.entry("carya.toml".to_owned()).and_modify(|text| *text = [b"debug = true\n".as_slice(), text].concat());
    let debugging = host.put(&files).await?;
    assert_eq!(host.activate(&debugging).await?.status, 200);
    let answer = host.app.get("/items").await?;
    assert_eq!((answer.status, answer.header("server-timing"), answer.header("x-carya-generation")), (200, "", ""));
    Ok(())
}

#[tokio::test]
async fn a_component_for_another_contract_is_not_activated() -> Result {
    let case = Case::start("").await?;
    let edits = [("status: u16,", "status: u32,")];
    fs::write(case.folder.path().join("items.wasm"), module::built_for(&edits, &[], "export read-controller")?)?;
    let expected = "items.wasm: was built for another carya:host: type `response` differs";
    let mut wrong = Wrong::default();
    for args in [["--no-activate"].as_slice(), &[]] {
        let ran = case.deploy(args).await?;
        check!(wrong, !ran.success && ran.messages.contains(expected), "{args:?}: {}", ran.messages);
    }
    assert!(!case.writes().await?, "the generation before is served on");
    Ok(())
}
