//! Components that need a proposal of WebAssembly that the host does not offer.

use super::{refusal, refused};
use crate::support::{Result, Wrong, check, module};

/// Items that need proposals, the names of these proposals, and a part of a remedy.
type Case = (&'static str, &'static [&'static str], &'static str);

/// Items of core modules.
const CASES: [Case; 7] = [
    ("(tag $t) (func (throw $t))", &["exceptions"], "`-fno-exceptions`"),
    ("(tag $t) (func try catch_all end)", &["exceptions", "legacy exceptions"], "older compilers"),
    ("(type $s (struct (field i32))) (func (drop (struct.new_default $s)))", &["garbage collection"], "Kotlin"),
    ("(memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0))))", &["threads"], "a target without threads"),
    (
        "(type $f (func)) (type $c (cont $f)) (func $g) (elem declare func $g) (func (drop (cont.new $c (ref.func $g))))",
        &["garbage collection", "stack switching"],
        "coroutines",
    ),
    (
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))",
        &["wide arithmetic"],
        "`wide-arithmetic`",
    ),
    ("(memory 1 (pagesize 1))", &["custom page sizes"], "pages of 64 KiB"),
];

/// Items of components.
const COMPONENTS: [Case; 2] = [
    (
        r#"(core module $m (memory (export "memory") i64 1))
           (core instance $i (instantiate $m))
           (import "f" (func $f (param "text" string)))
           (core func (canon lower (func $f) (memory $i "memory")))"#,
        &["64-bit memory"],
        "a wasm32 target",
    ),
    ("(core func (canon backpressure.inc))", &["asynchronous components"], "WASI 0.2"),
];

/// Returns whether a text names exactly these proposals, with a remedy.
fn names(text: &str, names: &[&str], remedy: &str) -> bool {
    let named = |name: &&str| text.contains(&format!("the WebAssembly proposal \"{name}\" ("));
    let count = text.matches("the WebAssembly proposal").count();
    names.iter().all(named) && count == names.len() && text.contains(remedy) && !text.contains("allocator")
}

#[tokio::test]
async fn a_refusal_names_the_proposal_and_the_programs_that_need_it() -> Result {
    let of_modules = CASES.map(|(items, expected, remedy)| {
        (format!("(core module $m {items}) (core instance (instantiate $m))"), expected, remedy)
    });
    let of_components = COMPONENTS.map(|(items, expected, remedy)| (items.to_owned(), expected, remedy));
    let mut wrong = Wrong::default();
    for (items, expected, remedy) in of_modules.into_iter().chain(of_components) {
        let reason = refused(&wat::parse_str(format!("(component {items})"))?).await?;
        check!(wrong, reason.starts_with("needs what this host does not offer: "), "{expected:?}: {reason}");
        check!(wrong, names(&reason, expected, remedy) && reason.len() < 600, "{expected:?}: {reason}");
    }
    Ok(())
}

/// A core module with the WIT of its world is refused for the same reason, before it becomes a component.
#[tokio::test]
async fn core_modules_are_refused_too() -> Result {
    let folder = tempfile::tempdir()?;
    let memory64: Case = (r#"(memory (export "memory") i64 1)"#, &["64-bit memory"], "a wasm32 target");
    let mut wrong = Wrong::default();
    for (items, expected, remedy) in CASES.into_iter().chain([memory64]) {
        let export = r#"(func (export "carya:host/plain-controller@0.2.0#plain") (result i32) unreachable)"#;
        let memory = if items.contains("(memory ") { "" } else { r#"(memory (export "memory") 1)"# };
        let wat = format!("(module {items} {memory} {export})");
        std::fs::write(folder.path().join("it.wasm"), module::embed(&wat, "export plain-controller;")?)?;
        let said = refusal(folder.path(), &["inspect", "it.wasm"]).await?;
        check!(wrong, names(&said, expected, remedy), "{expected:?}: {said}");
    }
    Ok(())
}
