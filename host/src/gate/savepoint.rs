//! Statements about savepoints. The host carries them out itself, and sends savepoints with names of its own to the
//! engine.

use super::{
    lexer::{Lexer, Shape, Token},
    syntax::Syntax,
};
use crate::config::Dialect;

/// A statement about a savepoint. Names are equal if they identify the same savepoint: without quotes, and in lower
/// case unless they are quoted on PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SavepointStatement {
    /// `SAVEPOINT name`
    Open(Box<str>),
    /// `RELEASE [SAVEPOINT] name`
    Release(Box<str>),
    /// `ROLLBACK [WORK | TRANSACTION] TO [SAVEPOINT] name`
    RollbackTo(Box<str>),
}

impl SavepointStatement {
    /// Returns the statement in `sql`, or `None` if `sql` is any other statement.
    pub(crate) fn parse(dialect: Dialect, sql: &str) -> Option<Self> {
        let mut words = Words { lexer: Lexer::new(Syntax::of(dialect), sql), sql, dialect };
        let first = words.lexer.next().ok()??;
        let found = if words.is_keyword(&first, "SAVEPOINT") {
            let name = words.next()?;
            Self::Open(words.name(name)?)
        } else if words.is_keyword(&first, "RELEASE") {
            Self::Release(words.name_of_open()?)
        } else if words.is_keyword(&first, "ROLLBACK") {
            let mut next = words.next()?;
            if words.is_keyword(&next, "WORK") || words.is_keyword(&next, "TRANSACTION") {
                next = words.next()?;
            }
            words.is_keyword(&next, "TO").then_some(())?;
            Self::RollbackTo(words.name_of_open()?)
        } else {
            return None;
        };
        words.is_at_end().then_some(found)
    }
}

struct Words<'a> {
    lexer: Lexer<'a>,
    sql: &'a str,
    dialect: Dialect,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Token> {
        self.lexer.next().ok()?
    }

    fn is_keyword(&self, token: &Token, keyword: &str) -> bool {
        token.shape == Shape::Word && self.sql[token.range.clone()].eq_ignore_ascii_case(keyword)
    }

    /// Reads `[SAVEPOINT] name`.
    fn name_of_open(&mut self) -> Option<Box<str>> {
        let next = self.next()?;
        let name = if self.is_keyword(&next, "SAVEPOINT") { self.next()? } else { next };
        self.name(name)
    }

    fn name(&self, token: Token) -> Option<Box<str>> {
        let text = &self.sql[token.range];
        let name = if token.shape == Shape::Word {
            text.to_ascii_lowercase()
        } else if token.shape == Shape::QuotedName {
            let (quote, inside) = (&text[..1], &text[1..text.len() - 1]);
            let name = inside.replace(&quote.repeat(2), quote);
            match self.dialect {
                Dialect::Postgres => name,
                Dialect::Sqlite | Dialect::MySql => name.to_ascii_lowercase(),
            }
        } else {
            return None;
        };
        Some(name.into())
    }

    fn is_at_end(&mut self) -> bool {
        loop {
            match self.lexer.next() {
                // The lexer ends at a NUL byte, which the gate refuses.
                Ok(None) => return !self.sql.as_bytes().contains(&0),
                Ok(Some(Token { shape: Shape::Semicolon, .. })) => {}
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SavepointStatement::*, *};

    #[test]
    fn recognizes_statements_about_savepoints() {
        use Dialect::{MySql, Postgres, Sqlite};
        let table = [
            (Sqlite, "SAVEPOINT a", Some(Open("a".into()))),
            (Sqlite, " /* x */ savepoint A1 ; -- y", Some(Open("a1".into()))),
            (Postgres, "SAVEPOINT \"A b\"\"c\"", Some(Open("A b\"c".into()))),
            (MySql, "SAVEPOINT `A``b`", Some(Open("a`b".into()))),
            (Sqlite, "SAVEPOINT [A]", Some(Open("a".into()))),
            (Postgres, "SAVEPOINT savepoint", Some(Open("savepoint".into()))),
            (Postgres, "RELEASE a", Some(Release("a".into()))),
            (MySql, "release savepoint a", Some(Release("a".into()))),
            (MySql, "ROLLBACK TO a", Some(RollbackTo("a".into()))),
            (Postgres, "ROLLBACK WORK TO SAVEPOINT a", Some(RollbackTo("a".into()))),
            (Sqlite, "rollback transaction to savepoint a", Some(RollbackTo("a".into()))),
            (Postgres, "ROLLBACK", None),
            (Postgres, "ROLLBACK WORK", None),
            (Postgres, "ROLLBACK AND CHAIN", None),
            (Postgres, "ROLLBACK TO", None),
            (Postgres, "SAVEPOINT", None),
            (Postgres, "SAVEPOINT a b", None),
            (Postgres, "SAVEPOINT 'a'", None),
            (Postgres, "SAVEPOINT a; COMMIT", None),
            (Postgres, "SAVEPOINT a\0", None),
            (Sqlite, "SAVEPOINT ?", None),
            (Sqlite, "SELECT 1", None),
            (Sqlite, "", None),
        ];
        for (dialect, sql, expected) in table {
            assert_eq!(SavepointStatement::parse(dialect, sql), expected, "{dialect:?} {sql}");
        }
    }
}
