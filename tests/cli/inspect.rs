//! `carya inspect`: the exports, imports and abilities of a component.

use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use super::{
    super::support::{Result, Wrong, check, check_eq, guest},
    run,
};

/// Returns whether a line is stable. The WASI imports of a guest depend on the Rust version that compiled it.
fn is_ours(line: &str) -> bool {
    !line.trim_start().starts_with("wasi:") && !line.trim_start().starts_with("imports ")
}

#[tokio::test]
async fn as_text() -> Result {
    let mut wrong = Wrong::default();
    for name in ["items", "reads-only", "no-exports", "audit", "shop-model", "orders"] {
        let file = guest(name);
        let folder = file.parent().unwrap_or(Path::new("."));
        let ran = run(folder, &["inspect", &format!("{name}.wasm")]).await?;
        check_eq!(wrong, (ran.code, ran.err.as_str()), (Some(0), ""), "{name}");
        let lines: Vec<&str> = ran.out.lines().filter(|line| is_ours(line)).collect();
        assert_snapshot!(format!("inspect_{name}"), lines.join("\n"));
    }
    Ok(())
}

#[tokio::test]
async fn as_json() -> Result {
    let file = guest("items");
    let ran = run(file.parent().unwrap_or(Path::new(".")), &["inspect", "items.wasm", "--json"]).await?;
    let mut found = ran.json()?;
    for list in ["may", "imports"] {
        if let Value::Array(lines) = &mut found[list] {
            lines.retain(|line| line.as_str().is_some_and(is_ours));
        }
    }
    assert_snapshot!(format!("{found:#}"));
    Ok(())
}

#[tokio::test]
async fn refuses_files_that_are_no_component() -> Result {
    let folder = tempfile::tempdir()?;
    let table = [
        ("text.wasm", "not wasm", "text.wasm: this is not a WebAssembly file"),
        ("empty.wasm", "", "empty.wasm: this is not a WebAssembly file"),
        ("core.wasm", "\0asm\x01\0\0\0", "core.wasm: this is a core module without the WIT"),
        ("cut.wasm", "\0asm\x0d\0\x01\0\x07", "cut.wasm: it cannot be compiled: "),
    ];
    let mut wrong = Wrong::default();
    for (name, content, message) in table {
        std::fs::write(folder.path().join(name), content)?;
        for args in [vec!["inspect", name], vec!["inspect", name, "--json"]] {
            let ran = run(folder.path(), &args).await?;
            check_eq!(wrong, (ran.code, ran.out.as_str()), (Some(1), ""), "{name}");
            check!(wrong, ran.err.starts_with(&format!("error: {message}")), "{name}: {}", ran.err);
        }
    }
    Ok(())
}
