//! Tables of accepted and refused statements for each dialect, and properties of arbitrary texts.

mod mysql;
mod postgres;
mod sqlite;

use proptest::prelude::*;

use super::*;
use Access::{ReadOnly, ReadWrite};

const ALL: [Dialect; 3] = [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql];

fn check(dialect: Dialect, sql: &str, params: &[Value], access: Access) -> Result<Checked, DbError> {
    let rules = match dialect {
        Dialect::Sqlite => Rules::Sqlite,
        Dialect::Postgres => Rules::Postgres(Extensions::default()),
        Dialect::MySql => Rules::MySql(None),
    };
    rules.check(sql, params, access)
}

/// Returns the kind of error with which the gate refuses a statement, or `None` if the gate accepts it. Tries several
/// numbers of parameters, because the gate also refuses a wrong number.
fn refusal(dialect: Dialect, sql: &str, access: Access) -> Option<Kind> {
    let mut kinds =
        (0..10).map(|count| check(dialect, sql, &vec![Value::Null; count], access).err().map(|error| error.kind));
    kinds.find(|kind| *kind != Some(Kind::Other)).unwrap_or(Some(Kind::Other))
}

/// Asserts that the gate refuses all statements with errors of the kind `expected`, or accepts all statements if
/// `expected` is `None`.
fn all_are(dialect: Dialect, access: Access, expected: Option<Kind>, statements: &[&str]) {
    let wrong = statements.iter().filter(|sql| refusal(dialect, sql, access) != expected);
    let wrong: Vec<String> = wrong.map(|sql| format!("{:?} {sql}", refusal(dialect, sql, access))).collect();
    assert!(wrong.is_empty(), "{access:?}, not {expected:?}:\n{}", wrong.join("\n"));
}

/// Statements that the gate refuses in every dialect and through both kinds of handles, `reader` and `writer`.
const ALWAYS_FORBIDDEN: &[&str] = &[
    "",
    " ; ",
    ";",
    "-- nothing",
    "/* nothing */",
    "COMMIT",
    "commit work",
    "END",
    "ROLLBACK",
    "ROLLBACK TO carya_0",
    "SAVEPOINT carya_0",
    "RELEASE carya_0",
    "BEGIN",
    "START TRANSACTION",
    "/**/COMMIT",
    "/* SELECT */ COMMIT",
    "/*/ SELECT 1; */ COMMIT",
    "-- SELECT\nROLLBACK",
    "--\r\nCOMMIT",
    " \t\r\n\u{c}COMMIT",
    "\u{b}COMMIT",
    "\u{feff}COMMIT",
    "\u{a0}SELECT 1",
    "(COMMIT)",
    "(((END)))",
    ";COMMIT",
    "1",
    "'SELECT'",
    "\"SELECT\" 1",
    "éSELECT 1",
    "SELECT1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COMMIT",
    "SELECT 1;COMMIT;BEGIN",
    "SELECT 1;\nCOMMIT -- ;",
    "SELECT 1 /* ; */ ; COMMIT",
    "SELECT ';' ; ROLLBACK",
    "SELECT \"a;\"\";b\" ; ROLLBACK",
    "SELECT 'it''s;' ; COMMIT",
    "SELECT 1 -- \n;COMMIT",
    "INSERT INTO t VALUES ('x'); COMMIT; BEGIN",
    "SELECT (1",
    "SELECT 1)",
    "SELECT (1))",
    "SELECT )1(",
    "SELECT 'a",
    "SELECT 'a''",
    "SELECT \"a",
    "SELECT /* a",
    "SELECT 1 /*/",
    "SELECT 1\0; COMMIT",
    "SELECT '\0'",
    "-- \0\nSELECT 1",
    "\0COMMIT",
    "CREATE TABLE t (a int)",
    "CREATE TEMPORARY TABLE t (a int)",
    "DROP TABLE t",
    "ALTER TABLE t ADD a int",
    "TRUNCATE t",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM t",
    "SET a = 1",
    "SHOW TABLES",
    "ANALYZE",
    "PRAGMA query_only = 0",
    "ATTACH '/etc/passwd' AS x",
    "DETACH DATABASE main",
    "VACUUM INTO '/tmp/x'",
    "REINDEX",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "CALL a()",
    "GRANT ALL ON t TO PUBLIC",
];

#[test]
fn all_dialects_refuse_statements_other_than_single_queries_and_changes() {
    for dialect in ALL {
        for access in [ReadOnly, ReadWrite] {
            all_are(dialect, access, Some(Kind::Forbidden), ALWAYS_FORBIDDEN);
        }
    }
}

#[test]
fn sizes_are_limited() {
    let kind =
        |sql: &str, params: &[Value]| check(Dialect::Sqlite, sql, params, ReadOnly).map_err(|error| error.kind).err();
    assert_eq!(kind(&format!("SELECT '{}'", "x".repeat(MAX_SQL_BYTES)), &[]), Some(Kind::Limit));
    assert_eq!(kind("SELECT ?", &vec![Value::Null; MAX_PARAMS + 1]), Some(Kind::Limit));
    assert_eq!(kind("SELECT ?", &[Value::Bytes(vec![0; MAX_PARAM_BYTES + 1])]), Some(Kind::Limit));
    assert_eq!(kind("SELECT ?", &[Value::Bytes(vec![0; MAX_PARAM_BYTES])]), None);
}

#[test]
fn parameters_are_counted() {
    use Dialect::{MySql, Postgres, Sqlite};
    let table: &[(&[Dialect], &str, &[usize])] = &[
        (&ALL, "SELECT 1", &[]),
        (&ALL, "SELECT ?, ?", &[1, 2]),
        (&ALL, "SELECT ?2, ?1", &[2, 1]),
        (&ALL, "SELECT ?3, ?", &[3, 4]),
        (&ALL, "SELECT ?1, ?1", &[1, 1]),
        (&ALL, "SELECT $2, a$1", &[2]),
        (&ALL, "SELECT '?', \"?\" -- ?\n /* ? */", &[]),
        (&ALL, "SELECT a->>'?', ?", &[1]),
        (&ALL, "SELECT (?)+?", &[1, 2]),
        (&[Sqlite], "SELECT [?], `?`", &[]),
        (&[MySql], "SELECT `?` # ?\n", &[]),
        (&[Postgres], "SELECT $$?$$, $a$?$a$, E'\\'?', U&'?', /* /* ? */ ? */ ?::int", &[1]),
    ];
    let mut wrong = Vec::new();
    for (dialects, sql, expected) in table {
        for dialect in *dialects {
            let highest = expected.iter().copied().max().unwrap_or(0);
            let given = vec![Value::Null; highest + 1];
            let checked = check(*dialect, sql, &given[1..], ReadOnly).map_err(|error| error.message);
            let numbers = checked.map(|checked| checked.placeholders.iter().map(|one| one.number).collect());
            let with_one_more = check(*dialect, sql, &given, ReadOnly).err().map(|error| error.kind);
            if (&numbers, with_one_more) != (&Ok(expected.to_vec()), Some(Kind::Other)) {
                wrong.push(format!("{dialect:?} {sql}: {numbers:?}, {with_one_more:?} with one more"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns a strategy for texts that consist of pieces with a meaning for the lexer.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "SELECT",
        "INSERT",
        " INTO ",
        "WITH",
        "UPDATE",
        "'",
        "''",
        "\"",
        "`",
        "[",
        "]",
        "(",
        ")",
        ";",
        "--",
        "-- ",
        "#",
        "/*",
        "*/",
        "/*!",
        "\\",
        "$",
        "$$",
        "$a$",
        "$1",
        "?",
        "?2",
        "E'",
        "U&\"",
        "e",
        "1",
        "0x",
        "1e",
        ".",
        "é",
        "\u{212a}",
        "\n",
        "\r",
        " ",
        ",",
        "carya_outbox",
        "pg_sleep",
        "sleep",
        "last_insert_id",
        "information_schema",
        "x",
        "@",
        ":=",
        "\0",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused(sql in prop_oneof![any::<String>(), soup(), soup().prop_map(|end| format!("SELECT {end}"))]) {
        for dialect in ALL {
            for count in 0..3 {
                let Ok(checked) = check(dialect, &sql, &vec![Value::Null; count], ReadWrite) else { continue };
                let mut end = 0;
                for placeholder in &checked.placeholders {
                    prop_assert!(placeholder.range.start >= end);
                    prop_assert!(sql[placeholder.range.clone()].starts_with(['?', '$']));
                    end = placeholder.range.end;
                }
                // In an accepted text, all quotes and comments are closed. Therefore the gate must detect a second
                // statement after the text.
                let two = format!("{sql}\n;COMMIT");
                let refused = check(dialect, &two, &vec![Value::Null; count], ReadWrite).map_err(|error| error.kind);
                prop_assert_eq!(refused, Err(Kind::Forbidden), "{:?} {}", dialect, two);
            }
        }
    }

    #[test]
    fn literals_can_contain_any_text(text in "[^'\\\\\0]{0,40}") {
        for dialect in ALL {
            prop_assert_eq!(refusal(dialect, &format!("SELECT '{text}'"), ReadOnly), None, "{:?}", dialect);
        }
    }
}

#[test]
fn a_refusal_names_the_alternative() {
    let table = [
        (Dialect::Postgres, "CALL f()", "call a function"),
        (Dialect::MySql, "EXPLAIN SELECT 1", "echo = true"),
        (Dialect::Sqlite, "SAVEPOINT a", "through a writer"),
        (Dialect::Postgres, "begin", "the host begins and ends"),
        (Dialect::MySql, "SHOW TABLES", "information_schema"),
        (Dialect::Sqlite, "PRAGMA table_info(t)", "sqlite_schema"),
        (Dialect::Postgres, "SHOW all", "information_schema"),
        (Dialect::Sqlite, "CREATE TABLE t (a)", "migration"),
        (Dialect::Postgres, "REPLACE INTO t VALUES (1)", "ON CONFLICT"),
        (Dialect::MySql, "MERGE INTO t", "ON DUPLICATE KEY"),
        (Dialect::Postgres, "LISTEN a", "after-commit"),
        (Dialect::Postgres, "SELECT pg_advisory_lock(1)", "pg_advisory_xact_lock"),
        (Dialect::MySql, "SELECT GET_LOCK('a', 1)", "FOR UPDATE"),
        (Dialect::Postgres, "SELECT lo_create(0)", "bytea"),
    ];
    let result = |dialect, sql| check(dialect, sql, &[], ReadWrite).map_err(|error| (error.kind, error.message));
    let advises = |result: &Result<Checked, (Kind, String)>, advice| matches!(result, Err((Kind::Forbidden, message)) if message.contains(advice));
    let wrong = table.map(|(dialect, sql, advice)| (sql, advice, result(dialect, sql)));
    let wrong: Vec<_> = wrong.into_iter().filter(|(_, advice, result)| !advises(result, *advice)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
