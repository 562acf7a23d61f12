//! The table that a statement changes.

use super::pieces::{Piece, pieces};
use crate::config::Dialect;

/// Words that begin a statement, also after a `WITH` clause.
const VERBS: [&str; 5] = ["DELETE", "INSERT", "REPLACE", "SELECT", "UPDATE"];

/// Words between the verb of a statement and its table.
const MODIFIERS: [&str; 8] = ["DELAYED", "FROM", "HIGH_PRIORITY", "IGNORE", "INTO", "LOW_PRIORITY", "ONLY", "QUICK"];

/// The table that a statement names after its verb, and the changes that it can make there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Name of the table or view, without quotes and without its schema.
    pub(crate) table: String,
    pub(crate) inserts: bool,
    pub(crate) updates: bool,
    pub(crate) deletes: bool,
    /// Columns that an `UPDATE` sets. `None` if the statement does not list them plainly.
    pub(crate) sets: Option<Vec<String>>,
}

impl Target {
    /// Returns the target of a statement, or `None` if the statement changes no table or more than one.
    pub(crate) fn of(dialect: Dialect, sql: &str) -> Option<Self> {
        let pieces = pieces(dialect, sql)?;
        let mut depth = 0usize;
        // Words inside parentheses belong to common table expressions and subqueries.
        let outside = pieces.iter().filter(|piece| {
            depth = if piece.opens() { depth + 1 } else { depth };
            let is_outside = depth == 0;
            depth = if piece.closes() { depth.saturating_sub(1) } else { depth };
            is_outside
        });
        let mut rest = outside.skip_while(|piece| !VERBS.iter().any(|verb| piece.is(verb))).peekable();
        let verb = rest.next().filter(|verb| !verb.is("SELECT"))?;
        let mut replaces = verb.is("REPLACE");
        while let Some(piece) = rest.next_if(|piece| piece.is("OR") || MODIFIERS.iter().any(|word| piece.is(word))) {
            if piece.is("OR") {
                replaces |= rest.next()?.is("REPLACE");
            }
        }
        let mut table = rest.next()?.name()?;
        if rest.next_if(|piece| piece.is_sign(".")).is_some() {
            table = rest.next()?.name()?;
        }
        let (table, sets) = (table.to_owned(), None);
        let mut target = Self { table, inserts: false, updates: false, deletes: replaces, sets };
        if verb.is("UPDATE") {
            // `UPDATE a, b SET ..` and `UPDATE a JOIN b .. SET ..` change several tables.
            let alias: Vec<_> = rest.by_ref().take_while(|piece| !piece.is("SET")).collect();
            (target.updates, target.sets) = (true, columns_set(rest));
            let is_alias = match alias[..] {
                [] => true,
                [alias] => alias.name().is_some(),
                [word, _] => word.is("AS"),
                _ => false,
            };
            is_alias.then_some(target)
        } else if verb.is("DELETE") {
            target.deletes = true;
            // `DELETE a FROM a JOIN b ..` has no table directly before `FROM`.
            (!rest.any(|piece| piece.is("FROM") || piece.is_sign(","))).then_some(target)
        } else {
            target.inserts = true;
            // `ON CONFLICT .. DO UPDATE`, `ON DUPLICATE KEY UPDATE`
            target.updates = rest.any(|piece: &Piece<'_>| piece.is("UPDATE"));
            Some(target)
        }
    }
}

/// Returns the columns in the list after `SET`, or `None` if the list has other parts than `column = ..`.
fn columns_set<'a>(mut pieces: impl Iterator<Item = &'a Piece<'a>>) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    loop {
        columns.push(pieces.next()?.name()?.to_owned());
        pieces.next()?.is_sign("=").then_some(())?;
        // The words at the end of the list are reserved.
        let end =
            |piece: &&Piece<'_>| ["FROM", "LIMIT", "ORDER", "RETURNING", "WHERE"].iter().any(|word| piece.is(word));
        match pieces.find(|piece| piece.is_sign(",") || end(piece)) {
            Some(piece) if piece.is_sign(",") => {}
            _ => return Some(columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_table_that_it_changes() {
        use Dialect::{MySql, Postgres, Sqlite};
        // The table; whether rows are inserted, updated and deleted.
        let table = [
            (Sqlite, "INSERT INTO items VALUES (?)", Some(("items", "i"))),
            (Sqlite, "insert or ignore into \"a \"\"b\" values (1)", Some(("a \"b", "i"))),
            (Sqlite, "INSERT OR REPLACE INTO main.items VALUES (1)", Some(("items", "id"))),
            (Sqlite, "REPLACE INTO [a b] VALUES (1)", Some(("a b", "id"))),
            (Sqlite, "INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 1", Some(("a", "iu"))),
            (Sqlite, "WITH x AS (DELETE FROM y) INSERT INTO a SELECT * FROM x", Some(("a", "i"))),
            (Sqlite, "UPDATE OR FAIL items SET a = (SELECT 1 FROM b)", Some(("items", "u"))),
            (Sqlite, "DELETE FROM items WHERE id IN (SELECT a FROM b)", Some(("items", "d"))),
            (Postgres, "UPDATE ONLY \"Items\" AS i SET a = 1", Some(("Items", "u"))),
            (MySql, "INSERT LOW_PRIORITY IGNORE items (a) VALUES (1)", Some(("items", "i"))),
            (MySql, "INSERT INTO d.`a b` SET x = 1 ON DUPLICATE KEY UPDATE x = 2", Some(("a b", "iu"))),
            (MySql, "UPDATE a, b SET a.x = 1", None),
            (MySql, "UPDATE a JOIN b ON a.x = b.x SET a.x = 1", None),
            (MySql, "DELETE a FROM a JOIN b ON a.x = b.x", None),
            (MySql, "UPDATE a i SET i.x = 1", Some(("a", "u"))),
            (MySql, "SELECT REPLACE(a, 'x', 'y') FROM b", None),
            (Sqlite, "INSERT INTO", None),
            (Sqlite, "INSERT INTO 'it", None),
        ];
        for (dialect, sql, expected) in table {
            let found = Target::of(dialect, sql).map(|target| {
                let changes = [(target.inserts, 'i'), (target.updates, 'u'), (target.deletes, 'd')];
                (target.table, changes.into_iter().filter_map(|(does, letter)| does.then_some(letter)).collect())
            });
            assert_eq!(found, expected.map(|(table, changes)| (table.to_owned(), changes.to_owned())), "{sql}");
        }
    }

    #[test]
    fn an_update_lists_its_columns() {
        let table = [
            ("UPDATE t SET a = 1, \"b c\" = (SELECT x = 1, 2) + 1 WHERE d = 1, e = 2", Some(vec!["a", "b c"])),
            ("UPDATE t SET a = 1 RETURNING b, c", Some(vec!["a"])),
            ("UPDATE t SET (a, b) = (1, 2)", None),
            ("INSERT INTO t VALUES (1)", None),
        ];
        for (sql, expected) in table {
            let sets = Target::of(Dialect::Sqlite, sql).and_then(|target| target.sets);
            assert_eq!(sets, expected.map(|columns| columns.into_iter().map(str::to_owned).collect()), "{sql}");
        }
    }
}
