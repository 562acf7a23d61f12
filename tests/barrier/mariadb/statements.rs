//! Hostile statements for MariaDB, grouped by purpose and by the layer that stops them, and statements of ordinary
//! applications, which must run.

use super::super::server::{
    Group,
    Stop::{Both, Gate, Runs, Server},
};

const FORBIDDEN: &str = "forbidden";
const READ_ONLY: &str = "read-only";

#[rustfmt::skip]
pub const GROUPS: &[Group] = &[
    // `COMMIT` and other statements that end the transaction or begin another one. The server accepts them from every
    // login.
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "COMMIT", "commit work and chain", "COMMIT RELEASE", "ROLLBACK", "ROLLBACK AND CHAIN", "BEGIN", "BEGIN WORK",
            "START TRANSACTION", "START TRANSACTION READ WRITE", "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            "SET autocommit = 1", "SET SESSION TRANSACTION READ WRITE", "SET SESSION tx_read_only = 0", "/**/COMMIT",
            "/* SELECT */ COMMIT", "-- SELECT 1\nCOMMIT", "# SELECT 1\nCOMMIT", "/*!COMMIT*/", "/*!50000 COMMIT */",
            "/*M!100000 COMMIT */", " \t\n\u{c}COMMIT", "COMMIT;", "UNLOCK TABLES", "BEGIN NOT ATOMIC COMMIT; END",
            "BEGIN NOT ATOMIC DECLARE x int; ROLLBACK; END", "SET STATEMENT max_statement_time = 0 FOR COMMIT",
            "IF 1 THEN COMMIT; END IF",
        ],
    },
    // Savepoints, which the host carries out itself through a writer, under names of its own.
    Group { reader: Gate(FORBIDDEN), writer: Some(Runs), statements: &["SAVEPOINT evil", "SAVEPOINT carya_0"] },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both("other")),
        statements: &["ROLLBACK TO carya_0", "ROLLBACK TO SAVEPOINT carya_1", "RELEASE SAVEPOINT carya_0"],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "EXECUTE IMMEDIATE 'COMMIT'", "EXECUTE IMMEDIATE 'ROLLBACK'", "PREPARE evil FROM 'COMMIT'",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "XA START 'evil'",
            "XA BEGIN 'evil'", "XA END 'evil'", "XA PREPARE 'evil'", "XA COMMIT 'evil'", "XA COMMIT 'evil' ONE PHASE",
            "XA ROLLBACK 'evil'", "SET TRANSACTION READ WRITE", "(COMMIT)", "\u{feff}COMMIT", "\u{a0}COMMIT",
            "\u{ff23}\u{ff2f}\u{ff2d}\u{ff2d}\u{ff29}\u{ff34}", "\u{421}OMMIT", "\\COMMIT", "C/**/OMMIT", "CALL ends()", "END",
            "EXECUTE evil", "", ";",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "-- nothing", "/* nothing */",
        ],
    },
    // Two statements in one text, hidden by every form of quoting; then `/*! */` comments, which the server executes.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT 1; COMMIT", "SELECT 1;SELECT 2", "SELECT ';' ; ROLLBACK", "SELECT `;` ; COMMIT", "SELECT 1 # \n; COMMIT",
            "SELECT \"a;\"\";b\" ; ROLLBACK", "SELECT 1 --1; COMMIT", "SELECT 1--; COMMIT", "SELECT '\\'; COMMIT --'",
            "SELECT '\\\\\\'; COMMIT -- '", "SELECT 1 /* ; */ ; COMMIT", "SELECT $$a$$; COMMIT", "SELECT 1 /*!; COMMIT */",
            "INSERT INTO scratch VALUES ('x'); COMMIT; BEGIN", "SELECT 1\0; COMMIT", "\0COMMIT", "SELECT 'a", "SELECT \"a",
            "SELECT `a", "SELECT /* a", "SELECT (1", "SELECT 1)", "SELECT \\'", ";COMMIT", "SELECT 1 AS a\\; COMMIT",
            "DELIMITER //", "SELECT @",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "/*! SELECT */ 1", "SELECT /*M! 1 */ + 1", "SELECT /*!99999 1, */ 2", "SELECT 1 /*!+1*/",
            "SELECT /*+ SET_VAR(max_execution_time = 0) */ 1", "SELECT '\0'", "SELECT \\N", "SELECT $a FROM (SELECT 1 AS $a) x",
        ],
    },
    // The state of the session.
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SET @evil = 1", "SELECT @evil := 1", "SELECT @evil", "SELECT 1 INTO @evil",
            "SELECT id INTO @evil FROM items LIMIT 1", "SELECT @`evil`", "SELECT @@sql_mode",
            "SELECT @@global.secure_file_priv", "SELECT @@datadir", "SET sql_mode = ''", "SET max_statement_time = 0",
            "SET SESSION max_statement_time = 0", "SET STATEMENT max_statement_time = 0 FOR SELECT 1", "SET NAMES latin1",
            "SET CHARACTER SET latin1", "SET time_zone = '+09:00'", "SET ROLE NONE", "SET foreign_key_checks = 0",
            "SET unique_checks = 0", "SET timestamp = 1", "SET insert_id = 100", "SET last_insert_id = 5",
            "SELECT GET_LOCK('{db}_evil', 0)", "SELECT get_lock\n('{db}_evil', 0)", "SELECT `GET_LOCK`('{db}_evil', 0)",
            "SELECT \"get_lock\" ('{db}_evil', 0)", "DO GET_LOCK('{db}_evil', 0)", "SELECT RELEASE_ALL_LOCKS()",
            "SELECT RELEASE_LOCK('{db}_evil')", "SELECT IS_FREE_LOCK('{db}_evil')", "SELECT IS_USED_LOCK('{db}_evil')",
            "SELECT LAST_INSERT_ID(5)", "SELECT `last_insert_id` (5)", "SELECT SQL_CALC_FOUND_ROWS * FROM items",
            "SELECT FOUND_ROWS()", "SELECT PREVIOUS VALUE FOR seq", "SELECT LASTVAL(seq)", "HANDLER items OPEN", "USE {db}",
            "DO 1", "SHOW TABLES", "SHOW PROCESSLIST", "SHOW VARIABLES", "SHOW GRANTS", "DESCRIBE items", "EXPLAIN SELECT 1",
            "ANALYZE SELECT 1", "HELP 'SELECT'", "SELECT 1 PROCEDURE ANALYSE()", "FLUSH STATUS", "VALUES (@evil := 1)",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "PREPARE evil FROM 'SELECT 1'", "DEALLOCATE PREPARE evil", "SIGNAL SQLSTATE '45000'", "CACHE INDEX items IN evil",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SELECT SETVAL(seq, 100)", "EXPLAIN UPDATE items SET name = 'x'", "ANALYZE DELETE FROM child",
            "BEGIN NOT ATOMIC DELETE FROM child; END", "SET STATEMENT max_statement_time = 0 FOR DELETE FROM child",
            "CALL {db}_carya.carya_outbox_done('x', '1', 0)",
            "CALL {db}_carya.carya_outbox_add('x', 'evil', 'probe', 'x', '', '', '', 1, 0)",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "INSERT DELAYED INTO scratch VALUES ('x')", "EXECUTE IMMEDIATE 'DELETE FROM child'",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "ANALYZE TABLE items", "CHECK TABLE items", "OPTIMIZE TABLE items", "REPAIR TABLE old",
        ],
    },
    // Definitions. For many of them the server commits the transaction before it checks the rights of the login, so
    // that its refusal comes too late.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "CREATE TABLE evil (a int)", "CREATE TABLE evil AS SELECT 1", "CREATE OR REPLACE TABLE items (a int)",
            "CREATE VIEW evil AS SELECT 1", "CREATE SEQUENCE evil", "CHANGE MASTER TO MASTER_HOST = 'evil'", "START SLAVE",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "DROP TABLE items", "DROP TABLE IF EXISTS evil", "ALTER TABLE items ADD evil int", "TRUNCATE items",
            "RENAME TABLE items TO evil", "CREATE INDEX evil ON items (name)", "DROP SEQUENCE seq",
            "CREATE TRIGGER evil BEFORE INSERT ON items FOR EACH ROW SET @evil = 1", "CREATE PROCEDURE evil() SELECT 1",
            "CREATE FUNCTION evil() RETURNS int RETURN 1", "CREATE EVENT evil ON SCHEDULE EVERY 1 DAY DO SELECT 1",
            "CREATE DATABASE evil", "DROP DATABASE {db}", "CREATE USER evil", "GRANT ALL ON *.* TO evil",
            "ALTER USER CURRENT_USER() ACCOUNT LOCK", "FLUSH TABLES", "FLUSH PRIVILEGES", "RESET QUERY CACHE",
            "ALTER DATABASE {db} CHARACTER SET latin1", "CREATE ROLE evil",
            "CREATE SERVER evil FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
            "CREATE FUNCTION evil RETURNS int SONAME 'evil.so'", "INSTALL SONAME 'ha_connect'",
            "INSTALL PLUGIN evil SONAME 'evil.so'", "LOCK TABLES items WRITE", "LOCK TABLES items READ",
            "FLUSH TABLES WITH READ LOCK", "RESET MASTER",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "CREATE TEMPORARY TABLE evil (a int)", "CREATE TEMPORARY TABLE items AS SELECT 1", "PURGE BINARY LOGS BEFORE NOW()",
            "SET GLOBAL max_connections = 10", "SET GLOBAL read_only = 1", "SET GLOBAL event_scheduler = 1",
            "SET GLOBAL general_log_file = '/tmp/{db}_evil'", "SET SESSION sql_log_bin = 0",
            "SET SESSION binlog_format = 'ROW'", "SET ROLE evil", "SET DEFAULT ROLE evil", "SHUTDOWN", "BINLOG 'evil'",
            "SHOW ENGINE INNODB STATUS", "SHOW BINARY LOGS", "SHOW CREATE USER root@localhost",
            "SET PASSWORD FOR root@localhost = PASSWORD('evil')",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SET PASSWORD = 'evil'",
        ],
    },
    // Files and programs.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT * FROM items INTO OUTFILE '/tmp/{db}_evil'", "SELECT * INTO OUTFILE '/tmp/{db}_evil' FROM items",
            "SELECT 'x' INTO DUMPFILE '/tmp/{db}_evil'", "SELECT 1 into/**/outfile '/tmp/{db}_evil'",
            "SELECT 1 INTO OUTFILE 'evil'", "(SELECT 1 INTO OUTFILE '/tmp/{db}_evil')",
            "VALUES (1) INTO OUTFILE '/tmp/{db}_evil'", "SELECT 1 /*! INTO OUTFILE '/tmp/{db}_evil' */",
            "SELECT 1 `insert` INTO OUTFILE '/tmp/{db}_evil'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE scratch",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE scratch", "LOAD XML INFILE '/etc/passwd' INTO TABLE scratch",
            "SELECT sys_exec('id')", "SELECT sys_eval('id')",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SELECT LOAD_FILE('/etc/passwd')", "SELECT load_file ('/etc/passwd')", "SELECT `LOAD_FILE`('/etc/passwd')",
        ],
    },
    // Other sessions, secrets and the host's own tables.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "KILL 999999", "KILL QUERY 999999", "KILL HARD CONNECTION 999999", "SELECT * FROM mysql.user",
            "SELECT * FROM `mysql`.`global_priv`", "SELECT * FROM MYSQL . db",
            "INSERT INTO mysql.proc SELECT * FROM mysql.proc", "UPDATE items, mysql.user SET name = 'x'",
            "SELECT * FROM information_schema.innodb_trx", "SELECT * FROM INFORMATION_SCHEMA . `INNODB_LOCKS`",
            "SELECT * FROM sys.processlist", "SELECT sys.ps_thread_account(1)", "SELECT mysql.evil()",
            "SELECT * FROM {db}_carya.carya_outbox", "SELECT * FROM `{db}_carya`.`carya_outbox`",
            "SELECT * FROM \"{db}_carya\".\"CARYA_OUTBOX\"", "DELETE FROM {db}_carya.carya_outbox",
            "UPDATE {db}_carya.carya_outbox SET due_at = 0", "UPDATE items, {db}_carya.carya_outbox SET due_at = 0",
            "DELETE items FROM items JOIN {db}_carya.carya_outbox", "SELECT * FROM {db}_carya._sqlx_migrations",
            "DELETE FROM {db}_carya._sqlx_migrations", "SELECT * FROM performance_schema.events_statements_history",
            "TABLE {db}_carya.carya_outbox", "SELECT secret FROM {db}_carya.carya_outbox_secret",
            "INSERT INTO {db}_carya.carya_outbox (id, component, name, payload, attempts, due_at) VALUES ('evil', 'probe', 'x', '', 0, 0)",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "KILL USER root@'127.0.0.1'",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SELECT * FROM information_schema.processlist", "SELECT * FROM INFORMATION_SCHEMA . `PROCESSLIST`",
            "SELECT * FROM \"information_schema\".\"processlist\"", "SELECT * FROM information_schema.user_variables",
            "SELECT * FROM information_schema.global_variables", "SELECT * FROM information_schema.session_status",
            "SELECT * FROM information_schema.user_privileges", "SELECT * FROM information_schema.optimizer_trace",
            "SELECT * FROM information_schema.plugins", "SELECT * FROM information_schema.files",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT * FROM performance_schema.threads",
        ],
    },
    // Statements that wait or compute for too long.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT SLEEP(100)", "SELECT sleep /* a */ (100)", "SELECT `sleep`(100)", "SELECT \"sleep\"(100)",
            "SELECT * FROM items WHERE SLEEP(100) = 0", "SELECT MASTER_GTID_WAIT('0-1-999999999')",
        ],
    },
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "DO SLEEP(100)", "SELECT BENCHMARK(1000000000, MD5('a'))",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SELECT GET_LOCK('{db}_evil', 100), SLEEP(100)",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT slëep(100)", "SELECT \u{17f}leep(100)", "SELECT SOURCE_POS_WAIT('a', 1)",
            "SELECT service_get_write_locks('a', 'b', 1)",
        ],
    },
    Group {
        reader: Server("timeout"),
        writer: Some(Server("timeout")),
        statements: &[
            "SELECT count(*) FROM seq_1_to_1000000000 WHERE seq < 0 OR md5(seq) < ''",
            "SELECT count(*) FROM seq_1_to_1000000000 a, seq_1_to_1000000000 b",
            "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c",
            "SELECT count(DISTINCT md5(seq)) FROM seq_1_to_1000000000", "SELECT for_ever()",
            "SELECT seq FROM seq_1_to_1000000000 ORDER BY md5(seq)",
            "SELECT sum(seq) OVER (ORDER BY seq) FROM seq_1_to_1000000000",
            "SELECT count(*) FROM seq_1_to_1000000000 WHERE CONCAT(seq, REPEAT('ab', 1000)) REGEXP '(a|b|ab)*c'",
            "SELECT max(length(REGEXP_REPLACE(REPEAT('a', 1000), 'a', seq))) FROM seq_1_to_1000000000",
        ],
    },
    // Writes through a reader that the gate recognizes.
    Group {
        reader: Both(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "INSERT INTO scratch VALUES ('x')", "INSERT INTO scratch VALUES ('x') RETURNING *", "INSERT scratch SET what = 'x'",
            "INSERT IGNORE INTO items VALUES (1, 'x')",
            "INSERT INTO items VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name)",
            "REPLACE INTO scratch VALUES ('x')", "UPDATE items SET name = 'x' WHERE id = 1 ORDER BY id LIMIT 1",
            "UPDATE items i JOIN child c ON c.item = i.id SET i.name = 'x'", "UPDATE names SET name = 'x' WHERE id = 1",
            "INSERT INTO names VALUES (9, 'x')", "DELETE FROM child", "DELETE FROM child RETURNING id",
            "DELETE c FROM child c JOIN items i ON i.id = c.item", "DELETE FROM c USING child c JOIN items i ON i.id = c.item",
            "INSERT LOW_PRIORITY INTO scratch SELECT name FROM items", "/* SELECT */ INSERT INTO scratch SELECT 'x'",
            "INSERT INTO counted (id, what) VALUES (LAST_INSERT_ID() + 100, 'x')",
        ],
    },
    Group {
        reader: Both(READ_ONLY),
        writer: None,
        statements: &[
            "INSERT INTO old VALUES ('x')", "UPDATE old SET what = 'x'", "DELETE FROM old", "REPLACE INTO old VALUES ('x')",
            "INSERT INTO remembered VALUES ('x')", "INSERT INTO trapped VALUES ('x')",
            "INSERT INTO counted (what) VALUES ('x')", "UPDATE counted SET id = LAST_INSERT_ID() WHERE id = 1",
        ],
    },
    // Locks, which the server also grants in a read-only transaction.
    Group {
        reader: Gate(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "SELECT * FROM items LOCK IN SHARE MODE", "SELECT * FROM items LOCK IN -- a\n SHARE MODE NOWAIT",
        ],
    },
    Group {
        reader: Both(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "SELECT * FROM items FOR UPDATE", "SELECT * FROM items for/**/update", "SELECT * FROM items FOR UPDATE SKIP LOCKED",
            "(SELECT id FROM items FOR UPDATE) UNION (SELECT 1)",
        ],
    },
    // Writes through a reader that only the server recognizes.
    Group {
        reader: Server("read-only|forbidden"),
        writer: Some(Runs),
        statements: &[
            "SELECT definer_writes()", "SELECT * FROM written_names", "VALUES (definer_writes())",
            "SELECT 1 FROM items ORDER BY definer_writes()", "SELECT {db}.definer_writes()",
        ],
    },
    Group {
        reader: Server("forbidden|read-only|ok"),
        writer: Some(Server("forbidden|ok")),
        statements: &[
            "SELECT invoker_writes()",
        ],
    },
    Group {
        reader: Server("forbidden|read-only"),
        writer: None,
        statements: &[
            "SELECT NEXTVAL(seq)", "SELECT NEXT VALUE FOR seq", "SELECT NEXT VALUE FOR drawn FROM items",
        ],
    },
    // Statements that the server rejects as faulty.
    Group {
        reader: Server("data|other"),
        writer: Some(Server("data|other")),
        statements: &[
            "WITH x AS (SELECT 1) DELETE FROM child", "WITH x AS (SELECT 1) UPDATE items SET name = 'x'",
            "WITH x AS (DELETE FROM child RETURNING *) SELECT * FROM x", "TABLE items", "SELECT 18446744073709551615 + 1",
            "SELECT exp(1000)", "SELECT -9223372036854775807 - 2", "SELECT FROM WHERE", "VALUES (1), (1, 2)",
            "SELECT * FROM evil", "SELECT * FROM items FOR NO KEY UPDATE", "SELECT 1 UNION SELECT 1, 2",
            "SELECT 'a' REGEXP '('", "SELECT (SELECT 1 UNION SELECT 2)", "SELECT * FROM items WHERE id = (1, 2)",
            "SELECT f(1) insert", "SELECT _utf8mb4 x'ff'",
        ],
    },
    // Statements of ordinary applications.
    Group {
        reader: Runs,
        writer: Some(Runs),
        statements: &[
            "SELECT i.name, c.id FROM items i LEFT JOIN child c ON c.item = i.id ORDER BY 1",
            "SELECT * FROM items NATURAL JOIN docs",
            "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT n FROM c",
            "WITH a AS (SELECT 1 AS x), b AS (SELECT 2 AS y) SELECT * FROM a, b", "VALUES (1, 'a'), (2, 'b')",
            "SELECT row_number() OVER (ORDER BY id), sum(id) OVER (ORDER BY id ROWS 2 PRECEDING) FROM items",
            "SELECT JSON_EXTRACT(data, '$.a.b[0]'), JSON_VALUE(data, '$.a.b[1]'), JSON_OBJECT('a', 1) FROM docs",
            "SELECT name FROM items WHERE name LIKE 'a\\%' OR name REGEXP '^a.*$' OR name IN ('x', 'y')",
            "SELECT CASE WHEN id > 1 THEN 'sleep(100); COMMIT' ELSE 'carya_outbox /*! -- # @a' END FROM items",
            "SELECT 'it''s; COMMIT', \"id\", `name` FROM items -- ; COMMIT", "SELECT 1 AS \"sleep()\", 2 AS `@`, 5--1",
            "SELECT DISTINCT name FROM items ORDER BY name DESC LIMIT 10 OFFSET 0",
            "SELECT name FROM items GROUP BY name WITH ROLLUP",
            "SELECT count(*), group_concat(name ORDER BY id SEPARATOR ', ') FROM items",
            "SELECT a || 'b' FROM (SELECT 'a' AS a) x",
            "SELECT date_add(now(), INTERVAL 1 DAY), date_format(now(), '%Y-%m-%d'), unix_timestamp()",
            "SELECT coalesce(name, 'x'), if(id > 1, 'a', 'b'), nullif(id, 0), id <=> NULL FROM items",
            "SELECT CAST(id AS CHAR), CONVERT(name USING utf8mb4), CAST('1' AS DECIMAL(10, 2)) FROM items",
            "SELECT uuid(), rand(), md5(name), sha2(name, 256), hex(name), to_base64(name) FROM items",
            "SELECT * FROM information_schema.tables WHERE table_schema = database()", "SELECT 1 EXCEPT SELECT 2", "SELECT locks()",
            "SELECT LAST_INSERT_ID()",
            "SELECT * FROM items WHERE EXISTS (SELECT 1 FROM child WHERE item = items.id) AND id BETWEEN 1 AND 2",
            "SELECT ST_AsText(POINT(1, 2)), inet6_aton('::1'), x'00ff', b'101', 1e10, NULL, ''",
            "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$')) t",
            "SELECT price, CAST('0000-00-00' AS DATE), TIME '838:59:59', YEAR(now()), 18446744073709551615 FROM docs",
        ],
    },
    Group {
        reader: Both(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "INSERT INTO items SELECT 9, 'COMMIT' ON DUPLICATE KEY UPDATE name = 'x'",
            "UPDATE docs SET data = JSON_SET(data, '$.a', 1), price = price + 1",
            "INSERT INTO child (id, item) VALUES (NEXT VALUE FOR drawn + 100, 1)",
            "DELETE FROM items WHERE id IN (9, 10) ORDER BY id LIMIT 1",
        ],
    },
];
