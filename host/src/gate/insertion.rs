//! The values of an `INSERT` of one row.

use super::pieces::{Piece, group, pieces, split};
use crate::config::Dialect;

/// An `INSERT .. VALUES (..)` of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Insertion {
    /// Columns in the order of the values. `None` if the statement does not list them.
    pub(crate) columns: Option<Vec<String>>,
    /// SQL of each value, with the number of each parameter. `None` for a value that is neither a parameter nor a
    /// constant, so that no code of a guest is part of it.
    pub(crate) values: Vec<Option<String>>,
}

impl Insertion {
    /// Returns the values in a statement, or `None` if the statement is not an `INSERT` of one row.
    pub(crate) fn parse(dialect: Dialect, sql: &str) -> Option<Self> {
        let pieces = pieces(dialect, sql)?;
        pieces.first().filter(|first| first.is("INSERT"))?;
        let (before, after) = pieces.split_at(pieces.iter().position(|piece| piece.is("VALUES"))?);
        let columns = match before.last()?.closes() {
            true => {
                let list = &before[before.iter().rposition(Piece::opens)? + 1..before.len() - 1];
                Some(list.split(|piece| piece.is_sign(",")).map(column).collect::<Option<_>>()?)
            }
            false => None,
        };
        let (row, rest) = group(after.get(1..)?)?;
        let ends = rest.first().is_none_or(|next| next.is("ON") || next.is("RETURNING"));
        ends.then(|| Self { columns, values: split(row).map(|value| value_of(sql, value)).collect() })
    }
}

fn column(pieces: &[Piece<'_>]) -> Option<String> {
    match pieces {
        [name] => name.name().map(str::to_owned),
        _ => None,
    }
}

fn value_of(sql: &str, pieces: &[Piece<'_>]) -> Option<String> {
    let constant = |piece: &Piece<'_>| piece.is_constant().then(|| &sql[piece.range.clone()]);
    match pieces {
        [piece] if piece.is("NULL") => Some("NULL".to_owned()),
        [Piece { parameter: Some(number), .. }] => Some(format!("?{number}")),
        [piece] => constant(piece).map(str::to_owned),
        [sign, piece] if sign.is_sign("-") => constant(piece).map(|constant| format!("-{constant}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_has_columns_and_values() {
        let table = [
            ("INSERT INTO t VALUES (1)", Some((None, vec![Some("1")]))),
            (
                "INSERT OR IGNORE INTO \"t\" (a, \"b c\", [d]) VALUES (?, -2, 'it''s') RETURNING a",
                Some((Some(vec!["a", "b c", "d"]), vec![Some("?1"), Some("-2"), Some("'it''s'")])),
            ),
            (
                "INSERT INTO t (a, b, c, d) VALUES (?2, ?, NULL, (SELECT 1, 2)) ON CONFLICT DO NOTHING",
                Some((Some(vec!["a", "b", "c", "d"]), vec![Some("?2"), Some("?3"), Some("NULL"), None])),
            ),
            ("INSERT INTO t VALUES (a, lower('x'), 1 + 2, x'ff')", Some((None, vec![None; 4]))),
            ("INSERT INTO t VALUES (1), (2)", None),
            ("INSERT INTO t SELECT * FROM (VALUES (1))", None),
            ("INSERT INTO t DEFAULT VALUES", None),
            ("WITH x AS (SELECT 1) INSERT INTO t VALUES (1)", None),
            ("UPDATE t SET a = 1", None),
        ];
        for (sql, expected) in table {
            let found = Insertion::parse(Dialect::Sqlite, sql);
            let expected = expected.map(|(columns, values): (Option<Vec<&str>>, Vec<Option<&str>>)| Insertion {
                columns: columns.map(|columns| columns.into_iter().map(str::to_owned).collect()),
                values: values.into_iter().map(|value| value.map(str::to_owned)).collect(),
            });
            assert_eq!(found, expected, "{sql}");
        }
    }
}
