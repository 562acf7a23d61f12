//! The tables of `docs/src/reference/configuration.md`. They stand between markers, and this test compares them.

use std::{collections::BTreeSet, fs};

use super::{
    file::description,
    path::{KeyPath, Step},
    record::{Absent, Content, KeyRecord, Record, ValueRecord},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/configuration.md");

/// Environment variable that makes the test write the page.
const UPDATE: &str = "UPDATE_REFERENCE";

const START: &str = "<!-- keys of ";
const END: &str = "<!-- end of keys -->";

/// Returns the title of a table on the page. `None`: the rows stand in the table of another record.
fn title(records: &[Record], path: &KeyPath) -> Option<String> {
    let is_child = |record: &Record, is: fn(&Step) -> bool| {
        record.path.split_last().is_some_and(|(parent, step)| parent == *path && is(step))
    };
    if path.is_root() {
        return Some("the top level".to_owned());
    }
    // `[database]` has the keys of `[database.NAME]`. Tables below a named one are rows of its table.
    let has_names = records.iter().any(|record| is_child(record, |step| matches!(step, Step::Name(_))));
    let is_nested = path.split_last().is_some_and(|(parent, step)| {
        matches!(step, Step::Key(_)) && matches!(parent.split_last(), Some((_, Step::Name(_) | Step::Index(_))))
    });
    if has_names || is_nested { None } else { path.header() }
}

fn table(records: &[Record], Record { path, keys, .. }: &Record) -> String {
    let has_dialects = keys.iter().any(|key| matches!(&key.content, Content::Value(value) if value.dialects.is_some()));
    let mut rows = vec![
        [Some("key"), Some("type"), Some("default"), has_dialects.then_some("dialects"), Some("")]
            .map(|cell| cell.map(str::to_owned)),
    ];
    for KeyRecord { name, doc, content } in keys {
        match content {
            Content::Value(value) => rows.push(row(name, value, doc, has_dialects)),
            Content::Tables if path.is_root() => {}
            Content::Tables => {
                let dialects = has_dialects.then(String::new);
                let cells = ["table", "none"].map(|text| Some(text.to_owned()));
                let [kind, default] = cells;
                rows.push([Some(format!("`{name}`")), kind, default, dialects, Some((*doc).to_owned())]);
                let nested = records.iter().filter(|record| record.path == path.key(name));
                for KeyRecord { name: key, doc, content } in nested.flat_map(|record| &record.keys) {
                    if let Content::Value(value) = content {
                        rows.push(row(&format!("{name}.{key}"), value, doc, has_dialects));
                    }
                }
            }
        }
    }
    let line =
        |cells: Vec<String>| format!("|{}|\n", cells.iter().map(|cell| cell_text(cell)).collect::<Vec<_>>().join("|"));
    let mut lines = rows.into_iter().map(|row| line(row.into_iter().flatten().collect()));
    let head = lines.next().unwrap_or_default();
    let rule = format!("|{}\n", "---|".repeat(head.matches('|').count() - 1));
    head + &rule + &lines.collect::<String>()
}

fn cell_text(text: &str) -> String {
    if text.is_empty() { " ".to_owned() } else { format!(" {text} ") }
}

fn row(name: &str, value: &ValueRecord, doc: &str, has_dialects: bool) -> [Option<String>; 5] {
    let default = match &value.absent {
        Absent::Required => "required".to_owned(),
        Absent::Default { text: Some(text), .. } => (*text).to_owned(),
        Absent::Default { toml, text: None } => format!("`{toml}`"),
        Absent::Unset { meaning } => (*meaning).to_owned(),
        Absent::UnsetWithout { other } => format!("none; needs `{other}`"),
    };
    let dialects = has_dialects.then(|| value.dialects.unwrap_or("all").to_owned());
    [Some(format!("`{name}`")), Some(value.type_name.to_string()), Some(default), dialects, Some(doc.to_owned())]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is one of the test")]
fn the_page_has_the_keys_of_the_reader() {
    let page = fs::read_to_string(PAGE).expect("the page is in the repository");
    let records = description();
    let mut missing: BTreeSet<String> = records.iter().filter_map(|record| title(&records, &record.path)).collect();
    let mut pieces = page.split(START);
    let mut expected = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(" -->").expect("a marker ends on its line");
        let (_, after) = rest.split_once(END).expect("a marker has an end");
        let record = records.iter().find(|record| title(&records, &record.path).as_deref() == Some(name));
        let record = record.unwrap_or_else(|| panic!("the page has a marker for {name}, which no reader reads"));
        missing.remove(name);
        expected += &format!("{START}{name} -->\n\n{}\n{END}{after}", table(&records, record));
    }
    assert!(missing.is_empty(), "the page has no markers for {missing:?}");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(PAGE, expected).expect("the page can be written");
        return;
    }
    assert!(
        page == expected,
        "docs/src/reference/configuration.md is out of date; run `{UPDATE}=1 cargo test --locked -p carya --lib config::`"
    );
}
