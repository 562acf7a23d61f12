//! The gate that every guest statement passes before it is sent: a lexer that knows just enough of SQL to tell what
//! kind of statement this is and that it is only one. It refuses; it never rewrites. The engine's own barrier stands
//! behind it (the authorizer on SQLite), so nothing here has to understand SQL.

use super::{
    Access,
    error::{DbError, Kind},
    value::Value,
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
    /// SELECT or VALUES.
    Query,
    /// WITH, behind which anything may stand.
    With,
    /// INSERT or REPLACE.
    Insert,
    /// UPDATE or DELETE.
    Change,
}

const VERBS: [(&str, Verb); 7] = [
    ("SELECT", Verb::Query),
    ("WITH", Verb::With),
    ("VALUES", Verb::Query),
    ("INSERT", Verb::Insert),
    ("REPLACE", Verb::Insert),
    ("UPDATE", Verb::Change),
    ("DELETE", Verb::Change),
];

/// What a statement does that a guest may send with these parameters through a handle of this kind, or why it may not.
pub fn check(sql: &str, params: &[Value], access: Access) -> Result<Verb, DbError> {
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
    let (keyword, wanted) = read(sql).map_err(|why| DbError::new(Kind::Forbidden, why))?;
    let Some((_, verb)) = VERBS.into_iter().find(|(word, _)| keyword.eq_ignore_ascii_case(word)) else {
        let message =
            format!("a statement may not begin with `{keyword}`; guests send queries and changes of rows only");
        return Err(DbError::new(Kind::Forbidden, message));
    };
    if matches!(verb, Verb::Insert | Verb::Change) && access != Access::ReadWrite {
        return Err(DbError::new(Kind::ReadOnly, format!("{keyword} needs a writer; this handle is a reader")));
    }
    if params.len() != wanted {
        // SQLite would take NULL for those that are missing.
        let message = format!("the statement has {wanted} parameters, but {} were given", params.len());
        return Err(DbError::new(Kind::Other, message));
    }
    Ok(verb)
}

/// The first word of the one statement in `sql` and how many parameters it has, or why it is not one statement.
fn read(sql: &str) -> Result<(&str, usize), &'static str> {
    let bytes = sql.as_bytes();
    let mut keyword = None;
    let mut params = 0usize;
    let mut depth = 0usize;
    let mut ended = false;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            0 => return Err("the statement holds a NUL byte"),
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let length = sql[at + 2..].find("*/").ok_or("a comment is not closed")?;
                at += length + 4;
                continue;
            }
            b';' => {
                ended = true;
                at += 1;
                continue;
            }
            _ if ended => return Err("only one statement may be sent at a time"),
            quote @ (b'\'' | b'"' | b'`') => at = after_quoted(bytes, at, quote)?,
            b'[' => {
                at += 1 + bytes[at..].iter().position(|&byte| byte == b']').ok_or("a quoted name is not closed")?;
            }
            b'(' => {
                depth += 1;
                at += 1;
                // `(SELECT ..)` begins with its first word.
                continue;
            }
            b')' => {
                depth = depth.checked_sub(1).ok_or("a parenthesis is closed that was not opened")?;
                at += 1;
            }
            sign @ (b'?' | b'$') if sign == b'?' || bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                at += 1 + bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                // `?` is the next one, `?7` the seventh.
                let number = match &sql[start + 1..at] {
                    "" => params.saturating_add(1),
                    digits => digits.parse().unwrap_or(usize::MAX),
                };
                params = params.max(number);
            }
            byte if is_word(byte) => at += bytes[at..].iter().take_while(|&&byte| is_word(byte)).count(),
            _ => at += 1,
        }
        keyword.get_or_insert(start..at);
    }
    if bytes.contains(&0) {
        return Err("the statement holds a NUL byte");
    }
    if depth > 0 {
        return Err("a parenthesis is not closed");
    }
    // Quotes and words end at ASCII bytes or at the end, so the range is on character boundaries.
    let keyword = keyword.and_then(|range| sql.get(range)).ok_or("the statement is empty")?;
    Ok((keyword, params))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The index after the quoted text that begins at `at`; a doubled quote stands for itself.
fn after_quoted(bytes: &[u8], mut at: usize, quote: u8) -> Result<usize, &'static str> {
    loop {
        let length = bytes[at + 1..].iter().position(|&byte| byte == quote).ok_or("a quoted text is not closed")?;
        at += length + 2;
        if bytes.get(at) != Some(&quote) {
            return Ok(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Access::{ReadOnly, ReadWrite};

    #[test]
    fn statements_pass_or_are_refused() {
        let ok = None;
        let forbidden = Some(Kind::Forbidden);
        let table = [
            ("SELECT 1", ReadOnly, ok),
            ("  select 1 ;  -- done", ReadOnly, ok),
            ("/* a */ (SELECT 1) /* ; */;", ReadOnly, ok),
            ("SELECT ';', \"a;b\", [c;d], `e;f`, 'it''s;'", ReadOnly, ok),
            ("WITH a AS (SELECT 1) SELECT * FROM a", ReadOnly, ok),
            ("VALUES (1), (2)", ReadOnly, ok),
            ("INSERT INTO t VALUES (1)", ReadOnly, Some(Kind::ReadOnly)),
            ("INSERT INTO t VALUES (1)", ReadWrite, ok),
            ("replace into t values (1)", ReadWrite, ok),
            ("UPDATE t SET a = 'é'", ReadWrite, ok),
            ("DELETE FROM t", ReadWrite, ok),
            ("SELECT 1; SELECT 2", ReadOnly, forbidden),
            ("SELECT 1; COMMIT", ReadWrite, forbidden),
            ("SELECT 1;;", ReadOnly, ok),
            ("COMMIT", ReadWrite, forbidden),
            ("/**/COMMIT", ReadWrite, forbidden),
            ("-- SELECT\nROLLBACK", ReadWrite, forbidden),
            ("(((END)))", ReadWrite, forbidden),
            ("BEGIN", ReadWrite, forbidden),
            ("SAVEPOINT a", ReadWrite, forbidden),
            ("PRAGMA query_only = 0", ReadOnly, forbidden),
            ("ATTACH '/etc/passwd' AS x", ReadWrite, forbidden),
            ("EXPLAIN SELECT 1", ReadOnly, forbidden),
            ("CREATE TABLE t (a)", ReadWrite, forbidden),
            ("VACUUM INTO '/tmp/x'", ReadWrite, forbidden),
            ("SELECT (1", ReadOnly, forbidden),
            ("SELECT 1)", ReadOnly, forbidden),
            ("SELECT 'a", ReadOnly, forbidden),
            ("SELECT /* a", ReadOnly, forbidden),
            ("SELECT [a", ReadOnly, forbidden),
            ("SELECT 1\0; COMMIT", ReadWrite, forbidden),
            ("-- \0\nSELECT 1", ReadWrite, forbidden),
            ("", ReadOnly, forbidden),
            (" ; ", ReadOnly, forbidden),
            ("'SELECT'", ReadOnly, forbidden),
            ("éSELECT 1", ReadOnly, forbidden),
        ];
        for (sql, access, expected) in table {
            assert_eq!(check(sql, &[], access).map_err(|error| error.kind).err(), expected, "{sql:?} {access:?}");
        }
    }

    #[test]
    fn parameters_are_counted() {
        let table = [
            ("SELECT 1", 0),
            ("SELECT ?, ?", 2),
            ("SELECT ?2, ?1", 2),
            ("SELECT ?3, ?", 4),
            ("SELECT ?1, ?1", 1),
            ("SELECT $2, a$1", 2),
            ("SELECT '?', \"?\", [?], `?` -- ?\n /* ? */", 0),
            ("SELECT a->>'?', ?", 1),
        ];
        for (sql, expected) in table {
            assert_eq!(read(sql).map(|(_, params)| params), Ok(expected), "{sql}");
            let given = vec![Value::Null; expected + 1];
            let kind = |given: &[Value]| check(sql, given, ReadOnly).map_err(|error| error.kind);
            assert_eq!((kind(&given[1..]), kind(&given)), (Ok(Verb::Query), Err(Kind::Other)), "{sql}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let kind = |sql: &str, params: &[Value]| check(sql, params, ReadOnly).map_err(|error| error.kind);
        assert_eq!(kind(&format!("SELECT '{}'", "x".repeat(MAX_SQL_BYTES)), &[]), Err(Kind::Limit));
        assert_eq!(kind("SELECT ?", &vec![Value::Null; MAX_PARAMS + 1]), Err(Kind::Limit));
        assert_eq!(kind("SELECT ?", &[Value::Bytes(vec![0; MAX_PARAM_BYTES + 1])]), Err(Kind::Limit));
        assert_eq!(kind("SELECT ?", &[Value::Bytes(vec![0; MAX_PARAM_BYTES])]), Ok(Verb::Query));
    }
}
