//! Reading a tree by sections. A section is a table whose keys are read one by one, so that the list of known keys is
//! written once, in the code that reads them. Keys that no code has read are reported as unknown.

use std::collections::BTreeMap;

use super::{
    context::Context,
    problem::{Origin, suggest},
    tree::{Node, Table, Value},
};

/// A value with its full key.
pub(super) struct Entry<'a> {
    context: &'a Context<'a>,
    key: String,
    node: Node,
}

impl<'a> Entry<'a> {
    /// Returns the root of the document.
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

    /// Reads the value as one type. `read` returns the reason for a refusal as a predicate: "is not a duration".
    pub(super) fn read<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        // Show the value as it is in the file: a resolved reference may be a secret.
        self.read_secret(|value| read(value).map_err(|wrong| format!("{} {wrong}", self.node.value)))
    }

    /// Reads a value that must not appear in messages.
    pub(super) fn read_secret<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let node = self.context.resolve(&self.key, &self.node)?;
        read(&node.value).map_err(|message| self.report(message)).ok()
    }

    /// Reads the value as a table, and reports its unknown keys.
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

    /// Returns the items of a list.
    fn items(self) -> Vec<Self> {
        let shown = self.node.value.to_string();
        let hint = match self.node.value {
            Value::Table(_) => format!("[[{}]]", self.key),
            _ => format!("[{shown}]"),
        };
        self.items_or(format!("{shown} is not a list; write it as {hint}"))
    }

    /// Returns the items of a list whose values must not appear in messages.
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

    /// Returns the entries of a table with arbitrary keys.
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

/// A table with known keys.
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

    /// Returns the place where the section starts.
    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// Returns the line where the section starts; 0 if it came from the environment.
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

    /// Takes the entry of a key.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let node = self.table.remove(key)?;
        Some(Entry { context: self.context, key: self.full_key(key), node })
    }

    /// Takes the entry of a required key, and reports it if it is missing.
    pub(super) fn needed(&mut self, key: &'static str) -> Option<Entry<'a>> {
        let entry = self.entry(key);
        if entry.is_none() {
            let origin = self.origin.clone();
            self.context.report(origin, self.full_key(key), "is missing");
        }
        entry
    }

    /// Reads the value of a key. Returns `None` if it is missing or not valid.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        self.entry(key)?.read(read)
    }

    /// Reads the value of a required key. If it is missing or not valid, this reports a problem and returns the
    /// default, so that the remaining keys are read. The reader fails then, and no caller gets the default.
    pub(super) fn require<T: Default>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> T {
        let entry = self.needed(key);
        entry.and_then(|entry| entry.read(read)).unwrap_or_default()
    }

    /// Reads a list of values of one type.
    pub(super) fn list<T>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<Vec<T>> {
        let items = self.entry(key)?.items();
        Some(items.iter().filter_map(|item| item.read(&read)).collect())
    }

    /// Returns the entries of a list.
    pub(super) fn items(&mut self, key: &'static str) -> Vec<Entry<'a>> {
        self.entry(key).map(Entry::items).unwrap_or_default()
    }

    /// Returns the entries of a list whose values must not appear in messages.
    pub(super) fn secret_items(&mut self, key: &'static str) -> Vec<Entry<'a>> {
        self.entry(key).map(Entry::secret_items).unwrap_or_default()
    }

    /// Reports a key that must not be here.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if let Some(node) = self.table.remove(key) {
            self.context.report(node.origin, self.full_key(key), message);
        }
    }

    /// Skips keys, which are not reported as unknown.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.table.retain(|key, _| !keys.contains(&key.as_str()));
    }

    /// Skips all keys that were not read.
    pub(super) fn ignore_rest(&mut self) {
        self.table.clear();
    }

    /// Returns whether there are keys left and each of them is a table with an arbitrary name.
    pub(super) fn has_only_tables(&self) -> bool {
        !self.table.is_empty() && self.table.values().all(is_named_table)
    }

    /// Takes the remaining tables, by name.
    pub(super) fn tables(&mut self) -> BTreeMap<String, Entry<'a>> {
        let (tables, others) = std::mem::take(&mut self.table).into_iter().partition(|(_, node)| is_named_table(node));
        self.table = others;
        let entry = |(name, node): (String, Node)| {
            let entry = Entry { context: self.context, key: self.full_key(&name), node };
            (name, entry)
        };
        Table::into_iter(tables).map(entry).collect()
    }

    /// Returns the entries of a table with arbitrary keys.
    pub(super) fn fields(&mut self, key: &'static str) -> BTreeMap<String, Entry<'a>> {
        self.entry(key).map(Entry::fields).unwrap_or_default()
    }

    /// Reads `[key]` if it is there.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        self.entry(key)?.table(read)
    }

    /// Reads `[key]`, in which every key has a default. A missing section is read as an empty one.
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

    /// Reads every `[[key]]`.
    pub(super) fn each<T>(&mut self, key: &'static str, read: impl Fn(&mut Section<'a>) -> T) -> Vec<T> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        // Tables from the environment have no line, which messages about them need.
        if matches!(entry.origin(), Origin::Variable(_)) {
            entry.report("is a list of tables, which only the file can have");
            return Vec::new();
        }
        let entries = entry.items().into_iter();
        entries.filter_map(|entry| entry.table(&read)).collect()
    }

    /// Reports the keys that were not read.
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

/// Returns whether a node is a table with an arbitrary name. `{ file = "path" }` is not: it stands for text, and under
/// an unknown key it is a typing error.
fn is_named_table(node: &Node) -> bool {
    matches!(&node.value, Value::Table(table) if !(table.len() == 1 && table.contains_key("file")))
}
