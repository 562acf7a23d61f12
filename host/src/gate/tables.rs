//! Checks the names of databases in a statement, on MySQL and MariaDB. A guest may use only one database, but its login
//! may have rights on all databases of the server.
//!
//! `a.b` is a table of the database `a` where a table is expected, and a column of the table or alias `a` elsewhere.
//! Therefore this module tracks where tables are expected: after `FROM`, `JOIN`, `INTO`, `UPDATE` and similar words,
//! and after commas in lists of tables. `a.b.c` and `a.f(..)` name a database everywhere. Where the grammars of MySQL
//! and MariaDB differ, this module assumes that a table is expected.

use std::ops::Range;

use super::{
    lexer::{Shape, Token},
    rules::{OwnDatabase, Verb, forbidden},
    words,
};
use crate::sql::error::DbError;

/// State after the tokens read so far.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    sql: &'a str,
    /// The database that guests use, if the login has rights on others.
    own: Option<&'a OwnDatabase>,
    /// One level for the statement itself, and one for each open parenthesis.
    levels: Vec<Level>,
    /// Whether the next name is the name of a table or of its database.
    expected: bool,
    /// Last token.
    before: Option<Shape>,
    /// Last token, if it was one of [`WORDS`].
    word: Word,
    /// The name before the last dot.
    qualifier: Option<Range<usize>>,
    /// Whether the statement is a `DELETE` that names its tables after `USING`.
    using: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Whether the level is a query. Elsewhere `FROM` does not list tables: `EXTRACT(DAY FROM a.b)`.
    is_query: bool,
    /// Whether a list of tables has begun, in which a comma precedes the next table.
    lists_tables: bool,
}

/// Words that determine whether the next name is the name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// `INSERT`, `REPLACE`.
    Change,
    Delete,
    /// A word that ends a list of tables. All such words are reserved, so none of them can be an alias.
    Clause,
    For,
    From,
    Into,
    Join,
    Key,
    /// May occur between a verb and its table.
    Modifier,
    NextVal,
    Returning,
    Select,
    Table,
    Update,
    Using,
    Value,
    Other,
}

const WORDS: [(&str, Word); 28] = [
    ("DELAYED", Word::Modifier),
    ("DELETE", Word::Delete),
    ("FOR", Word::For),
    ("FROM", Word::From),
    ("GROUP", Word::Clause),
    ("HAVING", Word::Clause),
    ("HIGH_PRIORITY", Word::Modifier),
    ("IGNORE", Word::Modifier),
    ("INSERT", Word::Change),
    ("INTO", Word::Into),
    ("JOIN", Word::Join),
    ("KEY", Word::Key),
    ("LIMIT", Word::Clause),
    ("LOW_PRIORITY", Word::Modifier),
    ("NEXTVAL", Word::NextVal),
    ("ORDER", Word::Clause),
    ("QUICK", Word::Modifier),
    ("REPLACE", Word::Change),
    ("RETURNING", Word::Returning),
    ("SELECT", Word::Select),
    ("SET", Word::Clause),
    ("STRAIGHT_JOIN", Word::Join),
    ("TABLE", Word::Table),
    ("UPDATE", Word::Update),
    ("USING", Word::Using),
    ("VALUE", Word::Value),
    ("VALUES", Word::Clause),
    ("WHERE", Word::Clause),
];

impl<'a> Tables<'a> {
    pub(super) fn new(sql: &'a str, own: Option<&'a OwnDatabase>) -> Self {
        Self {
            sql,
            own,
            levels: vec![Level { is_query: true, lists_tables: false }],
            expected: false,
            before: None,
            word: Word::Other,
            qualifier: None,
            using: false,
        }
    }

    /// Processes a token. `next` is the token after it; `verb` is the verb of the statement, if it is known already.
    /// Refuses the name of a database that guests must not use.
    pub(super) fn take(&mut self, token: &Token, next: Option<Shape>, verb: Option<Verb>) -> Result<(), DbError> {
        let mut word = Word::Other;
        let mut database = None;
        match token.shape {
            Shape::Word | Shape::QuotedName => {
                let is_part = self.before == Some(Shape::Sign(b'.'));
                if token.shape == Shape::Word && !is_part {
                    word = find(&self.sql[token.range.clone()]);
                }
                if !self.keyword(word, next, verb) {
                    database = self.name(token, next, is_part);
                }
            }
            Shape::Open => {
                // `FROM (a JOIN b)`, `NEXTVAL(a)`: a table is expected inside the parentheses too.
                self.expected |= self.word == Word::NextVal;
                self.levels.push(Level { is_query: false, lists_tables: self.expected });
            }
            Shape::Close => {
                self.levels.truncate((self.levels.len() - 1).max(1));
                self.expected = false;
            }
            Shape::Sign(b',') => self.expected = self.level().lists_tables,
            // `{ OJ a LEFT JOIN b ON .. }`
            Shape::Sign(b'{') => word = if self.expected { Word::From } else { Word::Other },
            Shape::Sign(_)
            | Shape::Literal
            | Shape::Number
            | Shape::Parameter(_)
            | Shape::UnsupportedParameter
            | Shape::Semicolon => self.expected = false,
        }
        (self.before, self.word) = (Some(token.shape), word);
        database.map_or(Ok(()), |name| self.check(name))
    }

    /// Refuses the name of a database that guests must not use.
    fn check(&self, name: &str) -> Result<(), DbError> {
        if words::is_server_schema(name) {
            return Err(forbidden(format!("{name} belongs to the server")));
        }
        match self.own {
            Some(own) if !own.is(name) && !words::is(name, "information_schema") => Err(forbidden(format!(
                "{name} is another database on the server, on which this login has rights; guests can only use {}, or \
                 another [database.NAME] with a login of its own",
                own.name
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Processes one of [`WORDS`]. Returns whether the word is a keyword here and not a name.
    #[expect(clippy::wildcard_enum_match_arm, reason = "outside of these contexts, words are names")]
    fn keyword(&mut self, word: Word, next: Option<Shape>, verb: Option<Verb>) -> bool {
        let (first, before, using) = (self.before.is_none(), self.word, self.using);
        let is_whole = self.levels.len() == 1;
        // `RETURNING` and the modifiers are not reserved on all servers. Before a dot or a comma, they are names.
        let is_name = matches!(next, Some(Shape::Sign(b'.' | b',')));
        let level = self.level();
        match word {
            Word::From if level.is_query => (level.lists_tables, self.expected) = (true, true),
            Word::Join if level.lists_tables => self.expected = true,
            Word::Into | Word::Table => self.expected = true,
            // `REPLACE(..)` and `INSERT(..)` are functions.
            Word::Change | Word::Delete
                if next != Some(Shape::Open) && (first || before == Word::Other && verb == Some(Verb::With)) =>
            {
                level.lists_tables = word == Word::Delete;
                self.expected = true;
            }
            // `ON DUPLICATE KEY UPDATE` precedes columns.
            Word::Update if before == Word::Key => level.lists_tables = false,
            Word::Update if before != Word::For => (level.lists_tables, self.expected) = (true, true),
            Word::Using if is_whole && verb == Some(Verb::Change) => {
                (level.lists_tables, self.expected, self.using) = (true, true, true);
            }
            // `USE INDEX FOR ORDER BY (..)`
            Word::Clause if before == Word::For => {}
            Word::Clause => (level.lists_tables, self.expected) = (false, false),
            Word::Returning if is_whole && !using && !is_name => level.lists_tables = false,
            Word::Select => {
                *level = Level { is_query: true, lists_tables: false };
                self.expected = false;
            }
            // `NEXT VALUE FOR a`
            Word::For if before == Word::Value => self.expected = true,
            Word::Modifier if self.expected && !is_name => {}
            _ => return false,
        }
        true
    }

    /// Processes a name or a part of a name. Returns the name of a database if this token shows that the name itself,
    /// or the name before the last dot, is the name of a database.
    fn name(&mut self, token: &Token, next: Option<Shape>, is_part: bool) -> Option<&'a str> {
        // The first word after `{`, such as `OJ`, is not a table, but the table follows it.
        let expected = self.expected;
        self.expected &= self.before == Some(Shape::Sign(b'{'));
        let is_qualifier = next == Some(Shape::Sign(b'.'));
        if is_part {
            let whole = self.qualifier.take().filter(|_| is_qualifier || next == Some(Shape::Open));
            return whole.map(|range| unquoted(&self.sql[range]));
        }
        self.qualifier = is_qualifier.then(|| token.range.clone());
        (is_qualifier && expected).then(|| unquoted(&self.sql[token.range.clone()]))
    }

    fn level(&mut self) -> &mut Level {
        // The first level is never closed.
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }
}

fn find(word: &str) -> Word {
    let first = word.as_bytes().first().map(u8::to_ascii_uppercase);
    let is = |name: &str| {
        name.len() == word.len() && name.as_bytes().first().copied() == first && name.eq_ignore_ascii_case(word)
    };
    let found = WORDS.iter().find(|(name, _)| is(name));
    found.map_or(Word::Other, |(_, word)| *word)
}

fn unquoted(name: &str) -> &str {
    match name.as_bytes() {
        [b'`' | b'"', .., _] => &name[1..name.len() - 1],
        _ => name,
    }
}
