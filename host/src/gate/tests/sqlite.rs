//! Statements for SQLite.

use super::*;

#[test]
fn legitimate_statements_pass() {
    let reading = [
        "SELECT 1",
        "  select 1 ;  -- done",
        "SELECT 1;;",
        "/* a */ (SELECT 1) /* ; */;",
        "SELECT ';', \"a;b\", [c;d], `e;f`, 'it''s;'",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5) SELECT n FROM c",
        "VALUES (1), (2)",
        "SELECT * FROM items WHERE name LIKE '%\\'",
        "SELECT 'C:\\', '\\''' FROM items",
        "SELECT a -> '$.b' ->> 'c' FROM t",
        "SELECT json_extract(a, '$[0].b') FROM t",
        "SELECT 1E5, 0x1F, .5, 5., 1e-3",
        "SELECT a||b, a<>b, a!=b, a==b, ~a, a<<2 FROM t",
        "SELECT 5--1\n-1",
        "SELECT replace(name, 'a', 'b'), insert_date FROM items",
        "SELECT \"sleep\", mysql.sys FROM t AS mysql",
        "SELECT count(*) FILTER (WHERE a > 1) OVER (PARTITION BY b ORDER BY c) FROM t",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END FROM t",
        "SELECT * FROM a LEFT JOIN b USING (id) WHERE EXISTS (SELECT 1 FROM c)",
        "SELECT x'00ff', CAST('1' AS INTEGER), date('now', '-1 day')",
        "SELECT é, \"größe\" FROM straße",
        "SELECT a FROM t WHERE b IN (?, ?, ?3) AND c = ?1",
        "SELECT a$b FROM t$",
        "SELECT group_concat(name, '; ') FROM items",
        "SELECT 'x' -- ; COMMIT",
        "SELECT /* ; COMMIT */ 1",
        "SELECT 1 UNION SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4",
        "SELECT * FROM texts WHERE texts MATCH 'hello OR world' ORDER BY rank LIMIT 10 OFFSET 5",
        "SELECT max(a, b), min(a), total(c) FROM t GROUP BY d HAVING count(*) > 1",
    ];
    all_are(Dialect::Sqlite, ReadOnly, None, &reading);
    all_are(Dialect::Sqlite, ReadWrite, None, &reading);
    let writing = [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t (a, b) VALUES (?, ?) RETURNING id",
        "INSERT INTO t DEFAULT VALUES",
        "INSERT OR IGNORE INTO t VALUES (1)",
        "INSERT OR REPLACE INTO t VALUES (1)",
        "INSERT INTO t SELECT * FROM s",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "replace into t values (1)",
        "REPLACE INTO t (a) SELECT a FROM s",
        "UPDATE t SET a = 'é'",
        "UPDATE t SET a = a + 1 WHERE b = ? RETURNING *",
        "UPDATE t SET a = s.a FROM s WHERE s.id = t.id",
        "UPDATE OR IGNORE t SET a = 1",
        "UPDATE t SET (a, b) = (1, 2)",
        "DELETE FROM t",
        "DELETE FROM t WHERE a = ? RETURNING id",
        "INSERT INTO [odd name] VALUES (';')",
        "INSERT INTO `t` (`into`) VALUES (1)",
        "/* why */ INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES ('multi\nline'), (NULL)",
        "UPDATE \"t\" SET \"a\" = \"b\"",
        "DELETE FROM main.t WHERE rowid = 1",
        "INSERT INTO t VALUES (json('{\"a\": 1}'))",
        "UPDATE t SET a = (SELECT max(b) FROM s)",
        "UPDATE t SET a = CASE b WHEN 1 THEN 2 END",
        "DELETE FROM t WHERE a IN (SELECT b FROM s ORDER BY c LIMIT 1)",
        "INSERT INTO t VALUES (x'')",
        "INSERT INTO t VALUES (datetime('now')) -- now",
        "UPDATE t SET a = '-- no comment', b = '/*'",
    ];
    all_are(Dialect::Sqlite, ReadWrite, None, &writing);
    all_are(Dialect::Sqlite, ReadOnly, Some(Kind::ReadOnly), &writing);
    // The gate accepts these statements, because SQLite's authorizer refuses them.
    all_are(
        Dialect::Sqlite,
        ReadOnly,
        None,
        &["WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "SELECT * FROM carya_outbox"],
    );
}

#[test]
fn hostile_statements_are_refused() {
    let forbidden = [
        "END TRANSACTION;",
        "BEGIN IMMEDIATE",
        "BEGIN EXCLUSIVE TRANSACTION",
        "SELECT [;] ; ROLLBACK",
        "SELECT `;` ; ROLLBACK",
        "SELECT `a",
        "SELECT [a",
        "TABLE t",
        "MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE",
        "PRAGMA query_only(0)",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA defer_foreign_keys = ON",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA temp_store_directory = '/tmp'",
        "/**/PRAGMA/**/query_only=0",
        "ATTACH DATABASE 'other.sqlite' AS other",
        "VACUUM",
        "CREATE TEMP VIEW items AS SELECT 1",
        "CREATE TEMP TRIGGER evil AFTER INSERT ON items BEGIN DELETE FROM items; END",
        "CREATE VIRTUAL TABLE evil USING fts5(a)",
        "EXPLAIN QUERY PLAN SELECT 1",
        "SELECT 1 -- \r;COMMIT\n;COMMIT",
        "SELECT '\\'; COMMIT --'",
        "SELECT /* /* */ */ 1; COMMIT",
        "SELECT \"\\\"; COMMIT --\"",
        "SELECT '' ; COMMIT --'",
        "SELECT ''''; COMMIT --'",
        "SELECT 1;/**/COMMIT",
        "SELECT 1;(SELECT 2)",
    ];
    all_are(Dialect::Sqlite, ReadOnly, Some(Kind::Forbidden), &forbidden);
    all_are(Dialect::Sqlite, ReadWrite, Some(Kind::Forbidden), &forbidden);
}
