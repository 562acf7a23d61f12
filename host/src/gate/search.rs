//! Limits of full-text queries on SQLite. FTS5 parses a query in quadratic time and does not call the progress handler
//! meanwhile: a parameter of 200 kB took more than 20 s. The gate cannot check a query that comes from a column, or
//! that a statement passes by `=` instead of `MATCH`, as in `docs = ?`. Only the statement's timeout limits such a
//! query; see `sqlite/budget.rs`.

use super::{
    Checked, Placeholder,
    lexer::{Lexer, Shape},
    syntax,
};
use crate::sql::{
    error::{DbError, Kind},
    value::Value,
};

/// Maximum length of a full-text query, in bytes.
const MAX_BYTES: usize = 4096;
/// Maximum number of terms of a full-text query.
const MAX_TERMS: usize = 64;
/// Total length of literals and parameters, in bytes, up to which no query can exceed the limits: a term has at least
/// one byte, and each term except the first needs a separator. A parameter counts as often as it is used.
const HARMLESS: usize = 2 * MAX_TERMS;

/// Keywords that end the operand of `MATCH`.
const ENDS_OPERAND: &str = "AND OR IS IN LIKE GLOB MATCH BETWEEN FROM WHERE JOIN ON AS ORDER GROUP HAVING LIMIT WINDOW UNION \
    EXCEPT INTERSECT RETURNING WHEN THEN ELSE END";
/// Keywords after which a name with parentheses is not a table.
const ENDS_TABLES: &str = "WHERE GROUP ORDER HAVING LIMIT WINDOW UNION EXCEPT INTERSECT ON USING SELECT SET RETURNING";
/// Prefixes of all table-valued functions that are not full-text tables.
const OTHER_FUNCTIONS: [&str; 2] = ["json", "pragma_"];

/// Checks the literals and parameters in the operands of `MATCH`, and in the arguments of tables that are called as
/// functions.
pub(super) fn check(sql: &str, params: &[Value], checked: &Checked) -> Result<(), DbError> {
    let size = |placeholder: &Placeholder| params.get(placeholder.number - 1).map_or(0, Value::size);
    let bytes = checked.literal_bytes + checked.placeholders.iter().map(size).sum::<usize>();
    match bytes > HARMLESS {
        true => check_queries(sql, params, &checked.placeholders),
        false => Ok(()),
    }
}

fn check_queries(sql: &str, params: &[Value], placeholders: &[Placeholder]) -> Result<(), DbError> {
    let mut lexer = Lexer::new(&syntax::SQLITE, sql);
    let mut placeholders = placeholders.iter();
    let (mut tables, mut query, mut depth) = (Tables::default(), None::<Query>, 0usize);
    while let Ok(Some(token)) = lexer.next() {
        let (text, shape) = (&sql[token.range], token.shape);
        depth = match shape {
            Shape::Open => depth + 1,
            Shape::Close => depth.saturating_sub(1),
            _ => depth,
        };
        if query.as_ref().is_some_and(|query| query.ends(shape, text, depth)) {
            query.take().map_or(Ok(()), Query::check)?;
        }
        let param = match shape {
            Shape::Parameter(_) => placeholders.next().and_then(|place| params.get(place.number.checked_sub(1)?)),
            _ => None,
        };
        match (&mut query, shape, param) {
            (Some(query), Shape::Literal, _) => query.add(text.trim_matches('\'')),
            (Some(query), _, Some(Value::Text(text) | Value::Other { text, .. })) => query.add(text),
            (Some(query), _, Some(Value::Bytes(bytes))) => query.add(&String::from_utf8_lossy(bytes)),
            (None, Shape::Word, _) if is_one_of(text, "MATCH") => query = Some(Query::at(depth)),
            (None, Shape::Open, _) if tables.place == Place::Name => query = Some(Query::at(depth)),
            _ => {}
        }
        tables.take(shape, text);
    }
    query.map_or(Ok(()), Query::check)
}

/// Returns whether `word` is one of `keywords`, which are separated by spaces.
fn is_one_of(word: &str, keywords: &str) -> bool {
    keywords.split(' ').any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Tracks the lists of tables after `FROM` and `JOIN`.
#[derive(Debug, Default)]
struct Tables<'a> {
    place: Place,
    /// Last two tokens.
    before: [&'a str; 2],
}

/// Position of a token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not in a list of tables.
    #[default]
    Outside,
    /// In a list of tables.
    Inside,
    /// In a list of tables, after a name that can be the name of a full-text table.
    Name,
}

impl<'a> Tables<'a> {
    fn take(&mut self, shape: Shape, text: &'a str) {
        // In `IS NOT DISTINCT FROM`, the word `FROM` is a part of the operator and begins no list of tables.
        let compares = is_one_of(self.before[1], "DISTINCT") && is_one_of(self.before[0], "IS NOT");
        let name = text.trim_start_matches(['"', '`', '[']);
        let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        self.place = match shape {
            Shape::Word if is_one_of(text, "FROM JOIN") && !compares => Place::Inside,
            Shape::Word if is_one_of(text, ENDS_TABLES) => Place::Outside,
            Shape::Word | Shape::QuotedName if self.place != Place::Outside => {
                match OTHER_FUNCTIONS.into_iter().any(begins) {
                    true => Place::Inside,
                    false => Place::Name,
                }
            }
            Shape::Sign(b'.' | b',') if self.place != Place::Outside => Place::Inside,
            _ => Place::Outside,
        };
        self.before = [self.before[1], text];
    }
}

/// Size of the part of a full-text query that has been read.
#[derive(Debug)]
struct Query {
    /// Number of open parentheses around the query.
    depth: usize,
    bytes: usize,
    terms: usize,
}

impl Query {
    fn at(depth: usize) -> Self {
        Self { depth, bytes: 0, terms: 0 }
    }

    /// Returns whether the query ends before this token.
    fn ends(&self, shape: Shape, text: &str, depth: usize) -> bool {
        let ends = match shape {
            Shape::Word => is_one_of(text, ENDS_OPERAND),
            Shape::Sign(sign) => matches!(sign, b',' | b'=' | b'!'),
            _ => false,
        };
        depth < self.depth || depth == self.depth && ends
    }

    /// Adds a part of the query. The statement concatenates the parts.
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

/// Returns the number of words in a full-text query, without its operators.
fn terms(text: &str) -> usize {
    let is_separator = |letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_';
    text.split(is_separator).filter(|word| !["", "AND", "OR", "NOT", "NEAR"].contains(word)).count()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Access, Rules, scan},
        *,
    };

    fn result(sql: &str, params: &[Value]) -> Result<(), DbError> {
        let checked = scan(&Rules::Sqlite, sql, params.len(), Access::ReadOnly).expect("the gate accepts the text");
        check(sql, params, &checked)
    }

    #[test]
    fn a_parameter_counts_as_often_as_it_is_used() {
        let sql = |uses: usize| format!("SELECT 1 FROM t WHERE t MATCH {}", vec!["?1"; uses].join(" || "));
        let table = [(64, None), (65, Some(Kind::Limit)), (1000, Some(Kind::Limit))];
        let found = table.map(|(uses, _)| {
            let result = Rules::Sqlite.check(&sql(uses), &[Value::Text("w ".into())], Access::ReadOnly);
            (uses, result.err().map(|error| error.kind))
        });
        assert_eq!(found, table);
    }

    fn words(count: usize) -> Value {
        Value::Text(vec!["w"; count].join(" "))
    }

    #[test]
    fn limits_the_operands_of_match_and_the_arguments_of_full_text_tables() {
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
        let mut wrong = Vec::new();
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
                if result.is_ok() != allowed {
                    wrong.push(format!("{sql} with {} bytes: {result:?}", param.size()));
                }
            }
            let text = format!("'{}'", "w ".repeat(65));
            let sql = sql.replace("?1", "?").replace('?', &text);
            if result(&sql, &[]).is_ok() {
                wrong.push(sql);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        let parts = result("SELECT 1 FROM t WHERE t MATCH ? || ' OR ' || ?", &[words(40), words(25)]);
        let message = parts.expect_err("the parts are one query").message;
        assert!(message.starts_with("the full-text query has 132 bytes and 65 terms;"), "{message}");
        let two = "SELECT 1 FROM t WHERE t MATCH ? UNION SELECT 1 FROM t WHERE t MATCH ?";
        assert!(result(two, &[words(40), words(40)]).is_ok());
        assert!(result(two, &[words(40), words(70)]).is_err());
    }

    #[test]
    fn other_values_are_not_limited() {
        let statements = [
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
        ];
        let refused: Vec<_> = statements.into_iter().filter(|sql| result(sql, &[words(1000)]).is_err()).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }

    #[test]
    fn counts_the_words_but_not_the_operators_of_a_query() {
        let table = [
            ("", 0),
            ("a", 1),
            ("a AND b OR c NOT d", 4),
            ("NEAR(a b, 10)", 3),
            ("\"a b\" + c*", 3),
            ("title:a_b", 2),
            ("größe 語句", 2),
        ];
        assert_eq!(table.map(|(text, _)| (text, terms(text))), table);
    }
}
