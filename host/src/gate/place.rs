//! Checks the keywords and names in a statement for PostgreSQL, MySQL or MariaDB. The tokens around a keyword or a name
//! determine whether a guest may use it there. This module does not parse the grammar.

use std::mem;

use super::{
    lexer::{Shape, Token},
    rules::{Extensions, Rules, Verb, forbidden},
    tables::Tables,
    words::{self, Place},
};
use crate::{config::ServerDialect, sql::error::DbError};

/// Keywords that are checked together with the keywords around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    /// `INSERT`, `REPLACE`, `MERGE`.
    Change,
    Delayed,
    Delete,
    For,
    From,
    In,
    Into,
    Key,
    /// MySQL: between `INSERT` and `INTO`.
    Modifier,
    Only,
    Previous,
    Procedure,
    /// `SELECT`, `TABLE`.
    Query,
    Share,
    SqlCalcFoundRows,
    Update,
    Value,
    Values,
    Other,
}

/// State after the tokens read so far.
#[derive(Debug)]
pub(super) struct Places<'a> {
    sql: &'a str,
    dialect: ServerDialect,
    /// PostgreSQL only.
    extensions: Option<&'a Extensions>,
    /// MySQL only, if the statement can name a database.
    tables: Option<Tables<'a>>,
    depth: usize,
    /// Last token.
    before: Option<Shape>,
    /// Last token, if it was a keyword.
    keyword: Keyword,
    /// Whether `INTO` is allowed here, because a verb that adds rows precedes it.
    into: bool,
    /// Whether the next name is the name of a table that the statement changes.
    target: bool,
    /// Whether the next name is the name of a table to which rows are added. Parentheses after it contain columns, not
    /// arguments.
    filled: bool,
    /// Whether the main verb of the statement has been read.
    main: bool,
    /// MySQL: whether the next name belongs to `information_schema`.
    described: bool,
    /// Whether the next opening parenthesis must be closed directly, without an argument.
    bare: bool,
    /// MySQL: depth of the `VALUES` list that has begun, unless it is the list of rows of an `INSERT`.
    list: Option<usize>,
    /// A part of the statement that must only be sent through a `writer` handle, as a plural noun for the error
    /// message.
    pub(super) needs_writer: Option<&'static str>,
}

impl<'a> Places<'a> {
    /// Returns `None` for SQLite, whose authorizer checks names.
    pub(super) fn new(rules: &'a Rules, sql: &'a str) -> Option<Self> {
        let (dialect, extensions, tables) = match rules {
            Rules::Sqlite => return None,
            Rules::Postgres(extensions) => (ServerDialect::Postgres, Some(extensions), None),
            Rules::MySql(own) => {
                (ServerDialect::MySql, None, sql.contains('.').then(|| Tables::new(sql, own.as_ref())))
            }
        };
        Some(Self {
            sql,
            dialect,
            extensions,
            tables,
            depth: 0,
            before: None,
            keyword: Keyword::Other,
            into: false,
            target: false,
            filled: false,
            main: false,
            described: false,
            bare: false,
            list: None,
            needs_writer: None,
        })
    }

    /// Processes a token. `next` is the token after it; `verb` is the verb of the statement, if it is known already.
    pub(super) fn take(&mut self, token: &Token, next: Option<Shape>, verb: Option<Verb>) -> Result<(), DbError> {
        let mut keyword = Keyword::Other;
        if let Some(tables) = &mut self.tables {
            tables.take(token, next, verb)?;
        }
        match token.shape {
            Shape::Word => {
                let word = &self.sql[token.range.clone()];
                keyword = Keyword::of(self.dialect, word);
                self.check_keyword(keyword, word, verb)?;
                self.check_name(word, next, verb)?;
                self.keep_target(keyword, next);
                self.end_list();
                if keyword == Keyword::Values && next == Some(Shape::Open) {
                    self.begin_list(verb);
                }
            }
            Shape::Parameter(_) if self.list.is_some_and(|depth| depth < self.depth) => {
                return Err(forbidden("parameters must not be used in VALUES of a query, where MariaDB loses them"));
            }
            Shape::QuotedName => {
                self.into = false;
                self.check_name(&self.sql[token.range.start + 1..token.range.end - 1], next, verb)?;
                self.keep_target(keyword, next);
            }
            Shape::Open => {
                self.depth += 1;
                (self.into, self.filled) = (false, false);
                if mem::take(&mut self.bare) && next != Some(Shape::Close) {
                    return Err(forbidden(
                        "LAST_INSERT_ID(..) can have an argument in INSERT and UPDATE only; elsewhere a later request would \
                         read the value",
                    ));
                }
            }
            Shape::Close => {
                self.depth = self.depth.saturating_sub(1);
                (self.into, self.target, self.filled) = (false, false, false);
            }
            // After a dot, the next token is a further part of the name.
            Shape::Sign(b'.') => self.into = false,
            Shape::Sign(sign) => {
                (self.into, self.target, self.filled) = (false, false, false);
                if sign != b',' {
                    self.end_list();
                }
            }
            Shape::Literal | Shape::Number | Shape::Parameter(_) | Shape::UnsupportedParameter | Shape::Semicolon => {
                (self.into, self.target, self.filled) = (false, false, false)
            }
        }
        self.before = Some(token.shape);
        self.keyword = keyword;
        Ok(())
    }

    /// Refuses a keyword that the keywords around it do not permit.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keywords only affect the check of the next keyword")]
    fn check_keyword(&mut self, keyword: Keyword, word: &str, verb: Option<Verb>) -> Result<(), DbError> {
        let into = mem::take(&mut self.into);
        match keyword {
            Keyword::Query if self.depth == 0 => self.main = true,
            Keyword::Change => self.into = self.begins_statement(verb),
            Keyword::Modifier => self.into = into,
            Keyword::Delayed if into => return Err(forbidden("INSERT DELAYED does not belong to a transaction")),
            Keyword::Into if !into => {
                return Err(forbidden("INTO can be used after INSERT, REPLACE and MERGE only"));
            }
            Keyword::Into => (self.target, self.filled) = (true, true),
            Keyword::From if self.keyword == Keyword::Delete => self.target = true,
            Keyword::Update | Keyword::Share if self.ends_lock() => self.needs_writer = Some("locks on rows"),
            Keyword::Update => self.target = true,
            Keyword::Procedure => return Err(forbidden("PROCEDURE must not be used")),
            Keyword::SqlCalcFoundRows => {
                return Err(forbidden("SQL_CALC_FOUND_ROWS stores a count that a later request could read"));
            }
            Keyword::Value if self.keyword == Keyword::Previous => {
                return Err(forbidden(format!("PREVIOUS {word} FOR returns a value of an earlier request")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns whether a verb here begins a statement: the whole statement, a statement inside `WITH name AS (..)`, or
    /// the main statement after the `WITH` clause. Elsewhere the word may be the name of a column:
    /// `SELECT f(1) insert INTO evil`.
    fn begins_statement(&mut self, verb: Option<Verb>) -> bool {
        match self.before {
            None | Some(Shape::Open) => true,
            Some(Shape::Close) if self.depth == 0 && verb == Some(Verb::With) => !mem::replace(&mut self.main, true),
            Some(_) => false,
        }
    }

    /// Begins a `VALUES` list. In an `INSERT`, the first such list contains its rows.
    fn begin_list(&mut self, verb: Option<Verb>) {
        let is_own = verb == Some(Verb::Insert) && self.depth == 0 && !mem::replace(&mut self.main, true);
        self.list = if is_own { None } else { Some(self.depth) };
    }

    /// Ends a `VALUES` list at a token that is neither a row nor a comma.
    fn end_list(&mut self) {
        self.list = self.list.filter(|depth| *depth < self.depth);
    }

    /// Returns whether `UPDATE` or `SHARE` here ends a locking clause, such as `FOR NO KEY UPDATE` or `IN SHARE MODE`.
    fn ends_lock(&self) -> bool {
        match self.dialect {
            ServerDialect::Postgres => matches!(self.keyword, Keyword::For | Keyword::Key),
            ServerDialect::MySql => matches!(self.keyword, Keyword::For | Keyword::In),
        }
    }

    /// Refuses a name, quoted or not, that guests must not use here.
    fn check_name(&mut self, name: &str, next: Option<Shape>, verb: Option<Verb>) -> Result<(), DbError> {
        let dotted = next == Some(Shape::Sign(b'.'));
        let called = next == Some(Shape::Open) && !self.filled;
        match self.dialect {
            ServerDialect::Postgres if self.target && words::is_catalog(name) => {
                return Err(forbidden(format!("{name} belongs to PostgreSQL and must not be changed")));
            }
            ServerDialect::Postgres => {}
            ServerDialect::MySql => {
                if mem::take(&mut self.described) && !words::may_view(name) {
                    return Err(forbidden(format!("information_schema.{name} must not be read")));
                }
                self.described = dotted && words::is(name, "information_schema");
            }
        }
        if let Some(extensions) = self.extensions {
            self.check_extension_function(extensions, name, called)?;
        }
        let Some(group) = words::find(self.dialect, name) else { return Ok(()) };
        let is_allowed = || self.extensions.is_some_and(|found| found.allowed.contains(&name.to_lowercase()));
        let refused = match group.place {
            Place::Anywhere => true,
            Place::Called => called && !is_allowed(),
            Place::CalledThroughWriter => {
                if called {
                    self.needs_writer = Some(group.why);
                }
                false
            }
            Place::CalledWithArgument => {
                // In INSERT and UPDATE an argument is harmless: the host resets the value at the end of a transaction
                // that writes.
                self.bare = called && !matches!(verb, Some(Verb::Insert | Verb::Change));
                false
            }
        };
        match refused {
            true => Err(forbidden(format!("{name} {}", group.why))),
            false => Ok(()),
        }
    }

    /// Refuses a call of an extension's function that guests must not call on this server.
    fn check_extension_function(&self, extensions: &Extensions, name: &str, called: bool) -> Result<(), DbError> {
        if extensions.refused.is_empty() {
            return Ok(());
        }
        // PostgreSQL truncates names to 63 bytes.
        let name = name.get(..name.floor_char_boundary(63)).unwrap_or(name).to_lowercase();
        let Some(function) = extensions.refused.get(&name) else { return Ok(()) };
        let is_field = function.takes_row && self.before == Some(Shape::Sign(b'.'));
        if !called && !is_field {
            return Ok(());
        }
        let (full_name, extension) = (&function.full_name, &function.extension);
        Err(forbidden(format!(
            "{name} is a volatile function of the extension {extension}, which may have effects that a rollback does not \
             undo; to let guests call it, add \"{full_name}\" to allow_functions in [database] of the host's file"
        )))
    }

    /// Keeps `target` and `filled` set until the name of the table is complete: a name can have several parts, and
    /// `ONLY` can precede the name.
    fn keep_target(&mut self, keyword: Keyword, next: Option<Shape>) {
        let dotted = next == Some(Shape::Sign(b'.'));
        self.target &= dotted || matches!(keyword, Keyword::Into | Keyword::From | Keyword::Update | Keyword::Only);
        self.filled &= dotted || keyword == Keyword::Into;
    }
}

impl Keyword {
    fn of(dialect: ServerDialect, word: &str) -> Self {
        let is = |keyword: Keyword, name: &str| match word.eq_ignore_ascii_case(name) {
            true => keyword,
            false => Keyword::Other,
        };
        let bytes = word.as_bytes();
        match (bytes.len(), bytes[0] | 0x20) {
            (2, b'i') => is(Keyword::In, "IN"),
            (3, b'f') => is(Keyword::For, "FOR"),
            (3, b'k') => is(Keyword::Key, "KEY"),
            (4, b'f') => is(Keyword::From, "FROM"),
            (4, b'i') => is(Keyword::Into, "INTO"),
            (5, b's') => is(Keyword::Share, "SHARE"),
            (5, b't') => is(Keyword::Query, "TABLE"),
            (6, b'd') => is(Keyword::Delete, "DELETE"),
            (6, b'i') if bytes[1] | 0x20 == b'n' => is(Keyword::Change, "INSERT"),
            (6, b's') => is(Keyword::Query, "SELECT"),
            (6, b'u') => is(Keyword::Update, "UPDATE"),
            (length, first) => match dialect {
                ServerDialect::Postgres => match (length, first) {
                    (4, b'o') => is(Keyword::Only, "ONLY"),
                    (5, b'm') => is(Keyword::Change, "MERGE"),
                    _ => Keyword::Other,
                },
                ServerDialect::MySql => match (length, first) {
                    (5, b'v') => is(Keyword::Value, "VALUE"),
                    (6, b'i') => is(Keyword::Modifier, "IGNORE"),
                    (6, b'v') => is(Keyword::Values, "VALUES"),
                    (7, b'd') => is(Keyword::Delayed, "DELAYED"),
                    (7, b'r') => is(Keyword::Change, "REPLACE"),
                    (8, b'p') => is(Keyword::Previous, "PREVIOUS"),
                    (9, b'p') => is(Keyword::Procedure, "PROCEDURE"),
                    (12, b'l') => is(Keyword::Modifier, "LOW_PRIORITY"),
                    (13, b'h') => is(Keyword::Modifier, "HIGH_PRIORITY"),
                    (19, b's') => is(Keyword::SqlCalcFoundRows, "SQL_CALC_FOUND_ROWS"),
                    _ => Keyword::Other,
                },
            },
        }
    }
}
