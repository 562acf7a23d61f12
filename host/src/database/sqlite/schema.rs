//! Reads the constraints of all tables from the text of their definitions. SQLite stores this text, and changes it when
//! tables or columns are renamed. No pragma returns the names of constraints.

mod definition;

use std::sync::{Arc, Mutex, PoisonError};

use crate::database::constraint::Constraint;

/// The tables of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
}

/// A table with its constraints. The label of a constraint is the part of SQLite's message after the colon.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// Columns of the primary key.
    pub(super) key: Vec<String>,
    /// All constraints except foreign keys. Each column has a constraint of the kind `NotNull`.
    pub(super) constraints: Vec<Constraint>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) has_triggers: bool,
    /// Whether a constraint has the clause `ON CONFLICT REPLACE`, with which an INSERT deletes rows.
    pub(super) replaces: bool,
}

/// A foreign key. SQLite's messages do not identify foreign keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
    /// Table that the foreign key references.
    pub(super) parent: String,
    /// Columns that the foreign key references. Empty if it references the primary key.
    pub(super) parent_columns: Vec<String>,
    /// Whether the foreign key is checked at COMMIT.
    pub(super) is_deferred: bool,
    pub(super) on_delete: Action,
    pub(super) on_update: Action,
}

/// Action of a foreign key when a referenced row is deleted or updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Action {
    /// `NO ACTION`
    #[default]
    Nothing,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// A row of `sqlite_schema`.
#[derive(Debug)]
pub(super) struct Object {
    /// `table`, `index`, `trigger` or `view`.
    pub(super) kind: String,
    pub(super) name: String,
    /// Name of the table to which the object belongs.
    pub(super) table: String,
    /// Text of the definition.
    pub(super) sql: String,
}

impl Schema {
    /// Reads the rows of `sqlite_schema`. Leaves out definitions that it cannot read, such as those of virtual tables.
    pub(super) fn new(objects: &[Object]) -> Self {
        let of_kind = |kind: &'static str| objects.iter().filter(move |object| object.kind == kind);
        let tables = of_kind("table").filter_map(|object| definition::table(&object.name, &object.sql));
        let mut schema = Self { tables: tables.collect() };
        for index in of_kind("index") {
            if let Some(table) = schema.table_mut(&index.table) {
                let unique = definition::unique_index(table, &index.name, &index.sql);
                table.constraints.extend(unique);
            }
        }
        for trigger in of_kind("trigger") {
            if let Some(table) = schema.table_mut(&trigger.table) {
                table.has_triggers = true;
            }
        }
        schema
    }

    /// Returns the table with a name, in any case.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.name.eq_ignore_ascii_case(name))
    }
}

/// The last schema that was read, for all connections to a file.
#[derive(Debug, Default)]
pub(super) struct LastSchema(Mutex<Option<(i64, Arc<Schema>)>>);

impl LastSchema {
    /// Returns the schema if it has this value of `PRAGMA schema_version`.
    pub(super) fn of_version(&self, version: i64) -> Option<Arc<Schema>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(of, _)| *of == version).map(|(_, schema)| schema.clone())
    }

    /// Stores a schema, and returns it.
    pub(super) fn store(&self, version: i64, schema: Schema) -> Arc<Schema> {
        let schema = Arc::new(schema);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, schema.clone()));
        schema
    }
}

#[cfg(test)]
mod tests;
