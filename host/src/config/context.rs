//! State that all parts of one reading share: the file's place, the environment, and the problems and records so far.
//! Resolves references in values, without knowing the keys.

use std::{cell::RefCell, fs, path::Path};

use super::{
    env::{self, Environment},
    path::KeyPath,
    problem::{Origin, Place, Problem, Problems},
    record::{KeyRecord, Record},
    tree::{Node, Value},
};

/// State that all sections of one reading share.
pub(super) struct Context<'a> {
    pub(super) file: &'a Path,
    /// Base of the paths in the file.
    pub(super) folder: &'a Path,
    /// Base of the paths of SQLite files and secrets.
    pub(super) home: &'a Path,
    pub(super) env: &'a Environment,
    /// Whether the format is described. Sections that are not in the file are read then too, each once.
    pub(super) describes: bool,
    problems: RefCell<Vec<Problem>>,
    records: RefCell<Vec<Record>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &'a Path, env: &'a Environment) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let (problems, records) = Default::default();
        Self { file, folder, home: folder, env, describes: false, problems, records }
    }

    /// Describes the format.
    pub(super) fn describing(self) -> Self {
        Self { describes: true, ..self }
    }

    /// Changes the base of the paths of SQLite files and secrets.
    pub(super) fn at(self, home: &'a Path) -> Self {
        Self { home, ..self }
    }

    pub(super) fn report(&self, origin: Origin, key: impl Into<String>, message: impl Into<String>) {
        let place = Place { file: self.file.to_owned(), origin, key: key.into() };
        self.problems.borrow_mut().push(place.problem(message));
    }

    /// Adds the record of a table, and returns its index.
    pub(super) fn open(&self, path: KeyPath, origin: Origin) -> usize {
        let mut records = self.records.borrow_mut();
        records.push(Record { path, origin, keys: Vec::new() });
        records.len() - 1
    }

    /// Adds a key to the record of a table.
    pub(super) fn record(&self, table: usize, key: KeyRecord) {
        self.records.borrow_mut()[table].keys.push(key);
    }

    /// Calls `look` with the keys of a table that were read so far.
    pub(super) fn recorded<T>(&self, table: usize, look: impl FnOnce(&[KeyRecord]) -> T) -> T {
        look(&self.records.borrow()[table].keys)
    }

    /// Calls `look` with the records of all tables that were opened so far.
    pub(super) fn all_records<T>(&self, look: impl FnOnce(&[Record]) -> T) -> T {
        look(&self.records.borrow())
    }

    /// Returns all records, in the order in which the tables were opened.
    pub(super) fn into_records(self) -> Vec<Record> {
        self.records.into_inner()
    }

    /// Returns the value that was read with all records, or the problems if there are any.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<(T, Vec<Record>), Problems> {
        let problems = self.problems.into_inner();
        match read {
            Some(value) if problems.is_empty() => Ok((value, self.records.into_inner())),
            _ => Err(Problems::new(problems)),
        }
    }

    /// Resolves the references in a value: `${NAME}` in text, and `{ file = "path" }` in place of text. Reports each
    /// variable and file that is missing.
    pub(super) fn resolve(&self, path: &KeyPath, node: &Node) -> Option<Node> {
        let value = match &node.value {
            Value::Text(text) if text.contains("${") => env::expand(text, self.env).map(Value::Foreign),
            Value::Table(table) if node.value.is_file_reference() => {
                let file = self.resolve(path, &table["file"])?;
                self.secret(&file.value).map(Value::Foreign)
            }
            // Resolve all items before the first failure ends this, so that each missing reference is reported.
            Value::Array(items) => {
                let item = |(index, item)| self.resolve(&path.index(index), item);
                let items: Vec<_> = items.iter().enumerate().map(item).collect();
                Ok(Value::Array(items.into_iter().collect::<Option<_>>()?))
            }
            Value::Table(table) => {
                let field = |(name, node): (&String, _)| {
                    let node = self.resolve(&path.name(name), node)?;
                    Some((name.clone(), node))
                };
                let fields: Vec<_> = table.iter().map(field).collect();
                Ok(Value::Table(fields.into_iter().collect::<Option<_>>()?))
            }
            other => Ok(other.clone()),
        };
        let origin = node.origin.clone();
        match value {
            Ok(value) => Some(Node { origin, value }),
            Err(message) => {
                self.report(origin, path.to_string(), message);
                None
            }
        }
    }

    /// Reads the text of a file, without a newline at its end, which editors and `echo` add.
    fn secret(&self, path: &Value) -> Result<String, String> {
        let path = path.as_text().ok_or("has a `file` that is not text; write its path in quotes")?;
        let path = self.home.join(path);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read the file {}: {error}", path.display()))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}
