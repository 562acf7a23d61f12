//! Tests of reading definitions from the schema.

use super::*;
use crate::sql::error::ViolationKind::{self, Check, NotNull, Unique};

fn object(kind: &str, name: &str, table: &str, sql: &str) -> Object {
    Object { kind: kind.to_owned(), name: name.to_owned(), table: table.to_owned(), sql: sql.to_owned() }
}

fn table(sql: &str) -> Table {
    Schema::new(&[object("table", "t", "t", sql)]).tables.pop().unwrap_or_default()
}

type Row<'a> = (ViolationKind, &'a str, Option<&'a str>, Vec<&'a str>);

fn row(constraint: &Constraint) -> Row<'_> {
    let columns = constraint.columns.iter().map(String::as_str).collect();
    (constraint.kind, &constraint.label, constraint.name.as_deref(), columns)
}

/// Returns the constraints of a table, without those of the kind `NotNull`.
fn rows(table: &Table) -> Vec<Row<'_>> {
    table.constraints.iter().filter(|constraint| constraint.kind != NotNull).map(row).collect()
}

#[test]
fn definitions_contain_constraints() {
    let cases: [(&str, Vec<Row<'_>>); 10] = [
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b)", vec![(Unique, "t.a", None, vec!["a"])]),
        ("CREATE TABLE t (a, b, CONSTRAINT u UNIQUE (B, a))", vec![(Unique, "t.b, t.a", Some("u"), vec!["b", "a"])]),
        (
            "CREATE TABLE t (a VARCHAR(2,3) CONSTRAINT \"u \"\"1\" NOT NULL UNIQUE DEFAULT (1), [b,c] UNIQUE)",
            vec![(Unique, "t.a", Some("u \"1"), vec!["a"]), (Unique, "t.b,c", None, vec!["b,c"])],
        ),
        (
            "CREATE TABLE t (a, b, PRIMARY KEY (a COLLATE nocase DESC, b) ON CONFLICT ABORT) WITHOUT ROWID",
            vec![(Unique, "t.a, t.b", None, vec!["a", "b"])],
        ),
        (
            "CREATE TABLE t (size CHECK ( size >\n 0 ), name, CONSTRAINT c CHECK (length(NAME) < size))",
            vec![(Check, "size >\n 0", None, vec!["size"]), (Check, "c", Some("c"), vec!["name", "size"])],
        ),
        ("CREATE TABLE t (a CHECK (\"a\" > 0))", vec![(Check, "a", None, vec!["a"])]),
        (
            "CREATE TABLE t (a CONSTRAINT one CHECK (a > 0) CHECK (a < 9), b CHECK (b IN (',', ')')))",
            vec![
                (Check, "one", Some("one"), vec!["a"]),
                (Check, "one", Some("one"), vec!["a"]),
                (Check, "b IN (',', ')')", None, vec!["b"]),
            ],
        ),
        (
            "CREATE TABLE t (a, CONSTRAINT x CHECK (a > 0) CONSTRAINT y UNIQUE (a)) STRICT",
            vec![(Unique, "t.a", Some("y"), vec!["a"]), (Check, "x", Some("x"), vec!["a"])],
        ),
        (
            "CREATE TABLE t (a -- the, key\n UNIQUE /* ) */, 'b' GENERATED ALWAYS AS (a || ',') UNIQUE)",
            vec![(Unique, "t.a", None, vec!["a"]), (Unique, "t.b", None, vec!["b"])],
        ),
        ("CREATE TABLE t (a, key, \"unique\", \"check\" TEXT)", vec![]),
    ];
    for (sql, expected) in cases {
        assert_eq!(rows(&table(sql)), expected, "{sql}");
    }
    let not_null = |table: &Table| table.constraints.iter().filter(|constraint| constraint.kind == NotNull).count();
    assert_eq!(not_null(&table("CREATE TABLE t (a, key, \"unique\", \"check\" TEXT)")), 4);
    assert!(table("CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE)").replaces);
    assert!(!table("CREATE TABLE t (a UNIQUE ON CONFLICT IGNORE)").replaces);
}

#[test]
fn foreign_keys_have_actions_and_may_be_deferred() {
    let sql = "CREATE TABLE t (
        a REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL NOT NULL,
        b INTEGER CONSTRAINT \"f k\" REFERENCES \"p q\" (id) DEFERRABLE INITIALLY DEFERRED UNIQUE,
        c REFERENCES p (x) NOT DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT two FOREIGN KEY (A, b) REFERENCES p (x, y) MATCH FULL ON UPDATE NO ACTION ON DELETE RESTRICT
            DEFERRABLE INITIALLY IMMEDIATE
    )";
    let keys = table(sql).foreign_keys;
    let summary: Vec<_> = keys
        .iter()
        .map(|key| (key.name.as_deref(), key.columns.join(" "), &*key.parent, key.parent_columns.join(" ")))
        .collect();
    let expected = [
        (None, "a".to_owned(), "p", String::new()),
        (Some("f k"), "b".to_owned(), "p q", "id".to_owned()),
        (None, "c".to_owned(), "p", "x".to_owned()),
        (Some("two"), "a b".to_owned(), "p", "x y".to_owned()),
    ];
    assert_eq!(summary, expected);
    assert_eq!(keys.iter().map(|key| key.is_deferred).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!((keys[0].on_delete, keys[0].on_update), (Action::Cascade, Action::SetNull));
    assert_eq!((keys[3].on_delete, keys[3].on_update), (Action::Restrict, Action::Nothing));
    assert_eq!(rows(&table(sql)), [(Unique, "t.b", Some("f k"), vec!["b"])]);
}

#[test]
fn unique_indexes_are_constraints() {
    let objects = [
        object("table", "T a", "T a", "CREATE TABLE \"T a\" (a, b)"),
        object("index", "plain", "T a", "CREATE INDEX plain ON \"T a\" (a)"),
        object("index", "u", "T a", "CREATE UNIQUE INDEX u ON \"T a\" (B DESC, a COLLATE nocase) WHERE a > (1)"),
        object("index", "it's", "t A", "CREATE UNIQUE INDEX \"it's\" ON \"T a\" (lower(a, b), b)"),
        object("index", "sum", "T a", "CREATE UNIQUE INDEX IF NOT EXISTS sum ON \"T a\"(a + 1)"),
        object("index", "sqlite_autoindex_t_1", "T a", ""),
        object("trigger", "changed", "T a", "CREATE TRIGGER changed AFTER INSERT ON \"T a\" BEGIN SELECT 1; END"),
        object("table", "words", "words", "CREATE VIRTUAL TABLE words USING fts5 (body)"),
        object("view", "v", "v", "CREATE VIEW v AS SELECT 1"),
    ];
    let schema = Schema::new(&objects);
    assert_eq!(schema.tables.len(), 1);
    let table = &schema.tables[0];
    let expected = [
        (Unique, "T a.b, T a.a", Some("u"), vec!["b", "a"]),
        (Unique, "index 'it''s'", Some("it's"), vec!["b"]),
        (Unique, "index 'sum'", Some("sum"), vec![]),
    ];
    assert_eq!(rows(table), expected);
    assert!(table.has_triggers);
}
