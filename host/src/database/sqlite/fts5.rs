//! Replaces `highlight` and `snippet` of FTS5 with the functions of [`excerpt`], through the extension interface of
//! FTS5.
//!
//! This module uses `unsafe`, because that interface is in C and sqlx has no access to it.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr::{null, null_mut},
    slice,
};

use libsqlite3_sys::*;
use sqlx::sqlite::LockedSqliteHandle;

use super::{
    excerpt::{self, Column, Marks, Match, Token},
    functions::TooBig,
    native,
    policy::MAX_LENGTH,
};

/// Flag of a token that is at the same position as the previous token. FTS5 does not count such tokens.
const COLOCATED: c_int = FTS5_TOKEN_COLOCATED as c_int;

/// Replaces `highlight` and `snippet` on a connection.
pub(super) fn replace_functions(handle: &mut LockedSqliteHandle<'_>) -> Result<(), sqlx::Error> {
    let db = handle.as_raw_handle().as_ptr();
    let mut api = null_mut::<fts5_api>();
    let mut statement = null_mut();
    let all: [(&CStr, fts5_extension_function); 2] = [(c"highlight", Some(highlight)), (c"snippet", Some(snippet))];
    // SAFETY: the connection is locked. The pointer is bound with the name that FTS5 expects and outlives the
    // statement. The functions are static.
    let code = unsafe {
        sqlite3_prepare_v2(db, c"SELECT fts5(?1)".as_ptr(), -1, &raw mut statement, null_mut());
        sqlite3_bind_pointer(statement, 1, (&raw mut api).cast(), c"fts5_api_ptr".as_ptr(), None);
        sqlite3_step(statement);
        sqlite3_finalize(statement);
        let create = api.as_ref().and_then(|api| api.xCreateFunction);
        create.map_or(SQLITE_ERROR, |create| {
            let made = all.map(|(name, function)| create(api, name.as_ptr(), null_mut(), function, None));
            made.into_iter().find(|code| *code != SQLITE_OK).unwrap_or(SQLITE_OK)
        })
    };
    match code {
        SQLITE_OK => Ok(()),
        code => Err(sqlx::Error::Configuration(format!("FTS5 refused a function with code {code}").into())),
    }
}

/// A row of a full-text table, during a call of one of the functions.
#[derive(Clone, Copy)]
struct Row<'a> {
    api: &'a Fts5ExtensionApi,
    context: *mut Fts5Context,
}

impl Row<'_> {
    /// Returns the number of columns.
    ///
    /// SAFETY: `context` belongs to the running call.
    unsafe fn width(self) -> c_int {
        // SAFETY: as above.
        self.api.xColumnCount.map_or(0, |columns| unsafe { columns(self.context) })
    }

    /// Returns a match and the number of its column.
    ///
    /// SAFETY: `number` is less than the result of `xInstCount`.
    unsafe fn find(self, number: usize) -> Option<(c_int, Match)> {
        let (mut phrase, mut column, mut start) = (0, 0, 0);
        // SAFETY: as above; `context` belongs to the row.
        let (code, size) = unsafe {
            let code = self.api.xInst?(self.context, number as c_int, &raw mut phrase, &raw mut column, &raw mut start);
            (code, self.api.xPhraseSize?(self.context, phrase))
        };
        let (start, size) = (usize::try_from(start).ok()?, usize::try_from(size).ok()?);
        let found = Match { phrase: phrase.cast_unsigned(), start, end: start + size };
        (code == SQLITE_OK).then_some((column, found))
    }

    /// Returns a column, or `None` if it is NULL. `count` is the number of matches in the row.
    ///
    /// SAFETY: the caller uses the text only until its function returns to FTS5.
    unsafe fn column<'a>(
        self,
        number: c_int,
        count: usize,
        find: &'a dyn Fn(usize) -> Match,
    ) -> Result<Option<Column<'a>>, c_int> {
        let (mut start, mut length, mut size) = (null::<c_char>(), 0, 0);
        let (mut locale, mut locale_length) = (null::<c_char>(), 0);
        let mut tokens = Vec::new();
        // SAFETY: `context` belongs to the row. `tokens` outlives the call that passes it to `take_token`.
        unsafe {
            let call = |code: Option<c_int>| match code.unwrap_or(SQLITE_ERROR) {
                SQLITE_OK => Ok(()),
                code => Err(code),
            };
            let Fts5ExtensionApi { xColumnText, xColumnLocale, xColumnSize, xTokenize_v2, .. } = *self.api;
            call(xColumnText.map(|text| text(self.context, number, &raw mut start, &raw mut length)))?;
            if start.is_null() {
                return Ok(None);
            }
            call(xColumnLocale.map(|text| text(self.context, number, &raw mut locale, &raw mut locale_length)))?;
            call(xColumnSize.map(|column| column(self.context, number, &raw mut size)))?;
            call(xTokenize_v2.map(|tokenize| {
                let all = (&raw mut tokens).cast::<c_void>();
                tokenize(self.context, start, length, locale, locale_length, all, Some(take_token))
            }))?;
            // Matches are ordered by their columns.
            let column_of = |index: usize| self.find(index).map_or(c_int::MAX, |(column, _)| column);
            let first = excerpt::partition(0..count, |index| column_of(index) < number);
            let last = excerpt::partition(0..count, |index| column_of(index) <= number);
            let text = slice::from_raw_parts(start.cast(), usize::try_from(length).unwrap_or(0));
            Ok(Some(Column { text, tokens, size: usize::try_from(size).unwrap_or(0), matches: first..last, find }))
        }
    }
}

unsafe extern "C" fn take_token(
    tokens: *mut c_void,
    flags: c_int,
    _: *const c_char,
    _: c_int,
    start: c_int,
    end: c_int,
) -> c_int {
    // SAFETY: `column` passes a pointer to its vector.
    let tokens = unsafe { &mut *tokens.cast::<Vec<Token>>() };
    if flags & COLOCATED == 0 {
        tokens.push(Token { start: start.cast_unsigned(), end: end.cast_unsigned() });
    }
    SQLITE_OK
}

/// `highlight(table, column, open, close)`
unsafe extern "C" fn highlight(
    api: *const Fts5ExtensionApi,
    context: *mut Fts5Context,
    result: *mut sqlite3_context,
    count: c_int,
    values: *mut *mut sqlite3_value,
) {
    // SAFETY: FTS5 passes its interface, a row, and `count` values, all valid during this call.
    unsafe {
        if count != 3 {
            return native::fail(result, c"wrong number of arguments to function highlight()", SQLITE_ERROR);
        }
        let values = slice::from_raw_parts(values, 3);
        let marks = Marks { open: text(values[1]), close: text(values[2]), ellipsis: &[] };
        let row = Row { api: &*api, context };
        let column = sqlite3_value_int(values[0]);
        if !(0..row.width()).contains(&column) {
            return native::set_result(result, Ok(&[]));
        }
        excerpt_of(row, result, column, |columns| {
            columns.first().map_or(Ok(Vec::new()), |column| excerpt::highlight(column, marks, MAX_LENGTH as usize))
        });
    }
}

/// `snippet(table, column, open, close, ellipsis, tokens)`
unsafe extern "C" fn snippet(
    api: *const Fts5ExtensionApi,
    context: *mut Fts5Context,
    result: *mut sqlite3_context,
    count: c_int,
    values: *mut *mut sqlite3_value,
) {
    // SAFETY: as for `highlight`.
    unsafe {
        if count != 5 {
            return native::fail(result, c"wrong number of arguments to function snippet()", SQLITE_ERROR);
        }
        let values = slice::from_raw_parts(values, 5);
        let marks = Marks { open: text(values[1]), close: text(values[2]), ellipsis: text(values[3]) };
        let tokens = usize::try_from(sqlite3_value_int(values[4])).unwrap_or(0);
        excerpt_of(Row { api: &*api, context }, result, sqlite3_value_int(values[0]), |columns| {
            excerpt::snippet(columns, tokens, marks, MAX_LENGTH as usize)
        });
    }
}

/// Sets the excerpt of a column as the result, or the excerpt of all columns if `column` is negative.
///
/// SAFETY: `row` and `result` belong to the running call.
unsafe fn excerpt_of(
    row: Row<'_>,
    result: *mut sqlite3_context,
    column: c_int,
    excerpt: impl FnOnce(&[Column<'_>]) -> Result<Vec<u8>, TooBig>,
) {
    // SAFETY: as above. All numbers of matches are less than `count`.
    unsafe {
        let mut count = 0;
        let code = row.api.xInstCount.map_or(SQLITE_ERROR, |instances| instances(row.context, &raw mut count));
        if code != SQLITE_OK {
            return sqlite3_result_error_code(result, code);
        }
        let count = usize::try_from(count).unwrap_or(0);
        let nothing = Match { phrase: 0, start: 0, end: 0 };
        let find = |number| row.find(number).map_or(nothing, |(_, found)| found);
        let numbers = if column < 0 { 0..row.width() } else { column..column.saturating_add(1) };
        let columns: Result<Vec<_>, c_int> = numbers.map(|number| row.column(number, count, &find)).collect();
        match columns {
            Ok(columns) if column >= 0 && columns.iter().all(Option::is_none) => sqlite3_result_null(result),
            Ok(columns) => {
                let empty = || Column { text: &[], tokens: Vec::new(), size: 0, matches: 0..0, find: &find };
                let columns: Vec<_> = columns.into_iter().map(|column| column.unwrap_or_else(empty)).collect();
                native::set_result(result, excerpt(&columns).as_deref().map_err(|error| *error));
            }
            Err(code) => sqlite3_result_error_code(result, code),
        }
    }
}

/// SAFETY: as for `native::bytes`.
unsafe fn text<'a>(value: *mut sqlite3_value) -> &'a [u8] {
    // SAFETY: as above.
    unsafe { native::bytes(value) }.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use sqlx::{AssertSqlSafe, SqliteConnection, sqlite::SqliteConnectOptions};

    use crate::database::sqlite::{barrier::Barrier, opener::connect};

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    async fn texts(connection: &mut SqliteConnection, sql: &str) -> Result<Vec<Option<String>>> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await?)
    }

    /// Returns words in a pseudo-random order, which is the same in each run.
    fn document(seed: &mut u64, length: u64) -> String {
        let mut next = |below: u64| {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 33) % below
        };
        let mut text = String::new();
        for _ in 0..next(length + 1) {
            let word = ["a", "b", "abc", "größe", "running", "x y", "the", "z"][next(8) as usize];
            let end = [" ", " ", " ", ", ", ". ", ": ", ".\n", "-"][next(8) as usize];
            let _ = write!(text, "{word}{end}");
        }
        text
    }

    #[tokio::test]
    async fn excerpts_are_those_of_sqlite() -> Result {
        let folder = tempfile::tempdir()?;
        let options = SqliteConnectOptions::new().filename(folder.path().join("t.sqlite")).create_if_missing(true);
        let mut theirs = connect(&options).await?;
        let mut seed = 1;
        for tokenizer in ["unicode61", "porter", "trigram", "ascii"] {
            let table =
                format!("CREATE VIRTUAL TABLE {tokenizer} USING fts5 (p, q, r UNINDEXED, tokenize = {tokenizer})");
            sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut theirs).await?;
            for length in [0, 1, 3, 10, 10, 10, 40, 40, 40, 200, 200, 200] {
                let insert = format!("INSERT INTO {tokenizer} VALUES (?, ?, nullif(?, ''))");
                let mut insert = sqlx::query(AssertSqlSafe(insert));
                for _ in 0..3 {
                    insert = insert.bind(document(&mut seed, length));
                }
                insert.execute(&mut theirs).await?;
            }
        }
        let mut ours = connect(&options).await?;
        let _barrier = Barrier::install(&mut ours, 64 << 20).await?;
        let (mut compared, mut wrong) = (0, Vec::new());
        for tokenizer in ["unicode61", "porter", "trigram", "ascii"] {
            for query in [
                "abc",
                "a",
                "a OR b OR abc",
                "\"a b\"",
                "\"b b a\" OR a",
                "NEAR(a z, 3)",
                "run*",
                "p:abc OR the",
                "größe",
            ] {
                for column in [-1, 0, 1, 2, 3] {
                    let mut calls = vec![format!("highlight({tokenizer}, {column}, '[', ']')")];
                    if column < 3 {
                        let snippet = |tokens| format!("snippet({tokenizer}, {column}, '[', ']', '...', {tokens})");
                        calls.extend([1, 2, 5, 20, 64].map(snippet));
                    }
                    for call in calls {
                        let sql =
                            format!("SELECT {call} FROM {tokenizer} WHERE {tokenizer} MATCH '{query}' ORDER BY rowid");
                        let expected = texts(&mut theirs, &sql).await?;
                        compared += expected.len();
                        let found = texts(&mut ours, &sql).await?;
                        if found != expected {
                            wrong.push(format!("{sql}: {found:?}, not {expected:?}"));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(compared > 1000, "{compared} rows");
        Ok(())
    }
}
