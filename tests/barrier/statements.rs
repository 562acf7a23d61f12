//! Hostile statements for SQLite, grouped by purpose, with the kind of error that each handle returns. `ok` marks a
//! statement that runs and does no harm, `a|b` accepts both.

pub struct Case {
    pub sql: String,
    pub reader: &'static str,
    pub writer: &'static str,
}

/// Statements that the host carries out itself, and only through a writer. The names of its own savepoints are no names
/// of guests' savepoints.
const SAVEPOINTS: &[(&str, &str)] = &[
    ("SAVEPOINT carya_0", "ok"),
    ("/**/SAVEPOINT x", "ok"),
    ("ROLLBACK TO carya_0", "other"),
    ("RELEASE carya_0", "other"),
];

/// Statements that both handles refuse before SQLite compiles them.
const FORBIDDEN: &[&str] = &[
    // Ending or restarting the transaction.
    "COMMIT",
    "commit transaction",
    "END",
    "END TRANSACTION;",
    "ROLLBACK",
    "ROLLBACK TO",
    "SAVEPOINT x y",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE TRANSACTION",
    // The same, hidden behind comments, whitespace, parentheses, a byte order mark or another statement.
    "/**/COMMIT",
    "/* SELECT */ COMMIT",
    "-- SELECT 1\nCOMMIT",
    "--\r\nCOMMIT",
    " \t\r\n\u{c}COMMIT",
    "\u{b}COMMIT",
    "\u{feff}COMMIT",
    "(COMMIT)",
    ";COMMIT",
    ";;;COMMIT;",
    "/*/ SELECT 1; */ COMMIT",
    "SELECT 1; COMMIT",
    "SELECT 1;\nCOMMIT -- ;",
    "SELECT 1 /* ; */ ; COMMIT",
    "SELECT ';' ; ROLLBACK",
    "SELECT \"a;\"\";b\" ; ROLLBACK",
    "SELECT [;] ; ROLLBACK",
    "SELECT 1;SELECT 2",
    "SELECT 1;COMMIT;BEGIN",
    "SELECT 1 -- \n;COMMIT",
    "INSERT INTO scratch VALUES ('x'); COMMIT; BEGIN",
    // NUL bytes, at which a C string ends; quotes, comments and parentheses without an end; empty statements.
    "SELECT 1\0; COMMIT",
    "SELECT '\0'; COMMIT",
    "SELECT 1 -- \0\n",
    "\0COMMIT",
    "SELECT 'a",
    "SELECT \"a",
    "SELECT `a",
    "SELECT [a",
    "SELECT 'a''",
    "SELECT 1 /* ",
    "SELECT 1 /*/",
    "SELECT (1",
    "SELECT 1)",
    "",
    ";",
    "-- nothing",
    "/* nothing */",
    // Settings.
    "PRAGMA query_only = OFF",
    "PRAGMA query_only(0)",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA user_version = 7",
    "PRAGMA data_version",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA trusted_schema = ON",
    "PRAGMA read_uncommitted = ON",
    "PRAGMA busy_timeout = 100000",
    "PRAGMA shrink_memory",
    "/**/PRAGMA/**/query_only=0",
    // Other files, temporary objects and the schema.
    "ATTACH DATABASE 'other.sqlite' AS other",
    "ATTACH ':memory:' AS m",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO 'copy.sqlite'",
    "CREATE TABLE evil (a)",
    "CREATE TEMP TABLE items (a)",
    "CREATE TEMP VIEW items AS SELECT 1",
    "CREATE TEMP TRIGGER evil AFTER INSERT ON items BEGIN DELETE FROM items; END",
    "CREATE VIRTUAL TABLE evil USING fts5(a)",
    "CREATE INDEX evil ON items (name)",
    "ALTER TABLE items ADD COLUMN evil",
    "DROP TABLE items",
    "REINDEX",
    "ANALYZE",
    "EXPLAIN SELECT 1",
    "EXPLAIN QUERY PLAN SELECT 1",
];

/// Statements that change rows, with the result of the writer. The reader refuses all of them as `read-only`.
const WRITING: &[(&str, &str)] = &[
    // Every kind of statement that writes.
    ("INSERT INTO scratch VALUES ('x')", "ok"),
    ("INSERT INTO scratch VALUES ('x') RETURNING *", "ok"),
    ("INSERT INTO scratch DEFAULT VALUES", "ok"),
    ("REPLACE INTO items VALUES (1, 'x')", "ok"),
    ("INSERT OR REPLACE INTO items VALUES (1, 'x')", "ok"),
    ("INSERT INTO items VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x'", "ok"),
    ("UPDATE items SET name = 'x' WHERE id = 1", "ok"),
    ("UPDATE OR IGNORE items SET name = 'x'", "ok"),
    ("UPDATE items SET name = 'x' FROM counted WHERE counted.item = items.id RETURNING *", "ok"),
    ("DELETE FROM texts", "ok"),
    ("DELETE FROM scratch RETURNING *", "ok"),
    ("WITH x AS (SELECT 'x' AS a) INSERT INTO scratch SELECT a FROM x", "ok"),
    ("WITH x AS (SELECT 1 AS a) UPDATE items SET name = 'x' WHERE id IN x", "ok"),
    ("WITH x AS (SELECT 1) DELETE FROM scratch", "ok"),
    ("/* SELECT */ INSERT INTO scratch VALUES ('x')", "ok"),
    ("INSERT INTO names VALUES ('x')", "constraint"),
    ("INSERT INTO texts (texts) VALUES ('delete-all')", "other"),
    // Conflict clauses and triggers. Those with `ROLLBACK` would end the transaction.
    ("INSERT OR ROLLBACK INTO items VALUES (1, 'x')", "constraint"),
    ("UPDATE OR ROLLBACK items SET name = 'a'", "constraint"),
    ("INSERT OR FAIL INTO items VALUES (3, 'c'), (1, 'x')", "constraint"),
    ("INSERT OR ABORT INTO items VALUES (1, 'x') RETURNING id", "constraint"),
    ("REPLACE INTO traps VALUES ('x')", "constraint"),
    ("INSERT INTO traps VALUES ('x')", "constraint"),
    ("INSERT INTO traps SELECT 'x' RETURNING *", "constraint"),
    ("INSERT INTO harsh VALUES (1)", "constraint"),
    ("UPDATE harsh SET n = 2 WHERE n = 1 RETURNING n", "ok"),
    ("INSERT INTO items SELECT RAISE(ROLLBACK, 'x')", "other"),
    // Internal tables of the host, of SQLite and of the full-text index.
    ("INSERT INTO carya_outbox VALUES (9, 'x', 'probe', 'x', '', 0, 0)", "forbidden"),
    ("UPDATE carya_outbox SET due_at = 0", "forbidden"),
    ("DELETE FROM carya_outbox", "forbidden"),
    ("DELETE FROM \"Carya_Outbox\"", "forbidden"),
    ("DELETE FROM main.'carya_outbox'", "forbidden"),
    ("REPLACE INTO [CARYA_OUTBOX] (id) VALUES (1)", "forbidden"),
    ("DELETE FROM _sqlx_migrations", "forbidden"),
    ("UPDATE _SQLX_migrations SET checksum = x''", "forbidden"),
    ("UPDATE sqlite_schema SET sql = ''", "forbidden|other"),
    ("DELETE FROM sqlite_master", "forbidden|other"),
    ("INSERT INTO sqlite_temp_schema VALUES (1, 2, 3, 4, 5)", "forbidden|other"),
    ("UPDATE sqlite_sequence SET seq = 1000", "forbidden"),
    ("DELETE FROM sqlite_stat1", "forbidden|other"),
    ("DELETE FROM texts_data", "forbidden|other"),
    ("UPDATE texts_config SET v = 1", "forbidden|other"),
    ("INSERT INTO scratch SELECT payload FROM carya_outbox", "forbidden"),
    ("INSERT INTO scratch SELECT name FROM pragma_database_list", "forbidden"),
    ("UPDATE items SET name = (SELECT checksum FROM _sqlx_migrations)", "forbidden"),
    ("DELETE FROM scratch WHERE EXISTS (SELECT 1 FROM carya_outbox)", "forbidden"),
    ("INSERT INTO scratch VALUES ('x') RETURNING (SELECT count(*) FROM carya_outbox)", "forbidden"),
    ("INSERT INTO temp.items VALUES (1)", "other"),
    ("INSERT INTO pragma_query_only VALUES (0)", "forbidden|other"),
    ("UPDATE dbstat SET name = 1", "forbidden|other"),
];

/// Queries with the result of the writer. The reader has the same results, but `read-only` in place of `forbidden`.
const READING: &[(&str, &str)] = &[
    // Tables of the host, such as `carya_outbox`, in all spellings of their names.
    ("SELECT * FROM carya_outbox", "forbidden"),
    ("SELECT count(*) FROM carya_outbox", "forbidden"),
    ("SELECT 1 FROM CARYA_outbox", "forbidden"),
    ("SELECT rowid FROM main.[carya_outbox]", "forbidden"),
    ("SELECT x.payload FROM (SELECT * FROM 'carya_outbox') AS x", "forbidden"),
    ("SELECT 1 WHERE 1 IN carya_outbox", "forbidden|other"),
    ("SELECT EXISTS (SELECT 1 FROM `carya_outbox`)", "forbidden"),
    ("WITH x AS (SELECT * FROM carya_outbox) SELECT count(*) FROM x", "forbidden"),
    ("SELECT * FROM items LEFT JOIN carya_outbox ON 1", "forbidden"),
    ("SELECT checksum FROM _sqlx_migrations", "forbidden"),
    ("VALUES ((SELECT payload FROM carya_outbox))", "forbidden"),
    ("SELECT id FROM items ORDER BY (SELECT count(*) FROM carya_outbox)", "forbidden"),
    // Settings and files, through virtual tables and functions.
    ("SELECT * FROM pragma_query_only", "forbidden"),
    ("SELECT * FROM pragma_query_only(0)", "forbidden|other"),
    ("SELECT * FROM pragma_user_version", "forbidden"),
    ("SELECT * FROM PRAGMA_database_list", "forbidden"),
    ("SELECT * FROM pragma_data_version", "forbidden"),
    ("SELECT * FROM pragma_journal_mode('DELETE')", "forbidden|other"),
    // `abs` fails in the first row. The description of a table of the host has no rows.
    ("SELECT abs(-9223372036854775807 - 1) FROM pragma_table_info('items')", "data"),
    ("SELECT abs(-9223372036854775807 - 1) FROM pragma_table_info('carya_outbox')", "ok"),
    ("SELECT abs(-9223372036854775807 - 1) FROM pragma_table_xinfo('CARYA_outbox', 'main')", "ok"),
    ("SELECT c.name FROM sqlite_schema t, pragma_table_info(t.name) c", "ok"),
    ("SELECT name FROM pragma_table_xinfo('items')", "ok"),
    ("SELECT * FROM main.pragma_function_list", "forbidden|other"),
    ("SELECT * FROM pragma_wal_checkpoint", "forbidden|other"),
    ("SELECT * FROM dbstat", "forbidden"),
    ("SELECT * FROM sqlite_dbpage", "forbidden|other"),
    ("SELECT * FROM sqlite_temp_schema", "forbidden|ok"),
    ("SELECT load_extension('/tmp/evil.so')", "forbidden"),
    ("SELECT load_extension('/tmp/evil.so', 'main')", "forbidden"),
    ("SELECT fts3_tokenizer('simple')", "forbidden|other"),
    ("SELECT fts3_tokenizer('simple', x'4141414141414141')", "forbidden|other"),
    ("SELECT readfile('/etc/passwd')", "other"),
    ("SELECT writefile('evil', 'x')", "other"),
    ("SELECT edit('x')", "other"),
    ("SELECT * FROM fsdir('/')", "other"),
    ("SELECT * FROM generate_series(1, 2)", "other"),
    ("SELECT fts5(x'00')", "ok"),
    ("SELECT rtreecheck('items')", "ok|other|forbidden"),
    ("SELECT RAISE(ROLLBACK, 'x')", "other"),
    ("SELECT * FROM other.sqlite_schema", "other"),
    ("SELECT * FROM items INTO OUTFILE '/tmp/evil'", "other"),
    ("SELECT * INTO evil FROM items", "other"),
    ("SELECT * FROM items FOR UPDATE", "other"),
    // Values, patterns and parameter numbers that are too large; then unusual arguments that are allowed.
    ("SELECT zeroblob(2147483647)", "limit"),
    ("SELECT length(randomblob(1000000000))", "limit"),
    ("SELECT length(hex(zeroblob(3000000)))", "limit"),
    ("SELECT length(quote(zeroblob(3000000)))", "limit"),
    ("SELECT length(printf('%.*c', 2000000000, 'x'))", "limit|ok"),
    ("SELECT length(printf('%2000000000d', 1))", "limit|ok"),
    ("SELECT length(replace(hex(zeroblob(10000)), '0', hex(zeroblob(10000))))", "limit"),
    ("SELECT 'x' LIKE hex(zeroblob(1000))", "other|limit"),
    ("SELECT 'x' GLOB hex(zeroblob(1000))", "other|limit"),
    ("SELECT abs(-9223372036854775807 - 1)", "data"),
    ("SELECT ?99999999999999999999, ?", "other"),
    ("SELECT ?0, :name, @name, $name", "other"),
    ("SELECT json(hex(zeroblob(1000000)))", "data"),
    ("SELECT length(char(0)), unhex('00'), CAST(x'00' AS TEXT)", "ok"),
    (
        "SELECT replace('ab', 'b', NULL), instr(x'00ff', x'ff'), instr('éa', 'a'), ltrim('xxa', 'x'), replace(12, 2, 3)",
        "ok",
    ),
];

/// `WITH` clause with a table `c` that never ends.
const RUNAWAY: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)";

/// Expression for a text of one million characters.
const LONG: &str = "hex(zeroblob(500000))";

/// Generated statements, with the result of both handles.
fn made() -> Vec<(String, &'static str)> {
    let many = |what: &str, count: usize, between: &str| vec![what; count].join(between);
    let nested = |open: &str, core: &str, close: &str, depth: usize| {
        format!("SELECT {}{core}{}", open.repeat(depth), close.repeat(depth))
    };
    // Each table expression reads the one before it twice, so `a0` is read 2^39 times.
    let doubled: String = (1..40).map(|n| format!(", a{n} AS (SELECT 1 FROM a{p} x, a{p} y)", p = n - 1)).collect();
    vec![
        (nested("(", "1", ")", 90), "ok"),
        (nested("(", "1", ")", 5000), "ok"),
        (nested("-", "1", "", 5000), "other|limit"),
        (nested("NOT ", "1", "", 5000), "other|limit"),
        (nested("(SELECT ", "1", ")", 2000), "other|limit"),
        (nested("abs(", "1", ")", 2000), "other|limit"),
        (nested("CASE WHEN 1 THEN ", "1", " END", 800), "other|limit"),
        (format!("SELECT {}", many("1", 300, ", ")), "other|limit"),
        (format!("SELECT {}", many("1", 5000, " + ")), "other|limit"),
        (many("SELECT 1", 60, " UNION ALL "), "other|limit"),
        (format!("SELECT 1 FROM {}", many("items", 70, ", ")), "other|limit"),
        (format!("SELECT 1 FROM items WHERE id IN ({})", many("1", 15_000, ",")), "ok"),
        (format!("SELECT 1 WHERE {}", many("1", 6000, " OR ")), "other|limit"),
        (format!("WITH a0 AS (SELECT 1){doubled} SELECT count(*) FROM a39"), "timeout|other|limit"),
        (format!("SELECT {} LIKE '{}b'", "hex(zeroblob(1000))", many("%_0", 120, "")), "other|limit"),
        // SQLite cannot interrupt a single function call, so the host bounds the cost of each.
        (format!("SELECT {LONG} LIKE '%{}1%'", many("0", 120, "")), "ok|timeout"),
        (format!("SELECT instr({LONG}, substr({LONG}, 1, 300000) || '1')"), "ok"),
        (format!("SELECT instr({LONG}, '1' || substr({LONG}, 1, 300000))"), "ok"),
        (format!("SELECT length(replace({LONG}, substr({LONG}, 1, 300000) || '1', ''))"), "ok"),
        (format!("SELECT length(replace({LONG}, '00', '1')), instr({LONG}, '0001')"), "ok|timeout"),
        (format!("SELECT replace(replace({LONG}, '0', '00'), '0', '000')"), "limit"),
        (format!("SELECT trim(replace({LONG}, '0', 'z'), substr({LONG}, 1, 300000) || 'z')"), "ok|timeout"),
        (format!("SELECT unhex(hex(zeroblob(9)) || 'g', replace({LONG}, '0', 'h') || 'g')"), "limit"),
        ("SELECT json_patch('{}', '{}'), jsonb_patch('{}', '{}')".to_owned(), "forbidden|read-only"),
        (format!("{RUNAWAY} SELECT count(*) FROM c"), "timeout"),
        (format!("{RUNAWAY} SELECT n FROM c"), "limit"),
        (format!("{RUNAWAY} SELECT n FROM c WHERE n < 0"), "timeout"),
        (format!("{RUNAWAY} SELECT group_concat(n || hex(zeroblob(1000))) FROM c"), "limit|timeout"),
        (format!("{RUNAWAY} SELECT json_group_array(n) FROM c"), "limit|timeout"),
        (format!("{RUNAWAY} SELECT n FROM c ORDER BY n"), "timeout|limit"),
        (format!("{RUNAWAY} SELECT sum(n) OVER (ORDER BY n) FROM c"), "timeout|limit"),
        (format!("SELECT count(*) FROM {}", many("(VALUES (1),(2),(3),(4),(5),(6),(7),(8))", 20, ", ")), "timeout"),
        (format!("SELECT * FROM {}", many("(VALUES (1),(2),(3),(4),(5),(6),(7),(8))", 20, ", ")), "limit"),
        ("SELECT max(x.value) FROM json_each('[1,2,3,4,5,6,7,8,9,0]') x".to_owned(), "ok"),
    ]
}

pub fn all() -> Vec<Case> {
    let case = |sql: &str, reader, writer| Case { sql: sql.to_owned(), reader, writer };
    let as_reader = |kind: &'static str| match kind {
        "forbidden" => "read-only",
        "forbidden|other" => "read-only|other",
        "forbidden|ok" => "read-only|ok",
        kind => kind,
    };
    let forbidden = FORBIDDEN.iter().map(|sql| case(sql, "forbidden", "forbidden"));
    let savepoints = SAVEPOINTS.iter().map(|(sql, writer)| case(sql, "forbidden", writer));
    let writing = WRITING.iter().map(|(sql, writer)| case(sql, "read-only", writer));
    let reading = READING.iter().map(|(sql, kind)| case(sql, as_reader(kind), kind));
    let made = made().into_iter().map(|(sql, kind)| Case { sql, reader: kind, writer: kind });
    forbidden.chain(savepoints).chain(writing).chain(reading).chain(made).collect()
}
