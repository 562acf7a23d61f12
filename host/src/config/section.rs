//! How a tree is read: a section is a table whose keys are asked for one by one, so that the list of known keys is
//! written once, by the code that reads them. What nobody asked for is unknown. It does not know any key.

use std::collections::BTreeMap;

use super::{
    context::Context,
    problem::{Origin, suggest},
    tree::{Node, Table, Value},
};

/// A value under its full key.
pub(super) struct Entry<'a> {
    context: &'a Context<'a>,
    key: String,
    node: Node,
}

impl<'a> Entry<'a> {
    /// The document.
    pub(super) fn root(context: &'a Context<'a>, table: Table) -> Self {
        let node = Node { origin: Origin::File, value: Value::Table(table) };
        Self { context, key: String::new(), node }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.node.origin
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.node.value, Value::Table(_))
    }

    pub(super) fn report(&self, message: impl Into<String>) {
        let origin = self.node.origin.clone();
        self.context.report(origin, &self.key, message);
    }

    /// The value, read as one type. What is wrong with it is told as a predicate: "is not a duration".
    pub(super) fn read<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        // The value is shown as the file has it: what it refers to may be a secret.
        self.read_secret(|value| read(value).map_err(|wrong| format!("{} {wrong}", self.node.value)))
    }

    /// The same for a value that no message may show.
    pub(super) fn read_secret<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let node = self.context.resolve(&self.key, &self.node)?;
        read(&node.value).map_err(|message| self.report(message)).ok()
    }

    /// The value, read as a table with known keys.
    pub(super) fn table<T>(self, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        let Value::Table(table) = self.node.value else {
            self.report_no_table();
            return None;
        };
        let mut section =
            Section { context: self.context, key: self.key, origin: self.node.origin, table, asked: Vec::new() };
        let value = read(&mut section);
        section.finish();
        Some(value)
    }

    fn report_no_table(&self) {
        let (shown, key) = (&self.node.value, &self.key);
        self.report(format!("{shown} is not a table; write it as [{key}]"));
    }

    /// The items of a list.
    fn items(self) -> Vec<Self> {
        let shown = self.node.value.to_string();
        let hint = match self.node.value {
            Value::Table(_) => format!("[[{}]]", self.key),
            _ => format!("[{shown}]"),
        };
        self.items_or(format!("{shown} is not a list; write it as {hint}"))
    }

    /// The same for values that no message may show.
    fn secret_items(self) -> Vec<Self> {
        self.items_or(r#"is not a list; write it as ["...", "..."]"#.to_owned())
    }

    fn items_or(self, message: String) -> Vec<Self> {
        let Self { context, key, node } = self;
        let origin = node.origin.clone();
        let Some(items) = node.into_items() else {
            context.report(origin, key, message);
            return Vec::new();
        };
        let entry = |(index, node)| Self { context, key: format!("{key}[{index}]"), node };
        items.into_iter().enumerate().map(entry).collect()
    }

    /// The entries of a table whose keys are free.
    fn fields(self) -> BTreeMap<String, Self> {
        let Value::Table(table) = self.node.value else {
            self.report_no_table();
            return BTreeMap::new();
        };
        let entry = |(name, node)| {
            let key = format!("{}.{name}", self.key);
            let context = self.context;
            (name, Self { context, key, node })
        };
        table.into_iter().map(entry).collect()
    }
}

/// A table whose keys are known.
pub(super) struct Section<'a> {
    context: &'a Context<'a>,
    key: String,
    origin: Origin,
    table: Table,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Where it starts.
    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// The line that it starts on; 0 if it came from the environment.
    pub(super) fn line(&self) -> usize {
        match self.origin {
            Origin::Line(line) | Origin::Point(line, _) => line,
            Origin::File | Origin::Variable(_) => 0,
        }
    }

    fn full_key(&self, key: &str) -> String {
        if self.key.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.key)
    }

    /// What stands under a key.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let node = self.table.remove(key)?;
        Some(Entry { context: self.context, key: self.full_key(key), node })
    }

    /// What stands under a key that must be there.
    pub(super) fn needed(&mut self, key: &'static str) -> Option<Entry<'a>> {
        let entry = self.entry(key);
        if entry.is_none() {
            let origin = self.origin.clone();
            self.context.report(origin, self.full_key(key), "is missing");
        }
        entry
    }

    /// The value of a key, if it is there and right.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        self.entry(key)?.read(read)
    }

    /// The value of a key that must be there. If it is not, the default stands in, so that the rest can be read: no
    /// caller of the reader sees it.
    pub(super) fn require<T: Default>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> T {
        let entry = self.needed(key);
        entry.and_then(|entry| entry.read(read)).unwrap_or_default()
    }

    /// A list of values of one type.
    pub(super) fn list<T>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<Vec<T>> {
        let items = self.entry(key)?.items();
        Some(items.iter().filter_map(|item| item.read(&read)).collect())
    }

    /// A list, item by item.
    pub(super) fn items(&mut self, key: &'static str) -> Vec<Entry<'a>> {
        self.entry(key).map(Entry::items).unwrap_or_default()
    }

    /// The same for values that no message may show.
    pub(super) fn secret_items(&mut self, key: &'static str) -> Vec<Entry<'a>> {
        self.entry(key).map(Entry::secret_items).unwrap_or_default()
    }

    /// Reports a key that has no place here.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if let Some(node) = self.table.remove(key) {
            self.context.report(node.origin, self.full_key(key), message);
        }
    }

    /// Leaves keys unread.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.table.retain(|key, _| !keys.contains(&key.as_str()));
    }

    /// Leaves everything unread that was not asked for.
    pub(super) fn ignore_rest(&mut self) {
        self.table.clear();
    }

    /// Whether all keys are free ones, with a table each, and there are some.
    pub(super) fn has_only_tables(&self) -> bool {
        !self.table.is_empty() && self.table.values().all(is_named_table)
    }

    /// The tables under keys that nobody asked for, by name.
    pub(super) fn tables(&mut self) -> BTreeMap<String, Entry<'a>> {
        let (tables, others) = std::mem::take(&mut self.table).into_iter().partition(|(_, node)| is_named_table(node));
        self.table = others;
        let entry = |(name, node): (String, Node)| {
            let entry = Entry { context: self.context, key: self.full_key(&name), node };
            (name, entry)
        };
        Table::into_iter(tables).map(entry).collect()
    }

    /// A table with free keys, entry by entry.
    pub(super) fn fields(&mut self, key: &'static str) -> BTreeMap<String, Entry<'a>> {
        self.entry(key).map(Entry::fields).unwrap_or_default()
    }

    /// `[key]`, if it is there.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        self.entry(key)?.table(read)
    }

    /// `[key]`; every key in it has a default.
    pub(super) fn section<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'a>) -> T) -> T {
        let absent = |section: &Self| Self {
            context: section.context,
            key: section.full_key(key),
            origin: section.origin.clone(),
            table: Table::new(),
            asked: Vec::new(),
        };
        self.optional(key, &mut read).unwrap_or_else(|| read(&mut absent(self)))
    }

    /// `[[key]]`
    pub(super) fn each<T>(&mut self, key: &'static str, read: impl Fn(&mut Section<'a>) -> T) -> Vec<T> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        // Its tables would have no line to be named by.
        if matches!(entry.origin(), Origin::Variable(_)) {
            entry.report("is a list of tables, which only the file can have");
            return Vec::new();
        }
        let entries = entry.items().into_iter();
        entries.filter_map(|entry| entry.table(&read)).collect()
    }

    /// Reports the keys that were not asked for.
    fn finish(self) {
        for (key, node) in &self.table {
            let form = match node.origin {
                Origin::Variable(_) => " (variables are named CARYA_SECTION__KEY)",
                _ => "",
            };
            let end = suggest(key, self.asked.iter().copied());
            self.context.report(node.origin.clone(), self.full_key(key), format!("unknown key{form}; {end}"));
        }
    }
}

/// Not `{ file = "path" }`, which stands for a text: under an unknown key it is a slip, and no table by that name.
fn is_named_table(node: &Node) -> bool {
    matches!(&node.value, Value::Table(table) if !(table.len() == 1 && table.contains_key("file")))
}
