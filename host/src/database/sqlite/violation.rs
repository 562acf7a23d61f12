//! Finds the constraint that a statement violates, by SQLite's message and the schema.

use libsqlite3_sys::*;

use super::schema::{Action, ForeignKey, Schema, Table};
use crate::{
    config::Dialect,
    gate::{Insertion, Target},
    sql::error::{Violation, ViolationKind},
};

/// Message for every violated foreign key.
const FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";

/// Returns the kind of the constraint, or `None` if the error is no violation of a constraint.
pub(super) fn kind(code: i32, message: &str) -> Option<ViolationKind> {
    match code {
        SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID => {
            Some(ViolationKind::Unique)
        }
        SQLITE_CONSTRAINT_FOREIGNKEY => Some(ViolationKind::ForeignKey),
        // `ON DELETE RESTRICT` and `ON UPDATE RESTRICT` are implemented as triggers.
        SQLITE_CONSTRAINT_TRIGGER if message == FOREIGN_KEY => Some(ViolationKind::ForeignKey),
        SQLITE_CONSTRAINT_CHECK => Some(ViolationKind::Check),
        SQLITE_CONSTRAINT_NOTNULL => Some(ViolationKind::NotNull),
        _ => None,
    }
}

/// Work that violated a constraint.
#[derive(Debug)]
pub(super) enum Cause<'a> {
    /// A statement, with the table that it changes, if the statement names it.
    Statement(Option<&'a Target>),
    /// The COMMIT, which checks deferred foreign keys.
    Commit,
}

/// Completes a violation of which only the kind is known. Does nothing if the schema does not show which constraint is
/// violated.
pub(super) fn complete(violation: &mut Violation, message: &str, cause: &Cause<'_>, schema: &Schema) {
    let found = match violation.kind {
        ViolationKind::ForeignKey => foreign_key(cause, schema),
        kind => labelled(kind, message, cause, schema),
    };
    if let Some(found) = found {
        *violation = found;
    }
}

/// Returns the constraint that the message identifies.
fn labelled(kind: ViolationKind, message: &str, cause: &Cause<'_>, schema: &Schema) -> Option<Violation> {
    let label = message.split_once(" constraint failed: ")?.1;
    let matching = |table: &Table| {
        table.constraints.iter().find(|constraint| constraint.kind == kind && constraint.label == label).cloned()
    };
    let violation = |table: &Table| {
        let constraint = matching(table)?;
        let table = Some(table.name.clone());
        Some(Violation { name: constraint.name, table, columns: constraint.columns, ..Violation::new(kind) })
    };
    let target = match cause {
        Cause::Statement(Some(target)) => schema.table(&target.table),
        Cause::Statement(None) | Cause::Commit => None,
    };
    // Triggers change other tables, so a constraint of the target is certain only if no other table has its label.
    let mut all = schema.tables.iter().filter_map(violation);
    match (all.next(), all.next()) {
        (only, None) => only,
        _ => target.filter(|table| !table.has_triggers).and_then(violation),
    }
}

/// Returns the violated foreign key, if only one can be violated.
fn foreign_key(cause: &Cause<'_>, schema: &Schema) -> Option<Violation> {
    let suspects = match cause {
        Cause::Commit => all(schema).filter(|(_, key)| key.is_deferred).collect(),
        Cause::Statement(Some(target)) => suspects(schema, target).unwrap_or_else(|| immediate(schema).collect()),
        Cause::Statement(None) => immediate(schema).collect(),
    };
    let [suspect]: [_; 1] = suspects.try_into().ok()?;
    Some(violation_of(suspect))
}

/// Query that tests which foreign keys an INSERT of one row violates.
#[derive(Debug)]
pub(super) struct Test<'a> {
    table: &'a Table,
    keys: Vec<&'a ForeignKey>,
    /// Returns a number for each of `keys`: 1 if the row violates the foreign key, 0 if not, and NULL if that is
    /// unknown. Uses the parameters of the INSERT.
    pub(super) sql: String,
}

impl<'a> Test<'a> {
    /// Returns the query for a statement. Returns `None` if the statement may violate a foreign key by other changes
    /// than one new row.
    pub(super) fn new(schema: &'a Schema, target: &Target, sql: &str) -> Option<Self> {
        let table = schema.table(&target.table).filter(|table| !table.has_triggers && !table.replaces)?;
        (target.inserts && !target.updates && !target.deletes).then_some(())?;
        let Insertion { columns, values } = Insertion::parse(Dialect::Sqlite, sql)?;
        let columns = columns.as_ref().unwrap_or(&table.columns);
        let value = |column: &String| {
            let at = columns.iter().position(|other| other.eq_ignore_ascii_case(column))?;
            values.get(at)?.clone()
        };
        let test = |key: &&ForeignKey| {
            // A row may refer to itself, so the query would have to run after the INSERT.
            let parent = schema.table(&key.parent).filter(|parent| parent.name != table.name)?;
            let parent_columns = if key.parent_columns.is_empty() { &parent.key } else { &key.parent_columns };
            let values = key.columns.iter().map(value).collect::<Option<Vec<_>>>()?;
            (values.len() == parent_columns.len()).then_some(())?;
            let given: String = values.iter().map(|value| format!("{value} IS NOT NULL AND ")).collect();
            let equal =
                parent_columns.iter().zip(&values).map(|(column, value)| format!("{} = {value}", quoted(column)));
            let (parent, equal) = (quoted(&parent.name), equal.collect::<Vec<_>>().join(" AND "));
            Some(format!("{given}NOT EXISTS (SELECT 1 FROM {parent} WHERE {equal})"))
        };
        let keys: Vec<_> = table.foreign_keys.iter().filter(|key| !key.is_deferred).collect();
        (!keys.is_empty()).then_some(())?;
        let tests: Vec<_> = keys.iter().map(|key| test(key).unwrap_or_else(|| "NULL".to_owned())).collect();
        Some(Self { table, keys, sql: format!("SELECT {}", tests.join(", ")) })
    }

    /// Returns the violated foreign key by the row that the query returned. If no foreign key is certainly violated, it
    /// is the only one that may be.
    pub(super) fn conclude(self, row: &[Option<bool>]) -> Option<Violation> {
        let with = |wanted: Option<bool>| {
            self.keys.iter().zip(row).filter(move |(_, is_violated)| **is_violated == wanted).map(|(key, _)| *key)
        };
        let mut unknown = with(None);
        let key = with(Some(true)).next().or_else(|| unknown.next().filter(|_| unknown.next().is_none()))?;
        Some(violation_of((self.table, key)))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn violation_of((table, key): Suspect<'_>) -> Violation {
    let (name, table, columns) = (key.name.clone(), Some(table.name.clone()), key.columns.clone());
    Violation { name, table, columns, ..Violation::new(ViolationKind::ForeignKey) }
}

/// A foreign key and its table.
type Suspect<'a> = (&'a Table, &'a ForeignKey);

fn all(schema: &Schema) -> impl Iterator<Item = Suspect<'_>> {
    schema.tables.iter().flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
}

/// Returns the foreign keys that can fail before the COMMIT.
fn immediate(schema: &Schema) -> impl Iterator<Item = Suspect<'_>> {
    let restricts = |key: &ForeignKey| key.on_delete == Action::Restrict || key.on_update == Action::Restrict;
    all(schema).filter(move |(_, key)| !key.is_deferred || restricts(key))
}

/// A change of a table by a statement, or by an action of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change<'a> {
    table: &'a str,
    inserts: bool,
    deletes: bool,
    updates: bool,
    /// Columns that are updated. `None` if they are unknown.
    sets: Option<&'a [String]>,
    /// Whether the columns become NULL, which satisfies every foreign key of the table.
    to_null: bool,
}

impl Change<'_> {
    /// Returns whether the change updates one of these columns.
    fn updates_any(&self, columns: &[String]) -> bool {
        let is_set =
            |column: &String| self.sets.is_none_or(|sets| sets.iter().any(|set| set.eq_ignore_ascii_case(column)));
        self.updates && columns.iter().any(is_set)
    }
}

/// Returns the foreign keys that a statement can violate, also by actions of foreign keys. Returns `None` if triggers or
/// views make this uncertain.
fn suspects<'a>(schema: &'a Schema, target: &'a Target) -> Option<Vec<Suspect<'a>>> {
    let Target { table, inserts, updates, deletes, sets } = target;
    let (inserts, updates, deletes) = (*inserts, *updates, *deletes);
    let mut changes = vec![Change { table, inserts, updates, deletes, sets: sets.as_deref(), to_null: false }];
    let mut found: Vec<Suspect<'a>> = Vec::new();
    let mut done = 0;
    // Actions of foreign keys append further changes.
    while let Some(mut change) = changes.get(done).cloned() {
        done += 1;
        let table = schema.table(change.table).filter(|table| !table.has_triggers)?;
        change.deletes |= table.replaces && (change.inserts || change.updates);
        let is_changed = |key: &&ForeignKey| change.inserts || !change.to_null && change.updates_any(&key.columns);
        let own = table.foreign_keys.iter().filter(is_changed);
        found.extend(own.filter(|key| !key.is_deferred).map(|key| (table, key)));
        for (child, key) in all(schema).filter(|(_, key)| key.parent.eq_ignore_ascii_case(&table.name)) {
            let parent_columns = if key.parent_columns.is_empty() { &table.key } else { &key.parent_columns };
            let deleted = change.deletes.then_some((key.on_delete, true));
            let updated = change.updates_any(parent_columns).then_some((key.on_update, false));
            for (action, is_delete) in deleted.into_iter().chain(updated) {
                let (table, sets) = (&*child.name, Some(&*key.columns));
                let update = Change { table, inserts: false, deletes: false, updates: true, sets, to_null: false };
                let next = match action {
                    Action::Nothing if key.is_deferred => continue,
                    Action::Nothing | Action::Restrict => {
                        found.push((child, key));
                        continue;
                    }
                    Action::Cascade if is_delete => Change { deletes: true, updates: false, ..update },
                    Action::Cascade | Action::SetDefault => update,
                    Action::SetNull => Change { to_null: true, ..update },
                };
                if !changes.contains(&next) {
                    changes.push(next);
                }
            }
        }
    }
    found.sort_by_key(|(_, key)| std::ptr::from_ref(*key));
    found.dedup_by_key(|(_, key)| std::ptr::from_ref(*key));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sqlite::schema::Object;

    fn schema(tables: &[&str]) -> Schema {
        let object = |sql: &&str| {
            let mut words = sql.split_whitespace();
            let (kind, name) = (words.nth(1).unwrap_or_default().to_lowercase(), words.next().unwrap_or_default());
            let table = if kind == "trigger" { sql.rsplit_once(" ON ").map_or("", |(_, table)| table) } else { name };
            Object { kind, name: name.to_owned(), table: table.to_owned(), sql: (*sql).to_owned() }
        };
        Schema::new(&tables.iter().map(object).collect::<Vec<_>>())
    }

    /// Returns the name, the table and the columns of the violation, each in one word.
    fn found(schema: &Schema, kind: ViolationKind, message: &str, sql: &str) -> String {
        let mut violation = Violation::new(kind);
        let target = Target::of(Dialect::Sqlite, sql);
        let cause = if sql == "COMMIT" { Cause::Commit } else { Cause::Statement(target.as_ref()) };
        complete(&mut violation, message, &cause, schema);
        assert_eq!(violation.kind, kind);
        let columns = violation.columns.join(",");
        format!("{} {} {columns}", violation.name.as_deref().unwrap_or("-"), violation.table.as_deref().unwrap_or("-"))
    }

    #[test]
    fn messages_identify_constraints() {
        use ViolationKind::{Check, NotNull, Unique};
        let schema = schema(&[
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x CHECK (x > 0), y, CONSTRAINT u UNIQUE (x, y))",
            "CREATE TABLE b (id INTEGER PRIMARY KEY, x CHECK (x > 0), CONSTRAINT c CHECK (x < id))",
            "CREATE TABLE c (x CHECK (x > 0))",
            "CREATE TRIGGER t AFTER INSERT ON c",
        ]);
        let table = [
            (Unique, "UNIQUE constraint failed: a.x, a.y", "INSERT INTO a VALUES (1)", "u a x,y"),
            (Unique, "UNIQUE constraint failed: a.id", "INSERT INTO b VALUES (1)", "- a id"),
            (Unique, "UNIQUE constraint failed: a.y", "INSERT INTO a VALUES (1)", "- - "),
            (NotNull, "NOT NULL constraint failed: b.x", "", "- b x"),
            (Check, "CHECK constraint failed: c", "INSERT INTO a VALUES (1)", "c b x,id"),
            (Check, "CHECK constraint failed: x > 0", "INSERT INTO b VALUES (1)", "- b x"),
            (Check, "CHECK constraint failed: x > 0", "INSERT INTO c VALUES (1)", "- - "),
            (Check, "CHECK constraint failed: x > 0", "", "- - "),
            (Check, "constraint failed", "", "- - "),
        ];
        for (kind, message, sql, expected) in table {
            assert_eq!(found(&schema, kind, message, sql), expected, "{message} {sql}");
        }
    }

    #[test]
    fn statements_identify_foreign_keys() {
        let tables = [
            "CREATE TABLE p (id INTEGER PRIMARY KEY, x UNIQUE)",
            "CREATE TABLE q (id INTEGER PRIMARY KEY)",
            "CREATE TABLE one (id INTEGER PRIMARY KEY, p CONSTRAINT f REFERENCES p (ID), z)",
            "CREATE TABLE two (p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, o REFERENCES one ON DELETE SET NULL)",
            "CREATE TABLE later (q REFERENCES q DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TABLE strict (q REFERENCES q ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED)",
        ];
        let schema = schema(&tables);
        let table = [
            ("INSERT INTO one VALUES (1)", "f one p"),
            ("INSERT OR REPLACE INTO one VALUES (1)", "f one p"),
            ("INSERT INTO two VALUES (1, 2)", "- - "),
            ("UPDATE two SET o = 1", "- two o"),
            ("UPDATE two SET (o) = (1)", "- - "),
            ("UPDATE one SET P = 1, z = 2 WHERE id = (SELECT 1)", "f one p"),
            ("UPDATE one SET id = 1", "- two o"),
            ("UPDATE one SET z = 1", "- - "),
            ("DELETE FROM p", "f one p"),
            ("UPDATE p SET x = 1", "- - "),
            ("DELETE FROM q WHERE id = 1", "- strict q"),
            ("UPDATE q SET id = 1", "- - "),
            ("INSERT INTO later VALUES (1)", "- - "),
            ("DELETE FROM no_such", "- - "),
            ("COMMIT", "- - "),
        ];
        for (sql, expected) in table {
            assert_eq!(found(&schema, ViolationKind::ForeignKey, FOREIGN_KEY, sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_row_of_an_insert_is_tested() {
        let tables = [
            "CREATE TABLE p (id INTEGER PRIMARY KEY)",
            "CREATE TABLE q (x, y, PRIMARY KEY (x, y))",
            "CREATE TABLE c (p REFERENCES p, a, b, self REFERENCES c (p), \
                CONSTRAINT two FOREIGN KEY (b, a) REFERENCES q, late REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        ];
        let schema = schema(&tables);
        let p =
            |value: &str| format!("{value} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM \"p\" WHERE \"id\" = {value})");
        let q = |b: &str, a: &str| {
            format!(
                "{b} IS NOT NULL AND {a} IS NOT NULL AND \
                NOT EXISTS (SELECT 1 FROM \"q\" WHERE \"x\" = {b} AND \"y\" = {a})"
            )
        };
        let table = [
            ("INSERT INTO c VALUES (?, 1, ?, 'x')", Some(format!("{}, NULL, {}", p("?1"), q("?2", "1")))),
            ("INSERT INTO c (b, A, p) VALUES (?2, -1, ?1)", Some(format!("{}, NULL, {}", p("?1"), q("?2", "-1")))),
            ("INSERT INTO c (p, a) VALUES (?, lower(?))", Some(format!("{}, NULL, NULL", p("?1")))),
            ("INSERT INTO c VALUES (?, 1, 2, 3), (1, 2, 3, 4)", None),
            ("INSERT OR REPLACE INTO c VALUES (1, 2, 3, 4)", None),
            ("UPDATE c SET p = 1", None),
        ];
        for (sql, expected) in table {
            let target = Target::of(Dialect::Sqlite, sql).expect("a target");
            let test = Test::new(&schema, &target, sql);
            assert_eq!(test.map(|test| test.sql), expected.map(|list| format!("SELECT {list}")), "{sql}");
        }
        let (yes, no) = (Some(true), Some(false));
        let table = [
            ([yes, None, no], Some("p")),
            ([no, None, yes], Some("b a")),
            ([no, None, no], Some("self")),
            ([no, None, None], None),
            ([no, no, no], None),
        ];
        for (row, expected) in table {
            let sql = "INSERT INTO c VALUES (1, 2, 3, 4)";
            let test = Target::of(Dialect::Sqlite, sql).and_then(|target| Test::new(&schema, &target, sql));
            let found = test.and_then(|test| test.conclude(&row)).map(|found| found.columns.join(" "));
            assert_eq!(found.as_deref(), expected, "{row:?}");
        }
    }

    #[test]
    fn the_only_foreign_key_is_violated_in_any_case() {
        let tables = ["CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p REFERENCES p)"];
        let trigger = "CREATE TRIGGER t AFTER INSERT ON p";
        let deferred = "CREATE TABLE d (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)";
        let schema = schema(&[tables[0], tables[1], trigger, deferred]);
        for (sql, expected) in [("INSERT INTO p VALUES (1)", "- c p"), ("SELECT 1", "- c p"), ("COMMIT", "- d p")] {
            assert_eq!(found(&schema, ViolationKind::ForeignKey, FOREIGN_KEY, sql), expected, "{sql}");
        }
    }

    #[test]
    fn codes_have_kinds() {
        use ViolationKind::{Check, ForeignKey, NotNull, Unique};
        let table = [
            (2067, "", Some(Unique)),
            (1555, "", Some(Unique)),
            (2579, "", Some(Unique)),
            (787, "", Some(ForeignKey)),
            (1811, FOREIGN_KEY, Some(ForeignKey)),
            (1811, "a message of a trigger", None),
            (275, "", Some(Check)),
            (1299, "", Some(NotNull)),
            (19, "constraint failed", None),
            (3091, "", None),
            (1, "", None),
        ];
        for (code, message, expected) in table {
            assert_eq!(kind(code, message), expected, "{code}");
        }
    }
}
