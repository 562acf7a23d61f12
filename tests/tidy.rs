//! The shape of the code: what `host/ARCHITECTURE.md` promises and a test can hold.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::support::Result;

/// Returns the rooms of the host in the order of the table in `lib.rs`. A room imports only from rooms below it.
fn rooms() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" |").next());
    let names = rows.filter_map(|cell| cell.strip_prefix('[').unwrap_or(cell).strip_prefix('`')?.split('`').next());
    Ok(["main"].into_iter().chain(names).map(str::to_owned).collect())
}

/// Words that only some files may say, and why.
const WALLS: [(&str, &[&str], &str); 14] = [
    ("wasmtime::", &["component/"], "only the component room names the runtime"),
    ("wasmtime_wasi::", &["component/"], "only the component room names the runtime"),
    ("wit_component::", &["component/"], "only the component room makes components"),
    ("wit_parser::", &["component/"], "only the component room reads contracts"),
    ("wasmparser::", &["component/"], "only the component room reads components"),
    ("wasm_encoder::", &["component/"], "only the component room makes components"),
    ("oci_client::", &["oci/"], "only one room speaks to registries"),
    ("axum::", &["admin", "exchange.rs", "server.rs", "server/"], "only the HTTP edge names axum"),
    (
        "sqlx::",
        &["database/", "harden", "migrate", "config/url.rs"],
        "only the rooms of the database name the driver, and the reader of its URLs",
    ),
    ("anyhow::", &["main.rs", "cli", "admin", "fleet.rs", "reload", "app"], "below the application errors are typed"),
    ("prometheus_client::", &["telemetry/"], "only the telemetry room names the format of metrics"),
    ("std::env", &["config/"], "configuration is read once and passed as values"),
    (
        "allow(unsafe_code)",
        &[
            "database/sqlite/barrier.rs",
            "database/sqlite/fts5.rs",
            "database/sqlite/memory.rs",
            "database/sqlite/native.rs",
            "component/code.rs",
        ],
        "unsafe code stands in five files that say why",
    ),
    ("Approval(())", &["transaction/verdict.rs"], "only the verdict approves a commit"),
];

/// Returns the files of the host, each with its path below `src` and its text.
fn sources() -> Result<Vec<(String, String)>> {
    sources_in("src")
}

fn sources_in(folder: &str) -> Result<Vec<(String, String)>> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => collect(&path, found)?,
                false => found.push(path),
            }
        }
        Ok(())
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    collect(&root, &mut paths)?;
    paths.sort();
    let source = |path: PathBuf| -> Result<(String, String)> {
        Ok((path.strip_prefix(&root)?.to_string_lossy().into_owned(), std::fs::read_to_string(&path)?))
    };
    paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).map(source).collect()
}

/// The room of a file: `database` of `database/sqlite.rs`.
fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

/// The rooms that a file imports, by `use crate::` in both of its forms and by paths in the code.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for piece in code.split("crate::").skip(1) {
        let names = match piece.strip_prefix('{') {
            Some(list) => top_level(list),
            None => vec![piece],
        };
        let word = |name: &&str| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rooms.extend(names.iter().map(word));
    }
    rooms
}

/// The members of a `use` list, without looking into those that are lists themselves.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut members) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

#[test]
fn imports_run_one_way() -> Result {
    let rooms = rooms()?;
    let rank = |room: &str| rooms.iter().position(|other| other == room);
    let mut wrong = Vec::new();
    for (file, text) in sources()? {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        let Some(own_rank) = rank(own) else {
            wrong.push(format!("{file}: the room `{own}` is not in the table of lib.rs"));
            continue;
        };
        for other in imports(&text) {
            if other != own && rank(&other).is_none_or(|rank| rank <= own_rank) {
                wrong.push(format!("{file} imports `{other}`, which stands above or is not in the table of lib.rs"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn imports_are_found() {
    let text = "use crate::{\n  a::{b, c},\n  d,\n};\nuse crate::e::f;\nfn x() { crate::g::h() }\n// crate::no\n";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["a", "d", "e", "g"]);
}

#[test]
fn walls_stand() -> Result {
    let mut wrong = Vec::new();
    for (file, text) in sources()? {
        for (word, allowed, why) in WALLS {
            let says = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            if says && !allowed.iter().any(|place| file.starts_with(place)) {
                wrong.push(format!("{file} says `{word}`: {why}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn every_file_opens_with_its_duty_and_stays_short() -> Result {
    let mut wrong = Vec::new();
    for (file, text) in sources()? {
        if !text.starts_with("//! ") {
            wrong.push(format!("{file} does not say its duty in its first line"));
        }
        if text.lines().count() > 400 {
            wrong.push(format!("{file} has {} lines: what is it about?", text.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
