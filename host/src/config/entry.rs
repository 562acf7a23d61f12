//! A value of the tree with its path. Reports problems of the value.

use std::collections::BTreeMap;

use super::{
    context::Context,
    path::{KeyPath, is_bare},
    problem::Origin,
    tree::{Node, Value},
};

/// A value with its path.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) path: KeyPath,
    pub(super) node: Node,
}

impl<'a> Entry<'a> {
    pub(super) fn origin(&self) -> &Origin {
        &self.node.origin
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.node.value, Value::Table(_))
    }

    /// Returns whether a table is in the tree only because an environment variable sets a key in it.
    pub(super) fn is_added_by_variable(&self) -> bool {
        self.is_table() && matches!(self.node.origin, Origin::Variable(_))
    }

    pub(super) fn report(&self, message: impl Into<String>) {
        self.context.report(self.node.origin.clone(), self.path.to_string(), message);
    }

    /// Reports a name that TOML requires to be quoted.
    pub(super) fn check_name(&self, name: &str) {
        if !is_bare(name) {
            self.report("is not a name; it may have letters, digits, `-` and `_`");
        }
    }

    pub(super) fn report_no_table(&self) {
        self.report(format!("{} is not a table; write it as [{}]", self.node.value, self.path));
    }

    /// Reads the value as one type. `read` returns the reason for a refusal as a predicate: "is not a duration".
    pub(super) fn parse<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        // Show the value as it is in the file: a resolved reference may be a secret.
        self.parse_secret(|value| read(value).map_err(|wrong| format!("{} {wrong}", self.node.value)))
    }

    /// Reads a value that must not appear in messages.
    pub(super) fn parse_secret<T>(&self, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let node = self.context.resolve(&self.path, &self.node)?;
        read(&node.value).map_err(|message| self.report(message)).ok()
    }

    /// Returns the items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let shown = &self.node.value;
        let hint = match shown {
            Value::Table(_) => format!("[[{}]]", self.path),
            _ => format!("[{shown}]"),
        };
        self.items_or(format!("{shown} is not a list; write it as {hint}"))
    }

    /// Returns the items of a list whose values must not appear in messages.
    pub(super) fn secret_items(&self) -> Vec<Self> {
        self.items_or(r#"is not a list; write it as ["...", "..."]"#.to_owned())
    }

    fn items_or(&self, message: String) -> Vec<Self> {
        let Some(items) = self.node.clone().into_items() else {
            self.report(message);
            return Vec::new();
        };
        let entry = |(index, node)| Self { context: self.context, path: self.path.index(index), node };
        items.into_iter().enumerate().map(entry).collect()
    }

    /// Returns the entries of a table with arbitrary names.
    pub(super) fn fields(self) -> BTreeMap<String, Self> {
        let Value::Table(table) = self.node.value else {
            self.report_no_table();
            return BTreeMap::new();
        };
        let entry = |(name, node): (String, _)| {
            let path = self.path.name(&name);
            (name, Self { context: self.context, path, node })
        };
        table.into_iter().map(entry).collect()
    }
}
