//! Rules of `host/ARCHITECTURE.md` that a test can check: the order of imports, and the files that may use a library.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// Words in the code that are only allowed in some files or folders, with the reason.
const WALLS: [(&str, &[&str], &str); 15] = [
    ("wasmtime::", &["component/"], "only the component room names the runtime"),
    ("wasmtime_wasi::", &["component/"], "only the component room names the runtime"),
    ("wasmtime_wasi_http::", &["component/"], "only the component room names the runtime"),
    ("wit_component::", &["component/"], "only the component room makes components"),
    ("wit_parser::", &["component/"], "only the component room reads contracts"),
    ("wasmparser::", &["component/"], "only the component room reads components"),
    ("wasm_encoder::", &["component/"], "only the component room makes components"),
    ("oci_client::", &["oci/"], "only one room speaks to registries"),
    ("axum::", &["admin", "exchange.rs", "server.rs", "server/", "testing/"], "only the HTTP edge names axum"),
    (
        "sqlx::",
        &["database/", "harden", "migrate", "config/url.rs"],
        "only the rooms of the database name the driver, and the reader of its URLs",
    ),
    (
        "anyhow::",
        &["main.rs", "cli", "testing", "admin", "fleet.rs", "reload", "app"],
        "below the application errors are typed",
    ),
    ("prometheus_client::", &["telemetry/"], "only the telemetry room names the format of metrics"),
    ("std::env", &["config/"], "configuration is read once and passed as values"),
    (
        "allow(unsafe_code)",
        &[
            "allocator.rs",
            "database/mysql/nagle.rs",
            "database/sqlite/barrier.rs",
            "database/sqlite/fts5.rs",
            "database/sqlite/memory.rs",
            "database/sqlite/native.rs",
            "component/code.rs",
            "server/activated.rs",
        ],
        "unsafe code stands in eight files that say why",
    ),
    ("Approval(())", &["transaction/verdict.rs"], "only the verdict approves a commit"),
];

/// Folders that git ignores. Links in them may be broken.
const BUILT: [&str; 6] = ["target", "dist", "node_modules", ".git", "__pycache__", ".venv"];

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

/// Returns the room of a file, e.g. `database` for `database/sqlite.rs`.
fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

/// Returns the rooms that a file imports: in `use crate::NAME`, in `use crate::{..}`, and in other paths in its code.
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

/// Returns the members of a `use` list. A nested list is part of the member that contains it.
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

/// A path in a `use` item, such as `super::link::Link`, and whether the item is a re-export.
type Use = (String, bool);

/// Returns the paths in the `use` items of a file. Leaves out the items of inner modules, which are tests.
fn used_paths(text: &str) -> Vec<Use> {
    fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
        let tree = tree.trim();
        match tree.split_once('{') {
            Some((path, list)) => {
                let prefix = format!("{prefix}{path}");
                top_level(&format!("{list},")).iter().for_each(|member| flatten(&prefix, member, paths));
            }
            None => paths.push(format!("{prefix}{tree}")),
        }
    }
    let mut uses = Vec::new();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for (at, line) in code.iter().enumerate() {
        let public = line.strip_prefix("pub ").or_else(|| Some(line.strip_prefix("pub(")?.split_once(") ")?.1));
        if public.unwrap_or(line).starts_with("use ") {
            let item = code[at..].join("\n");
            let tree = item.split(';').next().and_then(|item| item.split_once("use "));
            let mut paths = Vec::new();
            flatten("", tree.map_or("", |(_, tree)| tree), &mut paths);
            uses.extend(paths.into_iter().map(|path| (path, public.is_some())));
        }
    }
    uses
}

/// Files of a crate and the paths in their `use` items. The key is the path of the module, such as `server::live`.
struct Files<'a>(BTreeMap<String, (&'a str, Vec<Use>)>);

impl<'a> Files<'a> {
    fn new(sources: &'a [(String, String)]) -> Self {
        let module = |file: &str| match file.trim_end_matches(".rs") {
            "main" | "lib" => String::new(),
            path => path.replace('/', "::"),
        };
        Self(sources.iter().map(|(file, text)| (module(file), (file.as_str(), used_paths(text)))).collect())
    }

    /// Returns the file that defines the item of a path in the module `from`. If a file on the way only imports the
    /// item, follows that import.
    fn defining(&self, path: &str, from: &str) -> Option<&'a str> {
        let mut segments = path.split(" as ").next().unwrap_or(path).split("::").peekable();
        let mut at: Vec<&str> = from.split("::").collect();
        if segments.next_if_eq(&"crate").is_some() {
            at.clear();
        }
        let _ = segments.next_if_eq(&"self");
        while segments.next_if_eq(&"super").is_some() {
            at.pop();
        }
        while let Some(next) = segments.next_if(|next| self.0.contains_key(&[&at[..], &[*next]].concat().join("::"))) {
            at.push(next);
        }
        let (module, name) = (at.join("::"), segments.next());
        let (file, uses) = self.0.get(&module)?;
        let imported = uses.iter().find(|(path, _)| path.rsplit([' ', ':']).next() == name);
        match imported {
            Some((path, _)) if module != from => self.defining(path, &module).or(Some(file)),
            _ => Some(file),
        }
    }

    /// Returns the imports (from one file to another) that are part of a circle of files. Only counts `use` items that
    /// are not re-exports, so a module may call `child::function()` in its own child modules.
    fn circles(&self) -> Vec<String> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, (file, uses)) in &self.0 {
            let targets = uses.iter().filter(|(_, is_export)| !is_export);
            let targets = targets.filter_map(|(path, _)| self.defining(path, module));
            edges.entry(file).or_default().extend(targets.filter(|target| target != file));
        }
        let reaches = |from, to| {
            let (mut found, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(file) = next.pop().filter(|file| *file != to) {
                next.extend(edges[file].iter().filter(|file| found.insert(**file)));
            }
            found.contains(to)
        };
        let all = edges.iter().flat_map(|(from, targets)| targets.iter().map(move |to| (*from, *to)));
        all.filter(|(from, to)| reaches(*to, *from)).map(|(from, to)| format!("{from} -> {to}")).collect()
    }
}

#[test]
fn files_import_each_other_without_circles() -> Result {
    let mut wrong = Vec::new();
    for folder in ["src", "../bench/src"] {
        wrong.extend(Files::new(&sources_in(folder)?).circles().into_iter().map(|edge| format!("{folder}: {edge}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn circles_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let round = [
        file("a.rs", "mod b;\nuse self::{\n    b::{X, Y},\n};\npub use self::b::V;\n"),
        file("a/b.rs", "use std::fmt;\n\nuse super::super::c::Z;\n"),
        file("c.rs", "use crate::{\n    // A comment.\n    a::f as g,\n};\nmod tests {\n    use super::*;\n}\n"),
    ];
    assert_eq!(Files::new(&round).circles(), ["a.rs -> a/b.rs", "a/b.rs -> c.rs", "c.rs -> a.rs"]);
    assert_eq!(Files::new(&round[..2]).circles(), Vec::<String>::new());
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
    let folders = ["src", "../guest/rust/src", "../guest/rust/macros/src"];
    for (file, text) in folders.into_iter().map(sources_in).collect::<Result<Vec<_>>>()?.concat() {
        if !text.starts_with("//! ") && !text.starts_with("#![doc = include_str!") {
            wrong.push(format!("{file} does not say its duty in its first line"));
        }
        if text.lines().count() > 400 {
            wrong.push(format!("{file} has {} lines: what is it about?", text.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn links_lead_to_files() -> Result {
    fn collect(folder: &Path, broken: &mut Vec<PathBuf>) -> Result {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_symlink() && !path.exists() {
                broken.push(path);
            } else if kind.is_dir() && !BUILT.iter().any(|name| path.ends_with(name)) {
                collect(&path, broken)?;
            }
        }
        Ok(())
    }
    let mut broken = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut broken)?;
    assert!(broken.is_empty(), "{broken:#?}");
    Ok(())
}
