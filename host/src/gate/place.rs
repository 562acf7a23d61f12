//! What stands where in a statement: which words may follow which, and which names may be used how, on PostgreSQL,
//! MySQL and MariaDB. Knows the tokens around a word, not grammar.

use super::{
    Dialect, Rules, Verb,
    lexer::{Shape, Token},
    tables::Tables,
    words::{self, Place},
};
use crate::sql::error::{DbError, Kind};

/// Words whose neighbours matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Change,
    Delayed,
    Delete,
    For,
    From,
    In,
    Into,
    Key,
    Modifier,
    Only,
    Previous,
    Procedure,
    Query,
    Share,
    SqlCalcFoundRows,
    Update,
    Value,
    Values,
    Other,
}

/// What was read of a statement so far, as far as it matters for what comes.
#[derive(Debug)]
pub(super) struct Places<'a> {
    sql: &'a str,
    rules: &'a Rules,
    dialect: Dialect,
    /// Where databases are named, on MySQL and MariaDB.
    tables: Option<Tables<'a>>,
    depth: usize,
    /// The token before, and which word it was.
    before: Option<Shape>,
    keyword: Keyword,
    /// Here INTO names a table that rows are put into.
    into: bool,
    /// The next name is that of a table that is written.
    target: bool,
    /// The next name is that of a table, and what stands behind it in parentheses are its columns.
    filled: bool,
    /// The main verb behind WITH has come.
    main: bool,
    /// The next name is one of `information_schema`.
    described: bool,
    /// The next parenthesis must be closed at once.
    bare: bool,
    /// At which depth a list of rows by VALUES stands that is not INSERT's own.
    list: Option<usize>,
    /// Part of the statement that needs a writer, in the plural, for the error.
    pub(super) needs_writer: Option<&'static str>,
}

impl<'a> Places<'a> {
    pub(super) fn new(rules: &'a Rules, sql: &'a str) -> Self {
        let names_databases = rules.dialect == Dialect::MySql && sql.contains('.');
        Self {
            sql,
            rules,
            dialect: rules.dialect,
            tables: names_databases.then(|| Tables::new(sql)),
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
        }
    }

    /// Takes a token, with the one after it, and the statement's verb as far as it is known.
    pub(super) fn take(&mut self, token: &Token, next: Option<Shape>, verb: Option<Verb>) -> Result<(), DbError> {
        let mut keyword = Keyword::Other;
        if let Some(database) = self.tables.as_mut().and_then(|tables| tables.take(token, next, verb)) {
            self.database(database)?;
        }
        match token.shape {
            Shape::Word => {
                let word = &self.sql[token.range.clone()];
                keyword = self.keyword(word);
                self.word(keyword, word, verb)?;
                self.name(word, next, verb)?;
                self.keep_target(keyword, next);
                self.end_list();
                if keyword == Keyword::Values && next == Some(Shape::Open) {
                    self.begin_list(verb);
                }
            }
            Shape::Parameter(_) if self.list.is_some_and(|depth| depth < self.depth) => {
                return Err(forbidden("parameters may not stand in VALUES of a query, where MariaDB loses them"));
            }
            Shape::Name => {
                self.into = false;
                self.name(&self.sql[token.range.start + 1..token.range.end - 1], next, verb)?;
                self.keep_target(keyword, next);
            }
            Shape::Open => {
                self.depth += 1;
                (self.into, self.filled) = (false, false);
                if std::mem::take(&mut self.bare) && next != Some(Shape::Close) {
                    return Err(forbidden(
                        "LAST_INSERT_ID(..) may be given a value in INSERT and UPDATE only; elsewhere a later request would read it",
                    ));
                }
            }
            Shape::Close => {
                self.depth = self.depth.saturating_sub(1);
                (self.into, self.target, self.filled) = (false, false, false);
            }
            Shape::Sign(b'.') => self.into = false,
            Shape::Sign(sign) => {
                (self.into, self.target, self.filled) = (false, false, false);
                if sign != b',' {
                    self.end_list();
                }
            }
            _ => (self.into, self.target, self.filled) = (false, false, false),
        }
        self.before = Some(token.shape);
        self.keyword = keyword;
        Ok(())
    }

    /// Refuses a keyword by those around it.
    fn word(&mut self, keyword: Keyword, word: &str, verb: Option<Verb>) -> Result<(), DbError> {
        let into = std::mem::take(&mut self.into);
        let postgres = self.dialect == Dialect::Postgres;
        match keyword {
            Keyword::Query if self.depth == 0 => self.main = true,
            Keyword::Change => self.into = self.begins(verb),
            Keyword::Modifier => self.into = into && !postgres,
            Keyword::Delayed if into => return Err(forbidden("INSERT DELAYED knows no transaction")),
            Keyword::Into if !into => {
                return Err(forbidden("INTO may stand behind INSERT, REPLACE and MERGE only"));
            }
            Keyword::Into => (self.target, self.filled) = (true, true),
            Keyword::From if self.keyword == Keyword::Delete => self.target = true,
            Keyword::Update | Keyword::Share if self.ends_lock() => self.needs_writer = Some("locks on rows"),
            Keyword::Update => self.target = true,
            Keyword::Procedure if !postgres => return Err(forbidden("PROCEDURE may not be used")),
            Keyword::SqlCalcFoundRows if !postgres => {
                return Err(forbidden("SQL_CALC_FOUND_ROWS leaves its count for a later request"));
            }
            Keyword::Value if self.keyword == Keyword::Previous && !postgres => {
                return Err(forbidden(format!("PREVIOUS {word} FOR tells what an earlier request got")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a verb here begins a statement: the whole one, one of a WITH, or the one behind it. Elsewhere it may be
    /// the name of a column, `SELECT f(1) insert INTO evil`.
    fn begins(&mut self, verb: Option<Verb>) -> bool {
        match self.before {
            None | Some(Shape::Open) => true,
            Some(Shape::Close) if self.depth == 0 && verb == Some(Verb::With) => {
                !std::mem::replace(&mut self.main, true)
            }
            _ => false,
        }
    }

    /// VALUES stands here, before a parenthesis. The first of an INSERT is its own.
    fn begin_list(&mut self, verb: Option<Verb>) {
        let is_own = verb == Some(Verb::Insert) && self.depth == 0 && !std::mem::replace(&mut self.main, true);
        self.list = if is_own { None } else { Some(self.depth) };
    }

    /// What is neither a row nor a comma ends a list.
    fn end_list(&mut self) {
        self.list = self.list.filter(|depth| *depth < self.depth);
    }

    /// Whether UPDATE or SHARE here ends a clause that locks: FOR UPDATE, FOR NO KEY UPDATE, IN SHARE MODE.
    fn ends_lock(&self) -> bool {
        match self.dialect {
            Dialect::Postgres => matches!(self.keyword, Keyword::For | Keyword::Key),
            Dialect::Sqlite | Dialect::MySql => matches!(self.keyword, Keyword::For | Keyword::In),
        }
    }

    /// Refuses a name, with quotes or without, that guests may not use here.
    fn name(&mut self, name: &str, next: Option<Shape>, verb: Option<Verb>) -> Result<(), DbError> {
        let dotted = next == Some(Shape::Sign(b'.'));
        let called = next == Some(Shape::Open) && !self.filled;
        if std::mem::take(&mut self.described) && !words::may_view(name) {
            return Err(forbidden(format!("information_schema.{name} may not be read")));
        }
        self.described = self.dialect == Dialect::MySql && dotted && words::is(name, "information_schema");
        if self.target && self.dialect == Dialect::Postgres && words::is_catalog(name) {
            return Err(forbidden(format!("{name} is PostgreSQL's own and may not be written")));
        }
        if !self.rules.functions.is_empty() {
            self.function(name, called)?;
        }
        let Some(group) = words::find(self.dialect, name) else { return Ok(()) };
        let refused = match group.place {
            Place::Anywhere => true,
            Place::Called => called && !self.rules.allowed.contains(&name.to_lowercase()),
            Place::CalledThroughWriter => {
                if called {
                    self.needs_writer = Some(group.why);
                }
                false
            }
            Place::CalledWithArgument => {
                // The host sets it back at the end of a transaction that writes.
                self.bare = called && !matches!(verb, Some(Verb::Insert | Verb::Change));
                false
            }
        };
        match refused {
            true => Err(forbidden(format!("{name} {}", group.why))),
            false => Ok(()),
        }
    }

    /// Refuses a call of an extension's function that guests may not call on this server.
    fn function(&self, name: &str, called: bool) -> Result<(), DbError> {
        // PostgreSQL cuts names off.
        let name = name.get(..name.floor_char_boundary(63)).unwrap_or(name).to_lowercase();
        let Some(function) = self.rules.functions.get(&name) else { return Ok(()) };
        let is_field = function.takes_row && self.before == Some(Shape::Sign(b'.'));
        if !called && !is_field {
            return Ok(());
        }
        let (full_name, extension) = (&function.full_name, &function.extension);
        Err(forbidden(format!(
            "{name} is a volatile function of the extension {extension}, which may have effects that no rollback undoes; \
             to let guests call it, add \"{full_name}\" to allow_functions in [database] of the host's file"
        )))
    }

    /// Refuses the name of a database that is not the application's.
    fn database(&self, name: &str) -> Result<(), DbError> {
        if words::is_server_schema(name) {
            return Err(forbidden(format!("{name} is the server's own")));
        }
        match &self.rules.database {
            Some(own) if !own.is(name) && !words::is(name, "information_schema") => Err(forbidden(format!(
                "{name} is another database on the server, and the login of this one may use it; guests use {} only, \
                 or another [database.NAME] with a login of its own",
                own.name
            ))),
            _ => Ok(()),
        }
    }

    /// A name may have more parts, and ONLY or a parenthesis before it.
    fn keep_target(&mut self, keyword: Keyword, next: Option<Shape>) {
        let dotted = next == Some(Shape::Sign(b'.'));
        self.target &= dotted || matches!(keyword, Keyword::Into | Keyword::From | Keyword::Update | Keyword::Only);
        self.filled &= dotted || keyword == Keyword::Into;
    }

    fn keyword(&self, word: &str) -> Keyword {
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
            (4, b'o') => is(Keyword::Only, "ONLY"),
            (5, b's') => is(Keyword::Share, "SHARE"),
            (5, b't') => is(Keyword::Query, "TABLE"),
            (5, b'm') if self.dialect == Dialect::Postgres => is(Keyword::Change, "MERGE"),
            (5, b'v') => is(Keyword::Value, "VALUE"),
            (6, b'd') => is(Keyword::Delete, "DELETE"),
            (6, b'i') if bytes[1] | 0x20 == b'g' => is(Keyword::Modifier, "IGNORE"),
            (6, b'i') => is(Keyword::Change, "INSERT"),
            (6, b's') => is(Keyword::Query, "SELECT"),
            (6, b'u') => is(Keyword::Update, "UPDATE"),
            (6, b'v') if self.dialect == Dialect::MySql => is(Keyword::Values, "VALUES"),
            (7, b'd') => is(Keyword::Delayed, "DELAYED"),
            (7, b'r') if self.dialect == Dialect::MySql => is(Keyword::Change, "REPLACE"),
            (8, b'p') => is(Keyword::Previous, "PREVIOUS"),
            (9, b'p') => is(Keyword::Procedure, "PROCEDURE"),
            (12, b'l') => is(Keyword::Modifier, "LOW_PRIORITY"),
            (13, b'h') => is(Keyword::Modifier, "HIGH_PRIORITY"),
            (19, b's') => is(Keyword::SqlCalcFoundRows, "SQL_CALC_FOUND_ROWS"),
            _ => Keyword::Other,
        }
    }
}

fn forbidden(why: impl Into<String>) -> DbError {
    DbError::new(Kind::Forbidden, why)
}
