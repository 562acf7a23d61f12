//! Tokens with their text, for code that reads names in statements and definitions instead of checking a statement.

use std::{borrow::Cow, ops::Range};

use super::{
    lexer::{Lexer, Shape},
    syntax::Syntax,
};
use crate::config::Dialect;

/// A token of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    shape: Shape,
    /// The text. Names and literals are without quotes. SQLite accepts literals as names in definitions.
    pub(crate) text: Cow<'a, str>,
    /// Byte range in the SQL, including quotes.
    pub(crate) range: Range<usize>,
    /// Number of the parameter, if this is one.
    pub(crate) parameter: Option<usize>,
}

impl Piece<'_> {
    /// Returns whether this is an unquoted word, in any case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.shape == Shape::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns whether this is a sign such as `,`.
    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.shape, Shape::Sign(_)) && self.text == sign
    }

    /// Returns whether this is `(`.
    pub(crate) fn opens(&self) -> bool {
        self.shape == Shape::Open
    }

    /// Returns whether this is `)`.
    pub(crate) fn closes(&self) -> bool {
        self.shape == Shape::Close
    }

    /// Returns whether this is a string literal or a number.
    pub(crate) fn is_constant(&self) -> bool {
        self.shape == Shape::Literal || self.text.starts_with(|first: char| first.is_ascii_digit())
    }

    /// Returns the name if this is an unquoted word or a quoted name.
    pub(crate) fn name(&self) -> Option<&str> {
        matches!(self.shape, Shape::Word | Shape::QuotedName).then_some(&*self.text)
    }
}

/// Returns the tokens of a text. Returns `None` if the lexer refuses the text.
pub(crate) fn pieces(dialect: Dialect, sql: &str) -> Option<Vec<Piece<'_>>> {
    let mut lexer = Lexer::new(Syntax::of(dialect), sql);
    let (mut found, mut highest) = (Vec::new(), 0usize);
    while let Some(token) = lexer.next().ok()? {
        let text = &sql[token.range.clone()];
        let text = if matches!(token.shape, Shape::QuotedName | Shape::Literal) { unquoted(text) } else { text.into() };
        let parameter = if let Shape::Parameter(number) = token.shape {
            Some(number.unwrap_or(highest.saturating_add(1)))
        } else {
            None
        };
        highest = highest.max(parameter.unwrap_or(0));
        found.push(Piece { shape: token.shape, text, range: token.range, parameter });
    }
    Some(found)
}

/// Returns the pieces inside the parentheses at the beginning, and those after them.
pub(crate) fn group<'p, 'a>(pieces: &'p [Piece<'a>]) -> Option<(&'p [Piece<'a>], &'p [Piece<'a>])> {
    pieces.first().filter(|first| first.opens())?;
    let mut depth = 0usize;
    let end = pieces.iter().position(|piece| {
        depth = if piece.opens() { depth + 1 } else { depth };
        depth = if piece.closes() { depth.saturating_sub(1) } else { depth };
        depth == 0
    })?;
    Some((&pieces[1..end], &pieces[end + 1..]))
}

/// Splits a list at its commas, but not at commas inside parentheses.
pub(crate) fn split<'p, 'a>(pieces: &'p [Piece<'a>]) -> impl Iterator<Item = &'p [Piece<'a>]> {
    let mut depth = 0usize;
    pieces.split(move |piece| {
        depth = if piece.opens() { depth + 1 } else { depth };
        depth = if piece.closes() { depth.saturating_sub(1) } else { depth };
        depth == 0 && piece.is_sign(",")
    })
}

/// Returns the columns among `columns` that an expression names, each once, in the order of their first use.
pub(crate) fn columns_in(dialect: Dialect, expression: &str, columns: &[String]) -> Vec<String> {
    let pieces = pieces(dialect, expression).unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        // A name before a parenthesis is a function.
        let Some(name) = piece.name().filter(|_| !pieces.get(at + 1).is_some_and(Piece::opens)) else { continue };
        let column = columns.iter().find(|column| column.eq_ignore_ascii_case(name));
        if let Some(column) = column.filter(|column| !found.contains(column)) {
            found.push(column.clone());
        }
    }
    found
}

/// Returns a name or a literal without its quotes. A text that does not end in a quote is returned unchanged.
fn unquoted(text: &str) -> Cow<'_, str> {
    let inside = |text: &'_ str| text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned();
    match text.as_bytes() {
        [b'[', .., b']'] => inside(text).into(),
        [first @ (b'"' | b'`' | b'\''), .., last] if first == last => {
            let quote = char::from(*first).to_string();
            inside(text).replace(&quote.repeat(2), &quote).into()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_lose_their_quotes() {
        let table = [
            (Dialect::Sqlite, "a \"b\"\"c\" [d e] `f``g` 'h''i'", vec!["a", "b\"c", "d e", "f`g", "h'i"]),
            (Dialect::MySql, "a.\"b\",(`c`)", vec!["a", ".", "b", ",", "(", "c", ")"]),
        ];
        for (dialect, sql, expected) in table {
            let pieces = pieces(dialect, sql).unwrap_or_default();
            assert_eq!(pieces.iter().map(|piece| &*piece.text).collect::<Vec<_>>(), expected, "{sql}");
        }
        assert_eq!(pieces(Dialect::Sqlite, "'not closed"), None);
    }

    #[test]
    fn an_expression_names_columns_in_the_order_of_their_first_use() {
        let columns = ["name", "Size", "length"].map(String::from);
        let table = [
            (Dialect::Sqlite, "size > 0 AND length(name) < size", vec!["Size", "name"]),
            (Dialect::MySql, "octet_length(\"name\") < 10 and `length` > 'size'", vec!["name", "length"]),
            (Dialect::Sqlite, "price > 0 -- size", vec![]),
            (Dialect::Sqlite, "'", vec![]),
        ];
        for (dialect, expression, expected) in table {
            assert_eq!(columns_in(dialect, expression, &columns), expected, "{expression}");
        }
    }
}
