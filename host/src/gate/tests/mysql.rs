//! Statements for MySQL and MariaDB.

use super::*;

/// Queries of ordinary applications.
const READING: &[&str] = &[
    "SELECT 1",
    "select * from items;",
    "VALUES (1, 2), (3, 4)",
    "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT n FROM c",
    "SELECT `id`, `odd``name`, `select` FROM `items`",
    "SELECT \"id\", \"odd\"\"name\" FROM \"items\"",
    "SELECT name FROM items WHERE id = ? AND n > ?",
    "SELECT ?1 + ?2 + ?1",
    "SELECT name FROM items WHERE id=?",
    "SELECT name FROM items WHERE id IN(?,?,?)LIMIT ?",
    "SELECT 'it''s', N'national', _utf8mb4'text', x'1F', X'1F', b'01', 0x1F, 0b01",
    "SELECT 'a' 'b' 'c'",
    "SELECT name FROM items WHERE name LIKE 'a\\%' OR name REGEXP '^a.*\\\\d$'",
    "SELECT 'C:\\\\', 'a\\nb', 'back\\slash' FROM items",
    "SELECT 1 -- one",
    "SELECT 1 --\n",
    "SELECT 1 --",
    "SELECT 1 # one",
    "SELECT 5--1, 5 - -1, 5---1",
    "SELECT /* sleep(1) ; COMMIT */ 1",
    "SELECT 'sleep(10)', 'carya_outbox', '/*!', '--', '#', ';', '@', ':='",
    "SELECT name AS \"@\", n AS `:=`, id AS `#` FROM items",
    "SELECT sleep, benchmark, get_lock, `sleep` FROM nights",
    "SELECT mysql, sys, performance_schema FROM words",
    "SELECT sys.name, mysql.n FROM items sys JOIN other mysql ON sys.id = mysql.id ORDER BY sys.id, mysql.id",
    "SELECT EXTRACT(DAY FROM sys.at), TRIM(BOTH 'x' FROM sys.name), SUBSTRING(sys.name FROM 2) FROM items sys",
    "SELECT count(sys.id) FROM items AS sys, other AS mysql WHERE sys.id = mysql.id GROUP BY sys.id, mysql.id HAVING sys.id > 1",
    "SELECT 1 FROM items i, (SELECT sys.id, sys.n FROM other sys) sys WHERE i.id IN (1, sys.id, sys.n)",
    "SELECT * FROM items USE INDEX (a, b) JOIN other sys USING (id, n)",
    "SELECT .5, t.a FROM items t",
    "WITH audit_log_entries (id) AS (SELECT 1) SELECT audit_log_total(id), keyring_name(id) FROM audit_log_entries",
    "SELECT s.sleep FROM nights s",
    "SELECT count(*), sum(n), group_concat(name ORDER BY id SEPARATOR ', ') FROM items GROUP BY name WITH ROLLUP",
    "SELECT DISTINCT name FROM items ORDER BY n DESC LIMIT 10 OFFSET 5",
    "SELECT STRAIGHT_JOIN * FROM items i LEFT JOIN other o ON o.id = i.id",
    "SELECT * FROM items USE INDEX FOR ORDER BY (PRIMARY) WHERE id = 1",
    "SELECT SQL_NO_CACHE HIGH_PRIORITY * FROM items",
    "SELECT row_number() OVER (PARTITION BY name ORDER BY id) FROM items",
    "SELECT JSON_EXTRACT(data, '$.a'), JSON_VALUE(data, '$.b[0]'), JSON_OBJECT('a', 1) FROM docs",
    "SELECT date_add(now(), INTERVAL 1 DAY), date_format(now(), '%Y-%m-%d'), unix_timestamp()",
    "SELECT concat(a, b), a || b, substring(a, 1, 2), regexp_replace(a, 'x', 'y'), insert(a, 1, 2, 'z') FROM t",
    "SELECT coalesce(name, 'x'), ifnull(name, 'y'), if(n > 1, 'a', 'b'), nullif(n, 0) FROM items",
    "SELECT CASE n WHEN 1 THEN 'a' ELSE 'b' END FROM items",
    "SELECT CAST(n AS CHAR), CONVERT(name USING utf8mb4), CAST('1' AS DECIMAL(10, 2)) FROM items",
    "SELECT name COLLATE utf8mb4_bin FROM items",
    "SELECT a <=> b, a != b, a <> b, a && b, NOT a, !b, a DIV 2, a MOD 2, a ^ b, a << 2, ~a FROM t",
    "SELECT MATCH (name) AGAINST ('a' IN BOOLEAN MODE) FROM docs",
    "SELECT uuid(), rand(), md5(name), sha2(name, 256), hex(name), to_base64(name) FROM items",
    "SELECT LAST_INSERT_ID()",
    "SELECT last_insert_id( /* none */ ), ROW_COUNT()",
    "SELECT 1e5, 1.5e-3, .5, 5., 1E+5",
    "SELECT 2fa_code, 1st, a$b, größe FROM straße",
    "SELECT * FROM information_schema.tables WHERE table_schema = database()",
    "SELECT * FROM `information_schema`.`COLUMNS`",
    "SELECT database(), version(), user(), connection_id()",
    "SELECT * FROM items WHERE (id, n) IN (SELECT id, n FROM other)",
    "SELECT * FROM items WHERE EXISTS (SELECT 1 FROM other) AND n BETWEEN 1 AND 2 AND name IS NOT NULL",
    "SELECT * FROM items LIMIT 5, 10",
    "SELECT * FROM items LIMIT ROWS EXAMINED 1000",
    "SELECT * FROM a NATURAL JOIN b CROSS JOIN c",
    "SELECT * FROM items PARTITION (p0)",
    "SELECT * FROM prices FOR SYSTEM_TIME ALL",
    "SELECT user, host, last_name, `lock`, `key` FROM users",
    "SELECT name AS \"a:b\" FROM items",
    "SELECT * FROM dual WHERE 1 = 1",
    "SELECT 1 FROM DUAL UNION DISTINCT SELECT 2 EXCEPT SELECT 3",
    "SELECT ST_AsText(point), inet6_aton('::1') FROM places",
    "SELECT previous, value, `values` FROM t",
    "SELECT * FROM (VALUES (1, 2)) x WHERE a = (?) AND b IN (?)",
    "VALUES (1), (2) LIMIT ?",
];

/// Changes by ordinary applications.
const WRITING: &[&str] = &[
    "INSERT INTO items (id, name) VALUES (?, ?)",
    "INSERT INTO items VALUES (1, 'a'), (2, 'b')",
    "INSERT items SET name = 'a'",
    "INSERT IGNORE INTO items (id) VALUES (1)",
    "INSERT LOW_PRIORITY IGNORE INTO items (id) VALUES (1)",
    "INSERT HIGH_PRIORITY INTO items (id) VALUES (1)",
    "INSERT INTO items (id) VALUES (1) ON DUPLICATE KEY UPDATE n = VALUES(n) + 1",
    "INSERT INTO items (id) SELECT id FROM other",
    "INSERT INTO items (id) VALUES (?), (? + 1) ON DUPLICATE KEY UPDATE n = VALUES(n) + (?), name = CONCAT(VALUES(name), ?)",
    "REPLACE INTO items VALUES ((SELECT ?), ?)",
    "INSERT INTO items (name) VALUES ('a') RETURNING id",
    "INSERT INTO sleep (hours) VALUES (8)",
    "INSERT INTO app.sleep (hours) VALUES (8)",
    "INSERT INTO child (parent) VALUES (LAST_INSERT_ID())",
    "INSERT INTO items (name) VALUES (?) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
    "UPDATE items SET n = LAST_INSERT_ID(n + 1)",
    "UPDATE items sys, other mysql SET sys.n = mysql.n, mysql.n = sys.n WHERE sys.id = mysql.id",
    "DELETE sys FROM items sys, other mysql WHERE sys.id = mysql.id",
    "DELETE FROM items RETURNING items.id, items.name",
    "INSERT INTO items SELECT sys.id, sys.n FROM other sys, third mysql ON DUPLICATE KEY UPDATE items.n = mysql.n, items.id = 1",
    "INSERT INTO items (id) VALUES (NEXTVAL(s)), (NEXT VALUE FOR s)",
    "REPLACE INTO items VALUES (1, 'a')",
    "REPLACE LOW_PRIORITY INTO items (id) VALUES (1)",
    "UPDATE items SET name = ? WHERE id = ? ORDER BY id LIMIT 1",
    "UPDATE LOW_PRIORITY IGNORE items SET n = 1",
    "UPDATE items i JOIN other o ON o.id = i.id SET i.n = o.n",
    "UPDATE items SET `update` = 1",
    "DELETE FROM items WHERE id = ?",
    "DELETE LOW_PRIORITY QUICK IGNORE FROM items LIMIT 1",
    "DELETE i FROM items i JOIN other o ON o.id = i.id",
    "DELETE FROM items RETURNING id",
    "DELETE FROM i USING items i JOIN other o ON o.id = i.id",
    "/* why */ insert /* how */ into items values (1)",
];

/// Queries that lock rows. The server allows them in a read-only transaction too, so the gate must refuse them through
/// a `reader`.
const LOCKING: &[&str] = &[
    "SELECT * FROM items FOR UPDATE",
    "SELECT * FROM items for/**/update",
    "SELECT * FROM items FOR UPDATE SKIP LOCKED",
    "SELECT * FROM items FOR SHARE",
    "SELECT * FROM items LOCK IN SHARE MODE",
    "SELECT * FROM items LOCK IN -- a\n SHARE MODE NOWAIT",
    "(SELECT * FROM items FOR UPDATE) UNION (SELECT 1)",
];

/// Statements that the gate refuses through `reader` and `writer` handles.
const FORBIDDEN: &[&str] = &[
    // Other statements.
    "XA START 'a'",
    "XA COMMIT 'a'",
    "SET autocommit = 1",
    "SET SESSION TRANSACTION READ WRITE",
    "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
    "SET PASSWORD = 'a'",
    "USE mysql",
    "LOCK TABLES items WRITE",
    "UNLOCK TABLES",
    "FLUSH TABLES WITH READ LOCK",
    "HANDLER items OPEN",
    "DO SLEEP(10)",
    "KILL 1",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE items",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE items",
    "EXECUTE IMMEDIATE 'COMMIT'",
    "PREPARE a FROM 'COMMIT'",
    "DEALLOCATE PREPARE a",
    "INSTALL SONAME 'a'",
    "CHANGE MASTER TO MASTER_HOST = 'a'",
    "BEGIN NOT ATOMIC COMMIT; END",
    "DESCRIBE items",
    "HELP 'a'",
    "MERGE INTO items USING other ON true WHEN MATCHED THEN DELETE",
    "RENAME TABLE items TO evil",
    "OPTIMIZE TABLE items",
    "SIGNAL SQLSTATE '45000'",
    "BINLOG 'a'",
    "SHUTDOWN",
    // Comments that the server runs or takes hints from.
    "/*!COMMIT*/",
    "/*! SELECT */ 1",
    "SELECT /*!50000 SLEEP(10) */",
    "SELECT /*!99999 1 */ 2",
    "SELECT /*M! SLEEP(10) */",
    "SELECT /*m!100000 1 */",
    "SELECT /*+ SET_VAR(max_execution_time = 0) */ 1",
    "SELECT /*+ MAX_EXECUTION_TIME(0) */ 1",
    "SELECT 1 /*! INTO OUTFILE '/tmp/x' */",
    // Two statements, or a text with two meanings, depending on the server and its settings.
    "SELECT `;` ; COMMIT",
    "SELECT 1 # \n; COMMIT",
    "SELECT 1 --1; COMMIT",
    "SELECT 1--; COMMIT",
    "SELECT '\\'; COMMIT --'",
    "SELECT '\\'', SLEEP(10) -- '",
    "SELECT 'a\\''",
    "SELECT \"a\\\"\"",
    "SELECT '\\\\\\'', 1 -- '",
    "SELECT \\N",
    "SELECT \\'",
    "SELECT $$a$$",
    "SELECT $a FROM t",
    "SELECT `a",
    "SELECT ?a",
    "SELECT ?1a",
    "SELECT ?0",
    // Variables.
    "SELECT @a",
    "SELECT @a := 1",
    "SELECT @@sql_mode",
    "SELECT @@global.secure_file_priv",
    "SELECT @`a`",
    "SELECT a := 1",
    "SELECT 1 INTO @a",
    "SELECT 1 INTO a",
    "UPDATE items SET n = (@n := n)",
    // Files.
    "SELECT * FROM items INTO OUTFILE '/tmp/x'",
    "SELECT * INTO OUTFILE '/tmp/x' FROM items",
    "SELECT 'x' INTO DUMPFILE '/tmp/x'",
    "SELECT 1 into/**/outfile '/tmp/x'",
    "(SELECT 1 INTO OUTFILE '/tmp/x')",
    "SELECT replace INTO OUTFILE '/tmp/x'",
    "SELECT 1 `insert` INTO OUTFILE '/tmp/x'",
    "SELECT f(1) insert INTO OUTFILE '/tmp/x'",
    "WITH x AS (SELECT 1) SELECT f(1) ignore INTO OUTFILE '/tmp/x' FROM x",
    "VALUES (1) INTO OUTFILE '/tmp/x'",
    "TABLE items INTO OUTFILE '/tmp/x'",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT load_file ('/etc/passwd')",
    "SELECT `LOAD_FILE`('/etc/passwd')",
    "SELECT sys_exec('id')",
    // Time.
    "SELECT SLEEP(10)",
    "SELECT sleep /* a */ (10)",
    "SELECT `sleep`(10)",
    "SELECT \"sleep\"(10)",
    "SELECT * FROM items WHERE SLEEP(1) = 0",
    "SELECT REPLACE (REPEAT('a', 1000000), 'a', 'bbbbbbbbbb')",
    "UPDATE items SET name = replace(name, 'a', 'b')",
    "SELECT BENCHMARK(1000000000, MD5('a'))",
    "SELECT MASTER_POS_WAIT('a', 1)",
    "SELECT SOURCE_POS_WAIT('a', 1)",
    "SELECT MASTER_GTID_WAIT('a')",
    "SELECT WAIT_FOR_EXECUTED_GTID_SET('a')",
    "SELECT WSREP_SYNC_WAIT_UPTO_GTID('a')",
    "INSERT INTO items SELECT SLEEP(1)",
    "UPDATE items SET n = SLEEP(1)",
    "INSERT INTO items VALUES (1) ON DUPLICATE KEY UPDATE n = SLEEP(1)",
    // Locks that outlive the transaction.
    "SELECT GET_LOCK('a', 0)",
    "SELECT get_lock\n('a', 0)",
    "SELECT GET_LOC\u{212a}('a', 0)",
    "SELECT RELEASE_LOCK('a')",
    "SELECT RELEASE_ALL_LOCKS()",
    "SELECT IS_FREE_LOCK('a'), 1",
    "SELECT IS_USED_LOCK('a')",
    "SELECT service_get_write_locks('a', 'b', 1)",
    // State that a later request could read, or that an earlier request left.
    "SELECT LAST_INSERT_ID(5)",
    "SELECT `last_insert_id` (5)",
    "SELECT SQL_CALC_FOUND_ROWS * FROM items",
    "SELECT FOUND_ROWS()",
    "SELECT SETVAL(s, 100)",
    "SELECT LASTVAL(s)",
    "SELECT PREVIOUS VALUE FOR s",
    "INSERT DELAYED INTO items VALUES (1)",
    "SELECT 1 PROCEDURE ANALYSE()",
    // Parameters that MariaDB loses.
    "VALUES (?)",
    "VALUES (1, 2), (3, ?)",
    "(VALUES (1, ?))",
    "SELECT * FROM (VALUES (?)) x",
    "SELECT 1 UNION VALUES ((SELECT ?))",
    "WITH x AS (VALUES (1), (?)) SELECT * FROM x",
    "INSERT INTO items SELECT * FROM (VALUES (?)) x",
    "INSERT INTO items (VALUES (?))",
    "INSERT INTO items VALUES (?) UNION VALUES (?)",
    // Tables of the server.
    "SELECT * FROM mysql.user",
    "SELECT * FROM `mysql`.`user`",
    "SELECT * FROM MYSQL . user",
    "INSERT INTO mysql.proc SELECT * FROM mysql.proc",
    "UPDATE items, mysql.user SET n = 1",
    "SELECT * FROM performance_schema.threads",
    "SELECT * FROM sys.processlist",
    "SELECT sys.ps_thread_account(1)",
    "SELECT * FROM information_schema.processlist",
    "SELECT * FROM INFORMATION_SCHEMA . `PROCESSLIST`",
    "SELECT * FROM \"information_schema\".\"innodb_trx\"",
    "SELECT * FROM information_schema.user_variables",
    "SELECT * FROM information_schema.global_variables",
    "SELECT * FROM information_schema.session_status",
    "SELECT * FROM information_schema.user_privileges",
    "SELECT * FROM information_schema.optimizer_trace",
    "SELECT asynchronous_connection_failover_reset()",
    "SELECT group_replication_set_as_primary('a')",
    "SELECT keyring_key_fetch('a')",
    "SELECT AUDIT_LOG_READ()",
    // Tables of the host.
    "SELECT * FROM carya_outbox",
    "SELECT * FROM `carya_outbox`",
    "SELECT * FROM \"CARYA_OUTBOX\"",
    "DELETE FROM app.carya_outbox",
    "DELETE FROM _sqlx_migrations",
    "UPDATE items, carya_outbox SET n = 1",
];

/// Statements that use a database other than `app`, through a login with rights on all databases.
const OTHER_DATABASES: &[&str] = &[
    "SELECT * FROM shop.items",
    "SELECT * FROM `shop` . `items`",
    "SELECT * FROM items, shop.items",
    "SELECT * FROM items shop, shop.items",
    "SELECT * FROM items i JOIN shop.items s ON s.id = i.id",
    "SELECT * FROM items LEFT OUTER JOIN shop.items USING (id)",
    "SELECT * FROM items STRAIGHT_JOIN shop.items",
    "SELECT * FROM (items, shop.items)",
    "SELECT * FROM ((shop.items JOIN items))",
    "SELECT * FROM items USE INDEX FOR ORDER BY (a), shop.items",
    "SELECT * FROM items JOIN other ON f(items.a, items.b) = 1, shop.items",
    "SELECT * FROM { OJ shop.items LEFT JOIN items ON true }",
    "SELECT (SELECT .5 FROM shop.items)",
    "SELECT ((SELECT 1) UNION SELECT n FROM shop.items)",
    "SELECT 1 UNION SELECT n FROM shop.items",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM shop.items)",
    "WITH x AS (SELECT * FROM shop.items) SELECT * FROM x",
    "SELECT shop.items.n FROM items",
    "SELECT shop.f(1)",
    "SELECT NEXTVAL(shop.s)",
    "SELECT NEXT VALUE FOR shop.s",
    "TABLE shop.items",
    "INSERT INTO shop.items VALUES (1)",
    "INSERT shop.items VALUES (1)",
    "INSERT IGNORE shop.items VALUES (1)",
    "REPLACE shop.items VALUES (1)",
    "INSERT INTO items SELECT * FROM shop.items",
    "UPDATE shop.items SET n = 1",
    "UPDATE LOW_PRIORITY IGNORE shop.items SET n = 1",
    "UPDATE items, shop.items SET n = 1",
    "UPDATE items SET n = (SELECT n FROM shop.items)",
    "DELETE FROM shop.items",
    "DELETE QUICK FROM shop.items",
    "DELETE shop.items FROM items",
    "DELETE items, shop.items FROM items",
    "DELETE FROM items USING items, shop.items",
    "DELETE FROM items USING items returning, shop.items",
    "SELECT * FROM APP.items",
    "SELECT * FROM quick, shop.items",
    "SELECT * FROM shop.quick",
    "DELETE FROM items WHERE id IN (SELECT id FROM shop.items)",
];

const OWN_DATABASE: &[&str] = &[
    "SELECT app.items.n FROM app.items",
    "SELECT shop.n, shop.m FROM items shop ORDER BY shop.n, shop.m LIMIT 1",
    "SELECT * FROM information_schema.tables WHERE table_schema = 'shop.items'",
    "SELECT app.f(shop.n, shop.m) FROM items AS shop WHERE f(shop.n, shop.m) = 1",
    "SELECT 1 FROM items a JOIN other shop ON a.id = shop.id AND a.n = shop.n",
    "WITH shop AS (SELECT 1 AS n) SELECT INSERT(shop.n, 1, 2, 'x'), shop.n FROM shop",
    "SELECT group_concat(shop.n ORDER BY shop.n, shop.m SEPARATOR ',') FROM items shop",
    "SELECT NEXTVAL(s), NEXTVAL(app.s)",
    "INSERT INTO app.items (a, b) VALUES (1, 2)",
];

#[test]
fn a_login_with_rights_on_all_databases_can_only_use_its_own() {
    let database = |is_case_sensitive| OwnDatabase { name: "app".to_owned(), is_case_sensitive };
    let rules = Rules::MySql(Some(database(true)));
    for (statements, wanted) in [(OTHER_DATABASES, Some(Kind::Forbidden)), (OWN_DATABASE, None)] {
        let kind = |sql: &&str| rules.check(sql, &[], ReadWrite).err().map(|error| error.kind);
        let wrong: Vec<&&str> = statements.iter().filter(|sql| kind(sql) != wanted).collect();
        assert!(wrong.is_empty(), "not {wanted:?}: {wrong:#?}");
    }
    // These rules accept the statements of ordinary applications.
    let is_refused = |sql: &&&str| rules.check(sql, &[], ReadWrite).is_err_and(|error| error.kind == Kind::Forbidden);
    let ordinary = READING.iter().chain(WRITING).filter(|sql| !sql.contains('?'));
    let refused: Vec<_> = ordinary.filter(is_refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let rules = Rules::MySql(Some(database(false)));
    assert!(rules.check("SELECT * FROM App.items", &[], ReadOnly).is_ok());
    // Without `OwnDatabase`, the gate does not check names of databases: the grants of the login determine which
    // databases it can use.
    assert!(check(Dialect::MySql, "SELECT * FROM shop.items", &[], ReadOnly).is_ok());
}

#[test]
fn legitimate_statements_pass() {
    all_are(Dialect::MySql, ReadOnly, None, READING);
    all_are(Dialect::MySql, ReadWrite, None, READING);
    for statements in [WRITING, LOCKING] {
        all_are(Dialect::MySql, ReadOnly, Some(Kind::ReadOnly), statements);
        all_are(Dialect::MySql, ReadWrite, None, statements);
    }
    // MySQL also accepts changes after WITH.
    all_are(Dialect::MySql, ReadOnly, None, &["WITH x AS (SELECT 1) DELETE FROM items", "TABLE items"]);
}

#[test]
fn hostile_statements_are_refused() {
    all_are(Dialect::MySql, ReadOnly, Some(Kind::Forbidden), FORBIDDEN);
    all_are(Dialect::MySql, ReadWrite, Some(Kind::Forbidden), FORBIDDEN);
}
