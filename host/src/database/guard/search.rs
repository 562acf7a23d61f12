//! Limits of full-text queries on SQLite. FTS5 parses a query in quadratic time, in which its progress handler is not called:
//! a parameter of 200 kB took more than 20 s. A query that is not visible in the statement, because it comes from a column or
//! is compared by `=`, has the time limit of the statement alone, see `sqlite/budget.rs`.

use super::{
    Dialect, Placeholder,
    lexer::{Lexer, Shape},
};
use crate::database::{
    error::{DbError, Kind},
    value::Value,
};

/// The longest full-text query, in bytes.
const MAX_BYTES: usize = 4096;
/// The most terms of a full-text query.
const MAX_TERMS: usize = 64;
/// Shorter statements cannot exceed the limits: each term but the first needs a separator.
const HARMLESS: usize = 2 * MAX_TERMS;

/// Keywords that end the operand of `MATCH`, beside operators that bind as loosely.
const ENDS_OPERAND: [&str; 26] = [
    "FROM",
    "WHERE",
    "JOIN",
    "ON",
    "AS",
    "WHEN",
    "AND",
    "OR",
    "IS",
    "IN",
    "LIKE",
    "GLOB",
    "MATCH",
    "BETWEEN",
    "ORDER",
    "GROUP",
    "HAVING",
    "LIMIT",
    "WINDOW",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "RETURNING",
    "THEN",
    "ELSE",
    "END",
];
/// Keywords behind which a name with parentheses is no table any more.
const ENDS_FROM: [&str; 14] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "WINDOW",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "ON",
    "USING",
    "SELECT",
    "SET",
    "RETURNING",
];
/// The table-valued functions that are no full-text tables begin with one of these.
const OTHER_FUNCTIONS: [&str; 2] = ["json", "pragma_"];

/// Checks the operands of `MATCH` and the arguments of tables that are called as functions: texts in the statement and
/// parameters.
pub(super) fn check(sql: &str, params: &[Value], placeholders: &[Placeholder]) -> Result<(), DbError> {
    if sql.len() + params.iter().map(Value::size).sum::<usize>() <= HARMLESS {
        return Ok(());
    }
    let mut lexer = Lexer::new(Dialect::Sqlite, sql);
    let mut placeholders = placeholders.iter();
    let mut clause = From::Outside;
    let (mut query, mut depth) = (None::<Query>, 0usize);
    let (mut previous, mut is_distinct) = ("", false);
    while let Ok(Some(token)) = lexer.next() {
        let text = &sql[token.range];
        let is =
            |words: &[&str]| token.shape == Shape::Word && words.iter().any(|word| text.eq_ignore_ascii_case(word));
        depth = match token.shape {
            Shape::Open => depth + 1,
            Shape::Close => depth.saturating_sub(1),
            _ => depth,
        };
        let ends = |query: &Query| {
            depth < query.depth
                || depth == query.depth && (is(&ENDS_OPERAND) || matches!(token.shape, Shape::Sign(b',' | b'=' | b'!')))
        };
        if query.as_ref().is_some_and(ends) {
            query.take().map_or(Ok(()), Query::check)?;
        }
        match (&mut query, token.shape) {
            (Some(query), Shape::Text) => query.add(text.trim_matches('\'')),
            (None, Shape::Word) if is(&["MATCH"]) => query = Some(Query::at(depth)),
            (None, Shape::Open) if clause == From::Name => query = Some(Query::at(depth)),
            _ => {}
        }
        if let Shape::Parameter(_) = token.shape {
            let param = placeholders.next().and_then(|placeholder| params.get(placeholder.number.checked_sub(1)?));
            match (&mut query, param) {
                (Some(query), Some(Value::Text(text) | Value::Other { text, .. })) => query.add(text),
                (Some(query), Some(Value::Bytes(bytes))) => query.add(&String::from_utf8_lossy(bytes)),
                _ => {}
            }
        }
        // `IS DISTINCT FROM` compares.
        clause = match token.shape {
            Shape::Word if is(&["FROM", "JOIN"]) && !is_distinct => From::Inside,
            Shape::Word if is(&ENDS_FROM) => From::Outside,
            Shape::Word | Shape::Name if clause != From::Outside => {
                let name = text.trim_start_matches(['"', '`', '[']);
                let other =
                    |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
                if OTHER_FUNCTIONS.iter().any(|prefix| other(&prefix)) { From::Inside } else { From::Name }
            }
            Shape::Sign(b'.' | b',') if clause != From::Outside => From::Inside,
            _ => From::Outside,
        };
        is_distinct = is(&["DISTINCT"]) && ["IS", "NOT"].iter().any(|word| previous.eq_ignore_ascii_case(word));
        previous = text;
    }
    query.map_or(Ok(()), Query::check)
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Not in a list of tables.
    Outside,
    /// In a list of tables.
    Inside,
    /// In a list of tables, behind a name that may be one of a full-text table.
    Name,
}

/// What is known of a full-text query.
#[derive(Debug)]
struct Query {
    /// How many parentheses are open around it.
    depth: usize,
    bytes: usize,
    terms: usize,
}

impl Query {
    fn at(depth: usize) -> Self {
        Self { depth, bytes: 0, terms: 0 }
    }

    /// Adds a part of the query: parts are concatenated.
    fn add(&mut self, text: &str) {
        self.bytes += text.len();
        self.terms += terms(text);
    }

    fn check(self) -> Result<(), DbError> {
        let Self { bytes, terms, .. } = self;
        if bytes <= MAX_BYTES && terms <= MAX_TERMS {
            return Ok(());
        }
        let message = format!(
            "the full-text query has {bytes} bytes and {terms} terms; at most {MAX_BYTES} bytes and {MAX_TERMS} terms are \
             allowed; search for fewer words"
        );
        Err(DbError::new(Kind::Limit, message))
    }
}

/// The number of words in a full-text query, without its operators.
fn terms(text: &str) -> usize {
    let is_separator = |letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_';
    text.split(is_separator).filter(|word| !["", "AND", "OR", "NOT", "NEAR"].contains(word)).count()
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    fn result(sql: &str, params: &[Value]) -> Result<(), DbError> {
        let checked = read(Dialect::Sqlite, sql, params.len(), true).expect("the gate lets it pass");
        check(sql, params, &checked.placeholders)
    }

    fn words(count: usize) -> Value {
        Value::Text(vec!["w"; count].join(" "))
    }

    #[test]
    fn full_text_queries_are_limited_wherever_the_statement_shows_them() {
        let queries = [
            "SELECT 1 FROM t WHERE t MATCH ?",
            "SELECT 1 FROM t WHERE t.body match (?1) ORDER BY rank",
            "SELECT 1 FROM t WHERE t MATCH '\"' || ? || '\"' AND id > 1",
            "SELECT 1 FROM t WHERE t MATCH (SELECT trim(?))",
            "SELECT 1 FROM a WHERE id IN (SELECT rowid FROM t WHERE t MATCH ?)",
            "SELECT 1 FROM t(?)",
            "SELECT 1 FROM a JOIN main.\"t\" (?) ON true",
            "SELECT 1 FROM a x, t(?) WHERE true",
            "WITH q AS (SELECT 1 FROM t WHERE t MATCH ?) SELECT 1 FROM q",
        ];
        for sql in queries {
            for (param, allowed) in [
                (words(64), true),
                (words(65), false),
                (Value::Text("w".repeat(4096 - 2)), true),
                (Value::Text("w".repeat(4097)), false),
                (Value::Bytes(vec![b'w'; 5000]), false),
                (Value::Int64(1), true),
            ] {
                let result = result(sql, std::slice::from_ref(&param));
                assert_eq!(result.is_ok(), allowed, "{sql}: {result:?}");
            }
            let text = format!("'{}'", "w ".repeat(65));
            let sql = sql.replace("?1", "?").replace('?', &text);
            assert!(result(&sql, &[]).is_err(), "{sql}");
        }
        let parts = result("SELECT 1 FROM t WHERE t MATCH ? || ' OR ' || ?", &[words(40), words(25)]);
        let message = parts.expect_err("the parts are one query").message;
        assert!(message.starts_with("the full-text query has 132 bytes and 65 terms;"), "{message}");
        let two = "SELECT 1 FROM t WHERE t MATCH ? UNION SELECT 1 FROM t WHERE t MATCH ?";
        assert!(result(two, &[words(40), words(40)]).is_ok());
        assert!(result(two, &[words(40), words(70)]).is_err());
    }

    #[test]
    fn other_values_are_not_limited() {
        for sql in [
            "SELECT 1 FROM t WHERE body = ?",
            "SELECT 1 FROM t WHERE t MATCH 'w' AND body = ?",
            "SELECT 1 FROM t WHERE t MATCH 'w' = ?",
            "SELECT ?, 1 FROM t WHERE t MATCH 'w'",
            "SELECT 1 FROM t WHERE (t MATCH 'w') LIMIT length(?)",
            "SELECT 1 FROM json_each(?)",
            "SELECT 1 FROM a, JSON_tree(?)",
            "SELECT 1 FROM a JOIN b USING (id) WHERE trim(?) = a",
            "SELECT 1 FROM a JOIN b ON (b.id = ?)",
            "SELECT 1 FROM a WHERE a IS NOT DISTINCT FROM trim(?)",
            "SELECT 1 FROM a ORDER BY instr(a, ?)",
            "SELECT match FROM (SELECT ? AS match)",
        ] {
            assert!(result(sql, &[words(1000)]).is_ok(), "{sql}");
        }
    }

    #[test]
    fn terms_are_words() {
        for (text, expected) in [
            ("", 0),
            ("a", 1),
            ("a AND b OR c NOT d", 4),
            ("NEAR(a b, 10)", 3),
            ("\"a b\" + c*", 3),
            ("title:a_b", 2),
            ("größe 語句", 2),
        ] {
            assert_eq!(terms(text), expected, "{text}");
        }
    }
}
