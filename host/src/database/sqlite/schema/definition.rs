//! Reads the constraints in `CREATE TABLE` and `CREATE UNIQUE INDEX`. SQLite has accepted these texts, so this module
//! reads just enough of the grammar to find constraints.

use std::{borrow::Cow, ops::Range};

use super::{Action, ForeignKey, Table};
use crate::{
    config::Dialect,
    database::constraint::Constraint,
    gate::{Piece, columns_in, group, pieces, split},
    sql::error::ViolationKind,
};

/// Words that begin a constraint of a table. They are reserved, so that no column has such a name without quotes.
const TABLE_CONSTRAINTS: [&str; 5] = ["CHECK", "CONSTRAINT", "FOREIGN", "PRIMARY", "UNIQUE"];

/// Reader of the definition of a table.
struct Reader<'a> {
    sql: &'a str,
    pieces: Vec<Piece<'a>>,
    at: usize,
    table: Table,
    /// Names and expressions of the CHECK constraints. Their columns may be defined later.
    checks: Vec<(Option<String>, Range<usize>)>,
}

/// Reads a `CREATE TABLE`. Returns `None` for other texts.
pub(super) fn table(name: &str, sql: &str) -> Option<Table> {
    let pieces = pieces(Dialect::Sqlite, sql)?;
    pieces.get(1).filter(|word| word.is("TABLE"))?;
    let at = pieces.iter().position(Piece::opens)? + 1;
    let table = Table { name: name.to_owned(), ..Table::default() };
    let mut reader = Reader { sql, pieces, at, table, checks: Vec::new() };
    reader.read();
    Some(reader.finish())
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(piece) = self.peek().filter(|piece| !piece.closes()) {
            let is_column = !TABLE_CONSTRAINTS.iter().any(|word| piece.is(word));
            let column = is_column.then(|| self.next_text()).flatten();
            self.table.columns.extend(column.clone());
            self.read_constraints(column);
        }
    }

    /// Reads the constraints up to the next comma. `column` is the column to which they belong.
    fn read_constraints(&mut self, column: Option<String>) {
        let (mut name, mut key) = (None, column.map_or_else(Vec::new, |column| vec![column]));
        loop {
            if self.peek().is_none_or(Piece::closes) || self.skip_sign(",") {
                return;
            } else if self.skip("CONSTRAINT") {
                // As in SQLite, the name holds for all constraints up to the next name.
                name = self.next_text();
            } else if self.skip("CHECK") {
                if let Some(range) = self.group() {
                    self.checks.push((name.clone(), range));
                }
            } else if self.skip("UNIQUE") {
                let columns = self.list().unwrap_or_else(|| key.clone());
                self.push_unique(name.clone(), columns);
            } else if self.skip("PRIMARY") {
                self.skip("KEY");
                let columns = self.list().unwrap_or_else(|| key.clone());
                self.table.key.clone_from(&columns);
                self.push_unique(name.clone(), columns);
            } else if self.skip("FOREIGN") {
                self.skip("KEY");
                key = self.list().unwrap_or_default();
            } else if self.skip("REFERENCES") {
                self.read_reference(name.clone(), key.clone());
            } else if self.skip("CONFLICT") {
                self.table.replaces |= self.skip("REPLACE");
            } else if self.group().is_none() {
                self.at += 1;
            }
        }
    }

    /// Reads a foreign key after `REFERENCES`.
    fn read_reference(&mut self, name: Option<String>, columns: Vec<String>) {
        let Some(parent) = self.next_text() else { return };
        let parent_columns = self.list().unwrap_or_default();
        let (mut on_delete, mut on_update) = (Action::default(), Action::default());
        let mut is_deferred = false;
        loop {
            if self.skip("MATCH") {
                self.at += 1;
            } else if self.peek().is_some_and(|piece| piece.is("ON")) && !self.follows("CONFLICT") {
                self.at += 1;
                let is_delete = self.skip("DELETE");
                let is_update = !is_delete && self.skip("UPDATE");
                let action = self.action();
                on_delete = if is_delete { action } else { on_delete };
                on_update = if is_update { action } else { on_update };
            } else if self.peek().is_some_and(|piece| piece.is("NOT")) && self.follows("DEFERRABLE") {
                self.at += 2;
                self.initially();
            } else if self.skip("DEFERRABLE") {
                is_deferred = self.initially();
            } else {
                break;
            }
        }
        let key = ForeignKey { name, columns, parent, parent_columns, is_deferred, on_delete, on_update };
        self.table.foreign_keys.push(key);
    }

    fn action(&mut self) -> Action {
        if self.skip("SET") {
            let is_null = self.peek().is_some_and(|piece| piece.is("NULL"));
            self.at += 1;
            if is_null { Action::SetNull } else { Action::SetDefault }
        } else if self.skip("CASCADE") {
            Action::Cascade
        } else if self.skip("RESTRICT") {
            Action::Restrict
        } else {
            // `NO ACTION`
            self.at += 2;
            Action::Nothing
        }
    }

    /// Reads `INITIALLY DEFERRED` or `INITIALLY IMMEDIATE`. Returns whether it was the former.
    fn initially(&mut self) -> bool {
        if !self.skip("INITIALLY") {
            return false;
        }
        let is_deferred = self.peek().is_some_and(|piece| piece.is("DEFERRED"));
        self.at += 1;
        is_deferred
    }

    fn push_unique(&mut self, name: Option<String>, columns: Vec<String>) {
        self.table.constraints.push(Constraint { kind: ViolationKind::Unique, label: String::new(), name, columns });
    }

    /// Writes names of columns as they were defined, and adds the labels and the constraints that depend on all
    /// columns.
    fn finish(self) -> Table {
        let Self { sql, mut table, checks, .. } = self;
        let Table { name, columns, constraints, foreign_keys, key, .. } = &mut table;
        let keys = constraints.iter_mut().map(|constraint| &mut constraint.columns);
        let keys = keys.chain(foreign_keys.iter_mut().map(|key| &mut key.columns)).chain([key]);
        for column in keys.flatten() {
            if let Some(defined) = columns.iter().find(|defined| defined.eq_ignore_ascii_case(column)) {
                column.clone_from(defined);
            }
        }
        for unique in &mut *constraints {
            unique.label = qualified(name, &unique.columns);
        }
        for (name, range) in checks {
            let expression = sql[range].trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
            let label = name.clone().unwrap_or_else(|| dequoted(expression).into_owned());
            let columns = columns_in(Dialect::Sqlite, expression, columns);
            constraints.push(Constraint { kind: ViolationKind::Check, label, name, columns });
        }
        for column in columns {
            let (columns, label) = (vec![column.clone()], format!("{name}.{column}"));
            constraints.push(Constraint { kind: ViolationKind::NotNull, label, name: None, columns });
        }
        table
    }

    fn peek(&self) -> Option<&Piece<'_>> {
        self.pieces.get(self.at)
    }

    /// Returns whether the piece after the next one is a word.
    fn follows(&self, word: &str) -> bool {
        self.pieces.get(self.at + 1).is_some_and(|piece| piece.is(word))
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|piece| piece.is(word));
        self.at += usize::from(found);
        found
    }

    fn skip_sign(&mut self, sign: &str) -> bool {
        let found = self.peek().is_some_and(|piece| piece.is_sign(sign));
        self.at += usize::from(found);
        found
    }

    /// Reads a name, which may be a literal.
    fn next_text(&mut self) -> Option<String> {
        let text = self.peek()?.text.clone().into_owned();
        self.at += 1;
        Some(text)
    }

    /// Skips a group in parentheses. Returns the range of the text inside them, or `None` if no group follows.
    fn group(&mut self) -> Option<Range<usize>> {
        let (_, rest) = group(&self.pieces[self.at..])?;
        let start = self.pieces[self.at].range.end;
        self.at = self.pieces.len() - rest.len();
        Some(start..self.pieces[self.at - 1].range.start)
    }

    /// Reads a list of columns in parentheses. Returns `None` if no list follows.
    fn list(&mut self) -> Option<Vec<String>> {
        let (list, rest) = group(&self.pieces[self.at..])?;
        self.at = self.pieces.len() - rest.len();
        Some(split(list).filter_map(|part| part.first().map(|piece| piece.text.clone().into_owned())).collect())
    }
}

/// Reads a `CREATE UNIQUE INDEX` on a table. Returns `None` for other texts.
pub(super) fn unique_index(table: &Table, name: &str, sql: &str) -> Option<Constraint> {
    let pieces = pieces(Dialect::Sqlite, sql)?;
    pieces.get(1).filter(|word| word.is("UNIQUE"))?;
    let (list, _) = group(&pieces[pieces.iter().position(Piece::opens)?..])?;
    let column = |part: &[Piece<'_>]| {
        let (first, rest) = part.split_first()?;
        let is_column = match rest {
            [] => true,
            [first, ..] => ["ASC", "COLLATE", "DESC"].iter().any(|word| first.is(word)),
        };
        let name = first.name().filter(|_| is_column)?;
        table.columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned()
    };
    let parts: Vec<_> = split(list).map(column).collect();
    let is_plain = parts.iter().all(Option::is_some);
    let columns: Vec<_> = parts.into_iter().flatten().collect();
    let label = match is_plain {
        true => qualified(&table.name, &columns),
        false => format!("index '{}'", name.replace('\'', "''")),
    };
    Some(Constraint { kind: ViolationKind::Unique, label, name: Some(name.to_owned()), columns })
}

/// Returns columns as SQLite's messages name them.
fn qualified(table: &str, columns: &[String]) -> String {
    columns.iter().map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

/// Returns an expression as SQLite's messages contain it: if the expression begins with a quote, only the text in these
/// quotes.
fn dequoted(expression: &str) -> Cow<'_, str> {
    let quote = match expression.chars().next() {
        Some('[') => ']',
        Some(quote @ ('"' | '\'' | '`')) => quote,
        _ => return expression.into(),
    };
    let (mut text, mut rest) = (String::new(), expression[1..].chars().peekable());
    while let Some(next) = rest.next() {
        if next == quote && rest.next_if_eq(&quote).is_none() {
            break;
        }
        text.push(next);
    }
    text.into()
}
