//! Tables with known keys. Each key is described where it is read, and a key that no code reads is reported as unknown.

use std::collections::BTreeMap;

use super::{
    context::Context,
    entry::Entry,
    mask::written,
    path::KeyPath,
    problem::{Origin, suggest},
    record::{Absent, Content, KeyRecord, Set, ValueRecord},
    tree::{Node, Table, Value},
    types::Type,
};

/// A key that contains a table or a list of tables.
#[derive(Clone, Copy)]
pub(super) struct TableKey {
    pub(super) name: &'static str,
    /// One line of documentation, in Markdown.
    pub(super) doc: &'static str,
}

/// A table with known keys.
pub(super) struct Section<'a> {
    context: &'a Context<'a>,
    path: KeyPath,
    origin: Origin,
    table: Table,
    /// Index of its record.
    record: usize,
}

impl<'a> Section<'a> {
    fn new(context: &'a Context<'a>, path: KeyPath, origin: Origin, table: Table) -> Self {
        let record = context.open(path.clone(), origin.clone());
        Self { context, path, origin, table, record }
    }

    /// Reads the root table of a document.
    pub(super) fn root<T>(context: &'a Context<'a>, table: Table, read: impl FnOnce(&mut Self) -> T) -> T {
        Self::new(context, KeyPath::default(), Origin::File, table).read_keys(read)
    }

    /// Reads a value as a table, and reports its unknown keys.
    pub(super) fn of<T>(entry: Entry<'a>, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let Value::Table(table) = entry.node.value else {
            entry.report_no_table();
            return None;
        };
        Some(Self::new(entry.context, entry.path, entry.node.origin, table).read_keys(read))
    }

    fn read_keys<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        self.report_unknown_keys();
        value
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Returns the line where the section starts; 0 if it came from the environment.
    pub(super) fn line(&self) -> usize {
        match self.origin {
            Origin::Line(line) | Origin::Point(line, _) => line,
            Origin::File | Origin::Variable(_) => 0,
        }
    }

    /// Reports a problem of a key at the start of the section.
    pub(super) fn report(&self, key: &str, message: impl Into<String>) {
        self.context.report(self.origin.clone(), self.path.key(key).to_string(), message);
    }

    /// Reports a problem of a key at its value, if it has been read and was set.
    pub(super) fn report_at(&self, key: &str, message: impl Into<String>) {
        let origin = self.origin_of(key).unwrap_or(self.origin.clone());
        self.context.report(origin, self.path.key(key).to_string(), message);
    }

    /// Returns whether a key is set, before or after it is read.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.origin_of(key).is_some()
    }

    fn origin_of(&self, key: &str) -> Option<Origin> {
        self.context.recorded(self.record, |keys| {
            let key = keys.iter().find(|known| known.name == key)?;
            match &key.content {
                Content::Value(ValueRecord { set: Some(set), .. }) => Some(set.origin.clone()),
                _ => None,
            }
        })
    }

    /// Describes a key. The methods of [`Key`] read its value. `doc` is one line of Markdown for users.
    pub(super) fn key<'s, 't, T>(
        &'s mut self,
        name: &'static str,
        ty: Type<'t, T>,
        doc: &'static str,
    ) -> Key<'s, 'a, 't, T> {
        Key { section: self, name, ty, doc, dialects: None }
    }

    /// Describes a table or a list of tables, and takes its entry.
    fn table_entry(&mut self, TableKey { name, doc }: TableKey) -> Option<Entry<'a>> {
        self.context.record(self.record, KeyRecord { name: name.into(), doc, content: Content::Tables });
        let node = self.table.remove(name)?;
        Some(Entry { context: self.context, path: self.path.key(name), node })
    }

    fn absent_table(&self, path: KeyPath) -> Self {
        Self::new(self.context, path, self.origin.clone(), Table::new())
    }

    /// Reads `[key]` if it is there.
    pub(super) fn optional<T>(&mut self, key: TableKey, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.table_entry(key) {
            Some(entry) => Self::of(entry, read),
            None if self.context.describes => Some(self.absent_table(self.path.key(key.name)).read_keys(read)),
            None => None,
        }
    }

    /// Reads `[key]`, in which every key has a default. A missing section is read as an empty one.
    pub(super) fn section<T>(&mut self, key: TableKey, mut read: impl FnMut(&mut Self) -> T) -> T {
        let found = self.table_entry(key).and_then(|entry| Self::of(entry, &mut read));
        found.unwrap_or_else(|| self.absent_table(self.path.key(key.name)).read_keys(read))
    }

    /// Reads every `[[key]]`.
    pub(super) fn each<T>(&mut self, key: TableKey, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let Some(entry) = self.table_entry(key) else {
            let item = self.path.key(key.name).index(0);
            return if self.context.describes { vec![self.absent_table(item).read_keys(read)] } else { Vec::new() };
        };
        // Tables from the environment have no line, which messages about them need.
        if matches!(entry.origin(), Origin::Variable(_)) {
            entry.report("is a list of tables; only the file can define it");
            return Vec::new();
        }
        entry.items().into_iter().filter_map(|entry| Self::of(entry, &mut read)).collect()
    }

    /// Returns the entries of the table `[key]`, whose names the file chooses. `placeholder` stands for such a name
    /// where the format is described.
    pub(super) fn fields(&mut self, key: TableKey, placeholder: &'static str) -> BTreeMap<String, Entry<'a>> {
        let entry = self.table_entry(key);
        if entry.is_none() && self.context.describes {
            return BTreeMap::from([self.placeholder(self.path.key(key.name), placeholder)]);
        }
        entry.map(Entry::fields).unwrap_or_default()
    }

    /// Takes the remaining tables of this section, by name.
    pub(super) fn tables(&mut self, placeholder: &'static str) -> BTreeMap<String, Entry<'a>> {
        if self.context.describes {
            return BTreeMap::from([self.placeholder(self.path.clone(), placeholder)]);
        }
        let (tables, others) = std::mem::take(&mut self.table).into_iter().partition(|(_, node)| is_named_table(node));
        self.table = others;
        let entry = |(name, node): (String, Node)| {
            let entry = Entry { context: self.context, path: self.path.name(&name), node };
            (name, entry)
        };
        Table::into_iter(tables).map(entry).collect()
    }

    fn placeholder(&self, table: KeyPath, name: &str) -> (String, Entry<'a>) {
        let node = Node { origin: Origin::File, value: Value::Table(Table::new()) };
        (name.to_owned(), Entry { context: self.context, path: table.name(name), node })
    }

    /// Reads the table `[key]`, whose names the file chooses, with values of one type.
    pub(super) fn map<T>(&mut self, key: TableKey, ty: &Type<'_, T>) -> BTreeMap<String, T> {
        let Some(entry) = self.table_entry(key) else {
            return BTreeMap::new();
        };
        let record = self.context.open(self.path.key(key.name), entry.origin().clone());
        let read = |(name, entry): (String, Entry<'a>)| {
            let set = Some(set(&entry, ty));
            let absent = Absent::Unset { meaning: "" };
            let (type_name, schema) = (ty.name.clone(), ty.schema.clone());
            let value = ValueRecord { type_name, schema, dialects: None, applies: true, absent, set };
            let content = Content::Value(value);
            self.context.record(record, KeyRecord { name: name.clone().into(), doc: "", content });
            Some((name, ty.read(&entry)?))
        };
        entry.fields().into_iter().filter_map(read).collect()
    }

    /// Reports a key that must not be here.
    pub(super) fn refuse(&mut self, key: &str, message: &str) {
        if let Some(node) = self.table.remove(key) {
            self.context.report(node.origin, self.path.key(key).to_string(), message);
        }
    }

    /// Skips tables, which are not reported as unknown.
    pub(super) fn ignore(&mut self, tables: impl IntoIterator<Item = TableKey>) {
        for TableKey { name, .. } in tables {
            self.table.remove(name);
        }
    }

    /// Skips all keys that were not read.
    pub(super) fn ignore_rest(&mut self) {
        self.table.clear();
    }

    /// Returns whether there are keys left and each of them is a table with an arbitrary name.
    pub(super) fn has_only_tables(&self) -> bool {
        !self.table.is_empty() && self.table.values().all(is_named_table)
    }

    fn report_unknown_keys(self) {
        for (key, node) in &self.table {
            let form = match node.origin {
                Origin::Variable(_) => " (variables are named CARYA_SECTION__KEY)",
                _ => "",
            };
            let end = match self.path.is_root() && key.starts_with("log") {
                true => "the variable CARYA_LOG selects log lines, such as CARYA_LOG=debug".to_owned(),
                false => self.context.recorded(self.record, |keys| suggest(key, keys.iter().map(|key| &*key.name))),
            };
            let path = self.path.key(key).to_string();
            self.context.report(node.origin.clone(), path, format!("unknown key{form}; {end}"));
        }
    }
}

/// Returns whether a node is a table with an arbitrary name. `{ file = "path" }` is not: it stands for text, and under
/// an unknown key it is a typing error.
fn is_named_table(node: &Node) -> bool {
    matches!(node.value, Value::Table(_)) && !node.value.is_file_reference()
}

/// Dialects that have a key.
#[derive(Clone, Copy)]
pub(super) struct Dialects {
    /// The dialects, in words.
    pub(super) name: &'static str,
    /// Whether the dialect of this section is one of them.
    pub(super) include: bool,
    /// Message about the key in a section of another dialect.
    pub(super) refusal: &'static str,
}

/// A described key. One of its methods reads the value, and states the meaning of a key that is not set.
#[must_use]
pub(super) struct Key<'s, 'a, 't, T> {
    section: &'s mut Section<'a>,
    name: &'static str,
    ty: Type<'t, T>,
    doc: &'static str,
    dialects: Option<Dialects>,
}

impl<'a, 't, T> Key<'_, 'a, 't, T> {
    /// Restricts the key to some dialects.
    pub(super) fn only(self, dialects: Dialects) -> Self {
        Self { dialects: Some(dialects), ..self }
    }

    /// Reads the value, or the default.
    ///
    /// # Panics
    ///
    /// If the type rejects the default. The test of the reference page reads all defaults.
    pub(super) fn or(self, default: impl Into<Value>) -> T {
        self.or_default(default.into(), None)
    }

    /// Reads the value, or a default that depends on something else. `text` describes it for users.
    ///
    /// # Panics
    ///
    /// As [`Key::or`].
    pub(super) fn or_computed(self, default: impl Into<Value>, text: &'static str) -> T {
        self.or_default(default.into(), Some(text))
    }

    fn or_default(self, value: Value, text: Option<&'static str>) -> T {
        let (context, path) = (self.section.context, self.section.path.key(self.name));
        let default = Entry { context, path, node: Node { origin: Origin::File, value } };
        let toml = written(&default.node, self.ty.is_text, None, context.env);
        let (ty, entry) = self.take(Absent::Default { toml, text });
        let value = entry.and_then(|entry| ty.read(&entry)).or_else(|| ty.read(&default));
        value.unwrap_or_else(|| panic!("the default of {} is not valid", default.path))
    }

    /// Reads the value. Returns `None` if it is absent or not valid. `meaning` describes its absence for users.
    pub(super) fn or_none(self, meaning: &'static str) -> Option<T> {
        let (ty, entry) = self.take(Absent::Unset { meaning });
        ty.read(&entry?)
    }

    /// Reads this key and skips all others of the section, for a caller that needs no other.
    pub(super) fn alone(self) -> Option<T> {
        self.section.table.retain(|key, _| key == self.name);
        self.or_none("")
    }

    /// Reads the value of a required key. If it is missing or not valid, this reports a problem and returns `None`.
    /// The reader then continues with any value, to find further problems, and no caller gets that value.
    pub(super) fn required(self) -> Option<T> {
        if !self.section.is_set(self.name) {
            self.section.report(self.name, "is missing");
        }
        let (ty, entry) = self.take(Absent::Required);
        ty.read(&entry?)
    }

    /// Reads the value of a key that is required if `other` is set.
    pub(super) fn required_with(self, other: &'static str) -> Option<T> {
        if self.section.is_set(other) && !self.section.is_set(self.name) {
            self.section.report(self.name, format!("is missing; `{other}` requires it"));
        }
        let (ty, entry) = self.take(Absent::UnsetWithout { other });
        ty.read(&entry?)
    }

    /// Records the key, and takes its entry.
    fn take(self, absent: Absent) -> (Type<'t, T>, Option<Entry<'a>>) {
        let Self { section, name, ty, doc, dialects } = self;
        if let Some(Dialects { include: false, refusal, .. }) = dialects {
            section.refuse(name, refusal);
        }
        let node = section.table.remove(name);
        let entry = node.map(|node| Entry { context: section.context, path: section.path.key(name), node });
        let value = ValueRecord {
            type_name: ty.name.clone(),
            schema: ty.schema.clone(),
            dialects: dialects.map(|dialects| dialects.name),
            applies: dialects.is_none_or(|dialects| dialects.include),
            absent,
            set: entry.as_ref().map(|entry| set(entry, &ty)),
        };
        section.context.record(section.record, KeyRecord { name: name.into(), doc, content: Content::Value(value) });
        (ty, entry)
    }
}

impl<T> Key<'_, '_, '_, Vec<T>> {
    /// Reads the list, or returns an empty one.
    pub(super) fn or_empty(self) -> Vec<T> {
        self.or(Value::Array(Vec::new()))
    }
}

/// Returns the record of a value that is set.
fn set<T>(entry: &Entry<'_>, ty: &Type<'_, T>) -> Set {
    let toml = written(&entry.node, ty.is_text, ty.mask, entry.context.env);
    Set { origin: entry.node.origin.clone(), toml }
}
