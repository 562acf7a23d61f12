//! The gate: checks every statement of a guest before the host sends it. The gate parses just enough SQL to classify a
//! statement, to count statements and parameters, and to find names that guests must not use. It refuses statements,
//! but never rewrites them. It need not understand SQL completely, because the engine also restricts each statement: by
//! a login with few rights, a read-only transaction or SQLite's authorizer. But an engine cannot deny a login some
//! functions, such as MariaDB's built-in functions. Only the gate refuses these functions.
//!
//! A `?` outside of string literals, quoted names and comments is always a parameter. PostgreSQL also has operators
//! with that character, which guests cannot use. In place of the operators `?`, `?|` and `?&` on `jsonb`, guests call
//! `jsonb_exists`, `jsonb_exists_any` and `jsonb_exists_all`; in place of `@?` they call `jsonb_path_exists`.
//!
//! [`Rules::check`] is the only entry point for statements of guests. The lexical differences between dialects are data
//! in `syntax`. Every other difference is a `match` that names all dialects, so that the compiler reports each `match`
//! to which a new dialect must be added.

#![warn(clippy::wildcard_enum_match_arm)]

mod advice;
mod insertion;
mod lexer;
mod pieces;
mod place;
mod rules;
mod savepoint;
#[expect(clippy::wildcard_enum_match_arm, reason = "it reads SQLite only, and ignores most tokens")]
mod search;
mod syntax;
mod tables;
mod target;
mod words;

use std::ops::Range;

pub(crate) use self::rules::HARMLESS_EXTENSIONS;
pub use self::rules::{ExtensionFunction, Extensions, OwnDatabase, Rules, Verb};
pub(crate) use self::{
    insertion::Insertion,
    pieces::{Piece, columns_in, group, pieces, split},
    savepoint::SavepointStatement,
    target::Target,
};
use self::{
    lexer::{Lexer, Shape},
    place::Places,
    rules::forbidden,
    syntax::Syntax,
};
use crate::{
    config::{Access, Dialect},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Maximum length of a statement, in bytes.
pub const MAX_SQL_BYTES: usize = 32 * 1024;
/// Maximum number of parameters of a statement.
pub const MAX_PARAMS: usize = 1000;
/// Maximum size of all parameters of a statement together, in bytes.
pub const MAX_PARAM_BYTES: usize = 4 * 1024 * 1024;

/// Position of a parameter in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// Byte range of the placeholder in the statement.
    pub range: Range<usize>,
    /// Number of the parameter, from 1. `?7` and `$7` have the number 7. A `?` has the highest number so far plus 1.
    pub number: usize,
}

/// Result of [`Rules::check`] for a statement that guests may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Class of the statement.
    pub verb: Verb,
    /// Placeholders, in the order of the text.
    pub placeholders: Vec<Placeholder>,
    /// Total length of the string literals, in bytes.
    pub literal_bytes: usize,
}

impl Rules {
    /// Checks whether a guest may send a statement with these parameters through a handle with this access, and
    /// classifies it.
    ///
    /// # Errors
    ///
    /// - [`Kind::Limit`] for statements and parameters that are too large,
    /// - [`Kind::ReadOnly`] for changes and locks through a reader,
    /// - [`Kind::Forbidden`] for statements that guests must not send,
    /// - [`Kind::Other`] for a wrong number of parameters, and for placeholders with a name or the number 0.
    pub fn check(&self, sql: &str, params: &[Value], access: Access) -> Result<Checked, DbError> {
        check_sizes(sql, params)?;
        let checked = scan(self, sql, params.len(), access)?;
        let expected = checked.placeholders.iter().map(|placeholder| placeholder.number).max().unwrap_or(0);
        // Without this check, SQLite would use NULL for a missing parameter, and the driver of a server may wait
        // forever for a response.
        if params.len() != expected {
            return Err(self.wrong_number_of_parameters(expected, params.len()));
        }
        match self {
            Rules::Sqlite => search::check(sql, params, &checked)?,
            Rules::Postgres(_) | Rules::MySql(_) => {}
        }
        Ok(checked)
    }

    fn wrong_number_of_parameters(&self, expected: usize, given: usize) -> DbError {
        let advice = match self {
            Rules::Postgres(_) if given < expected => {
                "; for the operators `?`, `?|` and `?&` call jsonb_exists, jsonb_exists_any and jsonb_exists_all"
            }
            Rules::Sqlite | Rules::Postgres(_) | Rules::MySql(_) => "",
        };
        let message = format!("the statement has {expected} parameters, but {given} were given{advice}");
        DbError::new(Kind::Other, message)
    }
}

fn check_sizes(sql: &str, params: &[Value]) -> Result<(), DbError> {
    let limit = |message: String| Err(DbError::new(Kind::Limit, message));
    if sql.len() > MAX_SQL_BYTES {
        return limit(format!("the statement has {} bytes; at most {MAX_SQL_BYTES} are allowed", sql.len()));
    }
    if params.len() > MAX_PARAMS {
        return limit(format!("the statement has {} parameters; at most {MAX_PARAMS} are allowed", params.len()));
    }
    let bytes: usize = params.iter().map(Value::size).sum();
    if bytes > MAX_PARAM_BYTES {
        return limit(format!("the parameters have {bytes} bytes together; at most {MAX_PARAM_BYTES} are allowed"));
    }
    Ok(())
}

/// Returns the placeholders in a statement that the host itself sends.
pub(super) fn placeholders(dialect: Dialect, sql: &str) -> Vec<Placeholder> {
    let mut lexer = Lexer::new(Syntax::of(dialect), sql);
    let mut found = Vec::new();
    while let Ok(Some(token)) = lexer.next() {
        if let Shape::Parameter(number) = token.shape {
            found.push(Placeholder { number: number.unwrap_or(found.len() + 1), range: token.range });
        }
    }
    found
}

/// Checks the statement in `sql` in one pass over its tokens.
fn scan(rules: &Rules, sql: &str, params: usize, access: Access) -> Result<Checked, DbError> {
    let dialect = rules.dialect();
    if sql.as_bytes().contains(&0) {
        return Err(forbidden("the statement contains a NUL byte"));
    }
    let mut lexer = Lexer::new(Syntax::of(dialect), sql);
    let mut places = Places::new(rules, sql);
    let mut placeholders = Vec::with_capacity(params);
    let (mut verb, mut highest, mut depth, mut ended, mut literal_bytes) = (None, 0usize, 0usize, false, 0);
    let mut upcoming = lexer.next().map_err(forbidden)?;
    while let Some(token) = upcoming {
        upcoming = lexer.next().map_err(forbidden)?;
        match token.shape {
            Shape::Semicolon => {
                ended = true;
                continue;
            }
            _ if ended => return Err(forbidden("only one statement can be sent at a time")),
            Shape::Open => depth += 1,
            Shape::Close => {
                depth = depth.checked_sub(1).ok_or_else(|| forbidden("a parenthesis is closed but not opened"))?;
            }
            // The first word is the verb, also after opening parentheses, as in `(SELECT ..)`.
            _ if verb.is_none() => verb = Some(verb_of(dialect, &sql[token.range.clone()])?),
            Shape::UnsupportedParameter => {
                let message = "parameters must be written as `?` or `?1`; names and the number 0 are not supported";
                return Err(DbError::new(Kind::Other, message));
            }
            Shape::Parameter(number) => {
                let number = number.unwrap_or(highest.saturating_add(1));
                highest = highest.max(number);
                placeholders.push(Placeholder { range: token.range.clone(), number });
            }
            Shape::Literal => literal_bytes += token.range.len(),
            Shape::Word | Shape::QuotedName | Shape::Number | Shape::Sign(_) => {}
        }
        if let Some(places) = &mut places {
            places.take(&token, upcoming.as_ref().map(|token| token.shape), verb)?;
        }
    }
    if depth > 0 {
        return Err(forbidden("a parenthesis is not closed"));
    }
    let verb = verb.ok_or_else(|| forbidden("the statement is empty"))?;
    let needs_writer = match verb {
        Verb::Insert | Verb::Change => Some("statements that change rows"),
        Verb::Query | Verb::With => places.and_then(|places| places.needs_writer),
    };
    match (access, needs_writer) {
        (Access::None | Access::ReadOnly, Some(what)) => {
            Err(DbError::new(Kind::ReadOnly, format!("{what} need a writer; this handle is a reader")))
        }
        (Access::ReadWrite, _) | (_, None) => Ok(Checked { verb, placeholders, literal_bytes }),
    }
}

/// Returns the class of a statement by its first word, or an error if guests must not send statements that begin with
/// this word.
fn verb_of(dialect: Dialect, word: &str) -> Result<Verb, DbError> {
    const COMMON: &[(&str, Verb)] = &[
        ("SELECT", Verb::Query),
        ("WITH", Verb::With),
        ("VALUES", Verb::Query),
        ("INSERT", Verb::Insert),
        ("UPDATE", Verb::Change),
        ("DELETE", Verb::Change),
    ];
    let own: &[(&str, Verb)] = match dialect {
        Dialect::Sqlite => &[("REPLACE", Verb::Insert)],
        Dialect::Postgres => &[("TABLE", Verb::Query), ("MERGE", Verb::Change)],
        Dialect::MySql => &[("TABLE", Verb::Query), ("REPLACE", Verb::Insert)],
    };
    let found = COMMON.iter().chain(own).find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, verb)| *verb).ok_or_else(|| {
        let advice = advice::instead_of(dialect, word).map_or_else(String::new, |advice| format!("; {advice}"));
        forbidden(format!("a statement must not begin with `{word}`: guests can only query and change rows{advice}"))
    })
}

#[cfg(test)]
mod tests;
