//! The gate that every guest statement passes before it is sent: it reads just enough of SQL to tell what kind of
//! statement this is, that it is only one, and that it uses no name it may not. It refuses; it never rewrites. The
//! engine's own barrier stands behind it, so nothing here has to understand SQL.
//!
//! A `?` outside of texts, names and comments is always a parameter. PostgreSQL has operators that are written with it;
//! for those on `jsonb`, `?`, `?|` and `?&`, guests call `jsonb_exists`, `jsonb_exists_any` and `jsonb_exists_all`, for
//! `@?` they call `jsonb_path_exists`.

mod advice;
mod lexer;
mod place;
mod search;
mod tables;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use self::{
    lexer::{Lexer, Shape},
    place::Places,
};
use crate::{
    config::{Access, Dialect},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// The longest statement, in bytes.
pub const MAX_SQL_BYTES: usize = 32 * 1024;
/// The most parameters of one statement.
pub const MAX_PARAMS: usize = 1000;
/// The most bytes that the parameters of one statement hold together.
pub const MAX_PARAM_BYTES: usize = 4 * 1024 * 1024;

/// What a statement does, as far as its first word tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// SELECT, VALUES or TABLE.
    Query,
    /// WITH, behind which anything may stand.
    With,
    /// INSERT or REPLACE.
    Insert,
    /// UPDATE, DELETE or MERGE.
    Change,
}

/// A parameter's place in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// Its bytes.
    pub range: Range<usize>,
    /// Which parameter it stands for, from 1. `?` is the one after the highest so far, `?7` and `$7` are the seventh.
    pub number: usize,
}

/// A statement that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it does.
    pub verb: Verb,
    /// Where its parameters stand, in the order of the text.
    pub placeholders: Vec<Placeholder>,
    /// Bytes of its texts in quotes.
    pub text_bytes: usize,
}

/// Rules of the gate for one connection: its dialect, and facts that the server reported when the connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    dialect: Dialect,
    /// PostgreSQL: functions of extensions that guests may not call, by name in lower case.
    functions: BTreeMap<String, ExtensionFunction>,
    /// PostgreSQL: names of functions that the configuration allows, in lower case.
    allowed: BTreeSet<String>,
    /// MySQL and MariaDB, for a login that may use other databases on the server: the one that guests use.
    database: Option<OwnDatabase>,
}

/// SQL list of the extensions of PostgreSQL whose volatile functions are harmless: they only compute values.
pub(crate) const HARMLESS_EXTENSIONS: &str = "'pgcrypto', 'uuid-ossp'";

/// A function of an extension of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFunction {
    /// Name with its schema, as in `database.allow_functions`.
    pub full_name: String,
    /// Name of the extension.
    pub extension: String,
    /// The first argument may be a row, so that `row.function` calls it, too.
    pub takes_row: bool,
}

/// The database of a MySQL or MariaDB connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDatabase {
    /// Its name.
    pub name: String,
    /// The server compares names of databases by letter case (`lower_case_table_names = 0`).
    pub is_case_sensitive: bool,
}

impl OwnDatabase {
    fn is(&self, name: &str) -> bool {
        match self.is_case_sensitive {
            true => self.name == name,
            false => self.name.to_lowercase() == name.to_lowercase(),
        }
    }
}

impl Rules {
    /// The rules of a dialect, with nothing known of the server.
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, functions: BTreeMap::new(), allowed: BTreeSet::new(), database: None }
    }

    /// Sets the functions of PostgreSQL's extensions: those that are refused, by name in lower case, and those that the
    /// configuration allows as `schema.name`.
    pub fn with_extensions(
        self,
        refused: impl IntoIterator<Item = (String, ExtensionFunction)>,
        allowed: &[String],
    ) -> Self {
        let name = |full_name: &String| match full_name.split_once('.') {
            Some(("pg_catalog", _)) | None => None,
            Some((_, name)) => Some(name.to_lowercase()),
        };
        Self { functions: refused.into_iter().collect(), allowed: allowed.iter().filter_map(name).collect(), ..self }
    }

    /// Refuses names of all other databases on a MySQL or MariaDB server.
    pub fn within(self, database: OwnDatabase) -> Self {
        Self { database: Some(database), ..self }
    }

    /// Returns what a statement is if a guest may send it, with these parameters, through a handle of this kind.
    ///
    /// # Errors
    ///
    /// [`Kind::Limit`] for too large statements and parameters, [`Kind::ReadOnly`] for changes and locks through a reader,
    /// [`Kind::Forbidden`] for all that guests may not send, [`Kind::Other`] for a wrong number of parameters.
    pub fn check(&self, sql: &str, params: &[Value], access: Access) -> Result<Checked, DbError> {
        if sql.len() > MAX_SQL_BYTES {
            let message = format!("the statement has {} bytes; at most {MAX_SQL_BYTES} are allowed", sql.len());
            return Err(DbError::new(Kind::Limit, message));
        }
        if params.len() > MAX_PARAMS {
            let message = format!("the statement has {} parameters; at most {MAX_PARAMS} are allowed", params.len());
            return Err(DbError::new(Kind::Limit, message));
        }
        let bytes: usize = params.iter().map(Value::size).sum();
        if bytes > MAX_PARAM_BYTES {
            let message = format!("the parameters hold {bytes} bytes; at most {MAX_PARAM_BYTES} are allowed");
            return Err(DbError::new(Kind::Limit, message));
        }
        let checked = read(self, sql, params.len(), access != Access::ReadWrite)?;
        let wanted = checked.placeholders.iter().map(|placeholder| placeholder.number).max().unwrap_or(0);
        if params.len() != wanted {
            // SQLite would take NULL for those that are missing; a driver may wait for them for ever.
            let hint = match self.dialect {
                Dialect::Postgres if params.len() < wanted => {
                    "; for the operators `?`, `?|` and `?&` call jsonb_exists, jsonb_exists_any and jsonb_exists_all"
                }
                _ => "",
            };
            let message = format!("the statement has {wanted} parameters, but {} were given{hint}", params.len());
            return Err(DbError::new(Kind::Other, message));
        }
        // A query may use one parameter many times.
        let size = |place: &Placeholder| params.get(place.number - 1).map_or(0, Value::size);
        if self.dialect == Dialect::Sqlite
            && checked.text_bytes + checked.placeholders.iter().map(size).sum::<usize>() > search::HARMLESS
        {
            search::check(sql, params, &checked.placeholders)?;
        }
        Ok(checked)
    }
}

/// Where the parameters of one of the host's own statements stand.
pub(super) fn placeholders(dialect: Dialect, sql: &str) -> Vec<Placeholder> {
    let mut lexer = Lexer::new(dialect, sql);
    let mut found = Vec::new();
    while let Ok(Some(token)) = lexer.next() {
        if let Shape::Parameter(number) = token.shape {
            found.push(Placeholder { number: number.unwrap_or(found.len() + 1), range: token.range });
        }
    }
    found
}

/// Reads the one statement in `sql`, once.
fn read(rules: &Rules, sql: &str, params: usize, reader: bool) -> Result<Checked, DbError> {
    let dialect = rules.dialect;
    let forbidden = |why| DbError::new(Kind::Forbidden, why);
    if sql.as_bytes().contains(&0) {
        return Err(forbidden("the statement holds a NUL byte"));
    }
    let mut lexer = Lexer::new(dialect, sql);
    let mut places = (dialect != Dialect::Sqlite).then(|| Places::new(rules, sql));
    let mut placeholders = Vec::with_capacity(params);
    let (mut verb, mut highest, mut depth, mut ended, mut text_bytes) = (None, 0usize, 0usize, false, 0);
    let mut upcoming = lexer.next().map_err(forbidden)?;
    while let Some(token) = upcoming {
        upcoming = lexer.next().map_err(forbidden)?;
        match token.shape {
            Shape::End => {
                ended = true;
                continue;
            }
            _ if ended => return Err(forbidden("only one statement may be sent at a time")),
            Shape::Open => depth += 1,
            Shape::Close => {
                depth = depth.checked_sub(1).ok_or_else(|| forbidden("a parenthesis is closed that was not opened"))?;
            }
            // `(SELECT ..)` begins with its first word.
            _ if verb.is_none() => verb = Some(begin(dialect, &sql[token.range.clone()])?),
            Shape::OddParameter => {
                return Err(DbError::new(
                    Kind::Other,
                    "parameters are written `?` or `?1`, without names and from 1 on",
                ));
            }
            Shape::Text => text_bytes += token.range.len(),
            _ => {}
        }
        if let Shape::Parameter(number) = token.shape {
            let number = number.unwrap_or(highest.saturating_add(1));
            highest = highest.max(number);
            placeholders.push(Placeholder { range: token.range.clone(), number });
        }
        if let Some(places) = &mut places {
            places.take(&token, upcoming.as_ref().map(|token| token.shape), verb)?;
        }
    }
    if depth > 0 {
        return Err(forbidden("a parenthesis is not closed"));
    }
    let verb = verb.ok_or_else(|| forbidden("the statement is empty"))?;
    if reader && matches!(verb, Verb::Insert | Verb::Change) {
        return Err(DbError::new(Kind::ReadOnly, "changes of rows need a writer; this handle is a reader"));
    }
    if let Some(what) = places.and_then(|places| places.needs_writer).filter(|_| reader) {
        return Err(DbError::new(Kind::ReadOnly, format!("{what} need a writer; this handle is a reader")));
    }
    Ok(Checked { verb, placeholders, text_bytes })
}

/// The verb that a statement's first word is, if a guest may use it.
fn begin(dialect: Dialect, word: &str) -> Result<Verb, DbError> {
    const VERBS: [(&str, Verb); 9] = [
        ("SELECT", Verb::Query),
        ("WITH", Verb::With),
        ("VALUES", Verb::Query),
        ("TABLE", Verb::Query),
        ("INSERT", Verb::Insert),
        ("REPLACE", Verb::Insert),
        ("UPDATE", Verb::Change),
        ("DELETE", Verb::Change),
        ("MERGE", Verb::Change),
    ];
    let known = |name: &str| match name {
        "TABLE" => dialect != Dialect::Sqlite,
        "REPLACE" => dialect != Dialect::Postgres,
        "MERGE" => dialect == Dialect::Postgres,
        _ => true,
    };
    let found = VERBS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name) && known(name));
    found.map(|(_, verb)| verb).ok_or_else(|| {
        let instead = advice::instead_of(dialect, word).map_or_else(String::new, |advice| format!("; {advice}"));
        let message =
            format!("a statement may not begin with `{word}`; guests send queries and changes of rows only{instead}");
        DbError::new(Kind::Forbidden, message)
    })
}

#[cfg(test)]
mod tests;
