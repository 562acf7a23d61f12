//! Statements for PostgreSQL.

use super::*;

/// Queries of ordinary applications.
const READING: &[&str] = &[
    "SELECT 1",
    "select * from items;",
    "TABLE items",
    "VALUES (1, 'a'), (2, 'b')",
    "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE c (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT n FROM c",
    "WITH a AS MATERIALIZED (SELECT 1 AS x), b AS NOT MATERIALIZED (SELECT 2 AS y) TABLE a",
    "SELECT id::text, '2024-01-01'::date, CAST(n AS numeric(10, 2)) FROM items",
    "SELECT name FROM items WHERE id = $1 AND n > $2::int",
    "SELECT name FROM items WHERE id = ? AND n > ?::int",
    "SELECT ?1::int + ?2::int + ?1::int",
    "SELECT name FROM items WHERE id = ANY($1::int[])",
    "SELECT ARRAY[1, 2, 3], (ARRAY[1,2])[1], ARRAY(SELECT 1)",
    "SELECT data->'a', data->>'b', data#>>'{c,d}', data @> '{\"e\": 1}', data - 'f' FROM docs",
    "SELECT jsonb_exists(data, 'a'), jsonb_exists_any(data, ARRAY['a']), jsonb_path_exists(data, '$.a') FROM docs",
    "SELECT 'it''s', E'tab\\t\\'quoted\\'', $$dollar 'quoted'; COMMIT$$, $tag$ $$ ; $tag$",
    "SELECT U&'d\\0061t\\+000061', N'national', B'1010', X'1FF'",
    "SELECT U&'d!0061t!+000061' UESCAPE '!'",
    "SELECT 'a'\n  'b'",
    "SELECT name FROM items WHERE name ~* '^a.*\\d$' OR name !~ 'x' OR name LIKE 'a\\%' ESCAPE '\\'",
    "SELECT name FROM items WHERE name ILIKE '%' || $1 || '%'",
    "SELECT count(*) FILTER (WHERE n > 1), sum(n) OVER (PARTITION BY name ORDER BY id ROWS 2 PRECEDING) FROM items",
    "SELECT DISTINCT ON (name) name, n FROM items ORDER BY name, n DESC NULLS LAST LIMIT 10 OFFSET 5",
    "SELECT * FROM items FETCH FIRST 5 ROWS ONLY",
    "SELECT * FROM items i JOIN LATERAL (SELECT max(n) FROM items WHERE id = i.id) m ON true",
    "SELECT * FROM items TABLESAMPLE BERNOULLI (10)",
    "SELECT * FROM generate_series(1, 10) WITH ORDINALITY AS g (n, i)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1, 2])) AS x (a, b)",
    "SELECT * FROM jsonb_to_recordset('[{\"a\": 1}]') AS x (a int)",
    "SELECT substring(name from 1 for 3), overlay(name placing 'x' from 1 for 2), position('a' in name) FROM items",
    "SELECT extract(epoch FROM now()), date_trunc('day', now()), now() - interval '1 day', current_date",
    "SELECT now() AT TIME ZONE 'UTC', age(now()), to_char(now(), 'YYYY-MM-DD')",
    "SELECT coalesce(name, 'x'), nullif(n, 0), greatest(1, n), least(1, n) FROM items",
    "SELECT CASE WHEN n > 1 THEN 'a' ELSE 'b' END FROM items",
    "SELECT to_tsvector('english', name) @@ websearch_to_tsquery('a or b'), ts_rank(v, q), ts_headline(name, q) FROM docs",
    "SELECT md5(name), encode(sha256('a'), 'hex'), gen_random_uuid(), random() FROM items",
    "SELECT pg_typeof(n), pg_column_size(name), pg_size_pretty(pg_total_relation_size('items')) FROM items",
    "SELECT pg_get_serial_sequence('items', 'id'), pg_catalog.pg_typeof(1)",
    "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
    "SELECT \"sleep\", sleep, pg_rating, lo_price, currval, setval FROM films",
    "SELECT \"Mixed Case\", \"a\"\"b\", \"SELECT\" FROM \"odd;table\"",
    "SELECT größe, straße$1 FROM maße",
    "SELECT 'pg_sleep(10)', 'carya_outbox', '/* ', '--', ';' -- pg_sleep(10)",
    "SELECT /* outer /* inner pg_sleep(1) */ ; COMMIT */ 1",
    "SELECT 1.5, .5, 5., 1e10, 1.5E-3, 1e+5, 2+2, -1",
    "SELECT 1 AS \"pg_sleep()\"",
    "SELECT 1 -- comment\rUNION SELECT 2",
    "SELECT (SELECT update FROM s), key, share, for_whom FROM t",
    "SELECT last_name, local, lower(name), location, lock, load FROM people",
    "SELECT user, users.user_id, current_user FROM users",
    "SELECT xmlelement(name a, 'b'), xpath('/a', '<a/>'::xml)",
    "SELECT a <-> b, a && b, a <@ b, a << 2, a # b, @ -5, |/ 25, !! 'x'::tsquery FROM t",
    "SELECT txid_current_if_assigned(), pg_current_snapshot()",
    "SELECT obj_description('items'::regclass), 'items'::regclass::oid",
    "SELECT row_number() OVER w FROM items WINDOW w AS (ORDER BY id)",
    "SELECT ROW(1, 2) = ROW(1, 2), (1, 2) IN (SELECT id, n FROM items)",
    "SELECT * FROM items GROUP BY GROUPING SETS ((id), (name), ())",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n), string_agg(name, ', ' ORDER BY name) FROM items",
    "SELECT $1",
    "SELECT ($1), (?)",
    "SELECT 'a' LIKE $1 AND 1 IN ($2,$3)",
    "SELECT E'\\\\', 'C:\\', E'\\''",
    "SELECT lo_import, dblink, pg_sleep FROM t",
    "WITH lo_orders (id) AS (SELECT 1) SELECT lo_orders.id, bt_items(1), lo_total(2), brin_x(3) FROM lo_orders",
    "SELECT schedule.id, t.heap_force_kill FROM schedule, t",
    "SELECT 5 -- five\n-- none\n",
];

/// Changes by ordinary applications.
const WRITING: &[&str] = &[
    "INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id",
    "INSERT INTO items (name) VALUES (?), (?)",
    "INSERT INTO public.\"items\" DEFAULT VALUES",
    "INSERT INTO items AS i (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE i.n = 1",
    "INSERT INTO items SELECT * FROM other ON CONFLICT DO NOTHING",
    "INSERT INTO sleep (hours) VALUES (8)",
    "INSERT INTO items OVERRIDING SYSTEM VALUE VALUES (1)",
    "INSERT INTO items (id) VALUES (nextval('items_id_seq'))",
    "/* why */ insert /* how */ into items values (1)",
    "UPDATE items SET name = $1 WHERE id = $2",
    "UPDATE ONLY items AS i SET n = o.n FROM other o WHERE o.id = i.id RETURNING i.*",
    "UPDATE items SET (name, n) = ('a', 1)",
    "UPDATE items SET data = jsonb_set(data, '{a}', '1') WHERE data @> '{}'",
    "UPDATE films SET pg_rating = 1",
    "DELETE FROM items WHERE id = $1",
    "DELETE FROM ONLY items USING other WHERE other.id = items.id RETURNING items.id",
    "MERGE INTO items USING other o ON o.id = items.id WHEN MATCHED THEN UPDATE SET n = 1 \
     WHEN NOT MATCHED THEN INSERT (id) VALUES (o.id)",
    "MERGE INTO items USING other ON false WHEN MATCHED THEN DELETE",
];

/// Statements that begin as queries. If they change rows, the server refuses them in a read-only transaction.
const BOTH: &[&str] = &[
    "WITH x AS (INSERT INTO items (id) VALUES (1) RETURNING id) SELECT * FROM x",
    "WITH x AS (SELECT 1 AS id) INSERT INTO items SELECT id FROM x",
    "WITH x AS (SELECT 1), y AS (SELECT 2) INSERT INTO items SELECT * FROM y",
    "WITH x AS (SELECT 1 AS id) UPDATE items SET n = 1 FROM x WHERE x.id = items.id",
    "WITH x AS (DELETE FROM items RETURNING *) INSERT INTO archive SELECT * FROM x",
    "WITH x AS (SELECT 1 AS id) MERGE INTO items USING x ON x.id = items.id WHEN MATCHED THEN DELETE",
    "SELECT nextval('items_id_seq')",
];

/// Statements that need a writer: they take locks, or register notifications for the commit.
const LOCKING: &[&str] = &[
    "SELECT * FROM items FOR UPDATE",
    "SELECT * FROM items FOR NO KEY UPDATE",
    "SELECT * FROM items FOR SHARE",
    "SELECT * FROM items FOR KEY SHARE",
    "SELECT * FROM items FOR UPDATE OF items SKIP LOCKED",
    "SELECT * FROM items for/**/update nowait",
    "(SELECT * FROM items FOR UPDATE)",
    "WITH x AS (SELECT * FROM items FOR SHARE) SELECT 1",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_catalog.pg_try_advisory_xact_lock_shared(1, 2)",
    "SELECT pg_notify('a', 'b')",
];

/// Statements that the gate refuses through `reader` and `writer` handles.
const FORBIDDEN: &[&str] = &[
    // Other statements.
    "ABORT",
    "REPLACE INTO items VALUES (1)",
    "DISCARD ALL",
    "RESET ALL",
    "SET LOCAL statement_timeout = 0",
    "SET TRANSACTION READ WRITE",
    "SET SESSION AUTHORIZATION postgres",
    "COPY items TO '/tmp/x'",
    "COPY items FROM PROGRAM 'id'",
    "COPY (SELECT 1) TO STDOUT",
    "DO $$ BEGIN COMMIT; END $$",
    "LISTEN a",
    "NOTIFY a",
    "UNLISTEN *",
    "LOCK TABLE items",
    "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
    "FETCH ALL FROM a",
    "CLOSE ALL",
    "DEALLOCATE ALL",
    "LOAD '/tmp/x.so'",
    "CHECKPOINT",
    "PREPARE TRANSACTION 'a'",
    "REFRESH MATERIALIZED VIEW v",
    "ALTER SYSTEM SET a = 1",
    "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
    // Two statements.
    "SELECT $$a$$; COMMIT",
    "SELECT $a$ $$; $a$; COMMIT",
    "SELECT E'\\''; COMMIT --'",
    "SELECT '\\'; COMMIT --'",
    "SELECT /* /* */ 1; COMMIT",
    "SELECT /* /* */ */ 1; COMMIT",
    "SELECT 1 -- \r; COMMIT",
    "SELECT U&'\\0027'; COMMIT --'",
    "SELECT a$$; COMMIT --$$",
    "SELECT $a$ $A$ ; COMMIT",
    "SELECT $1$; COMMIT --$",
    "SELECT $é$;$é$; COMMIT",
    // Texts that have different meanings in different versions of PostgreSQL, or that would get another meaning when
    // the host rewrites the parameters.
    "SELECT E'a'\n'\\'; COMMIT --'",
    "SELECT E'a'/**/'b'",
    "SELECT 1E'\\'', pg_sleep(1) --'",
    "SELECT 1abc",
    "SELECT 0xE'\\''",
    "SELECT 1.e'\\''",
    "SELECT a?",
    "SELECT ?a",
    "SELECT ??",
    "SELECT $1a",
    "SELECT $0",
    "SELECT $",
    "SELECT $a",
    "SELECT U&\"pg\\005fsleep\"(1)",
    "SELECT * FROM u&\"carya!005foutbox\" UESCAPE '!'",
    // Statements that create tables.
    "SELECT * INTO evil FROM items",
    "SELECT 1 AS a INTO TEMP evil",
    "WITH x AS (SELECT 1) SELECT * INTO evil FROM x",
    "SELECT insert INTO evil FROM (SELECT 1 AS insert) x",
    "SELECT f(1) insert INTO evil",
    "WITH x AS (SELECT 1) SELECT f(1) insert INTO evil FROM x",
    "WITH x AS (SELECT 1) (SELECT f(1) insert INTO evil FROM x)",
    "WITH RECURSIVE x AS (SELECT 1) CYCLE a SET b USING c SELECT f(1) merge INTO evil FROM x",
    "SELECT ignore INTO evil FROM items",
    // Time.
    "SELECT pg_sleep(10)",
    "SELECT PG_SLEEP (10)",
    "SELECT pg_catalog.pg_sleep(10)",
    "SELECT \"pg_sleep\"(10)",
    "SELECT pg_catalog . \"pg_sleep\" /* a */ -- b\n (10)",
    "SELECT * FROM pg_sleep_for('1 day')",
    "SELECT pg_sleep_until('tomorrow')",
    "INSERT INTO items SELECT 1 FROM pg_sleep(1)",
    // Locks that outlive the transaction.
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "SELECT pg_advisory_unlock_all()",
    // Settings.
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT pg_catalog.set_config('role', 'postgres', false)",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'transaction_read_only'",
    "SELECT * FROM pg_settings",
    "SELECT current_setting('primary_conninfo')",
    "SELECT pg_reload_conf()",
    "SELECT * FROM pg_file_settings",
    "SELECT setseed(0.5)",
    "SELECT * FROM pg_show_all_settings()",
    // Files.
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('a')",
    "SELECT * FROM pg_ls_dir('.')",
    "SELECT * FROM pg_ls_waldir()",
    "SELECT (pg_stat_file('a')).size",
    "SELECT pg_file_write('a', 'b', false)",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_current_logfile()",
    "SELECT pg_relation_filepath('items')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lowrite(lo_open(1, 131072), 'x')",
    "SELECT loread(0, 1)",
    "SELECT * FROM pg_largeobject",
    // Other sessions.
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(pid) FROM generate_series(1, 1000) pid",
    "SELECT query FROM pg_stat_activity",
    "SELECT * FROM \"pg_catalog\".\"pg_stat_activity\"",
    "SELECT * FROM pg_stat_get_activity(NULL)",
    "SELECT pg_stat_reset()",
    "SELECT * FROM pg_stat_statements",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_lock_status()",
    "SELECT * FROM pg_prepared_statements",
    "SELECT * FROM pg_prepared_xacts",
    "SELECT * FROM pg_cursors",
    "SELECT pg_export_snapshot()",
    "SELECT pg_log_backend_memory_contexts(1)",
    // Secrets.
    "SELECT * FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT * FROM pg_user_mappings",
    "SELECT * FROM information_schema.user_mapping_options",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT most_common_vals FROM pg_stats",
    "SELECT * FROM pg_toast.pg_toast_1234",
    // The server.
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('a')",
    "SELECT pg_backup_start('a')",
    "SELECT pg_start_backup('a')",
    "SELECT pg_promote()",
    "SELECT pg_wal_replay_pause()",
    "SELECT pg_create_physical_replication_slot('a')",
    "SELECT pg_create_logical_replication_slot('a', 'test_decoding')",
    "SELECT pg_drop_replication_slot('a')",
    "SELECT pg_logical_emit_message(true, 'a', 'b')",
    "SELECT pg_logical_slot_get_changes('a', NULL, NULL)",
    "SELECT pg_replication_origin_create('a')",
    "SELECT pg_import_system_collations('public')",
    "SELECT pg_nextoid('pg_class', 'oid', 'x')",
    "SELECT binary_upgrade_set_next_pg_type_oid(1)",
    "SELECT gin_clean_pending_list('i')",
    "SELECT get_raw_page('pg_authid', 0)",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    // SQL in texts, other databases.
    "SELECT query_to_xml('SELECT pg_sleep(1)', true, true, '')",
    "SELECT query_to_xml_and_xmlschema('SELECT 1', true, true, '')",
    "SELECT table_to_xml('carya_outbox', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT cursor_to_xml('a', 1, true, true, '')",
    "SELECT * FROM ts_stat('SELECT pg_sleep(1)::text::tsvector')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT pg_sleep(1)')",
    "SELECT * FROM crosstab('SELECT 1') AS x (a int)",
    "SELECT * FROM dblink('dbname=a', 'COMMIT') AS x (a int)",
    "SELECT dblink_exec('dbname=a', 'DROP TABLE t')",
    // State that an earlier request left.
    "SELECT lastval()",
    "SELECT currval('items_id_seq')",
    "SELECT setval('items_id_seq', 1)",
    // Tables of the host and of the server.
    "SELECT * FROM carya_outbox",
    "SELECT * FROM public.\"carya_outbox\"",
    "SELECT * FROM CARYA_OUTBOX",
    "DELETE FROM _sqlx_migrations",
    "INSERT INTO carya_outbox VALUES (1)",
    "UPDATE pg_class SET relname = 'x'",
    "UPDATE ONLY (pg_catalog.pg_class) SET relname = 'x'",
    "DELETE FROM pg_proc",
    "DELETE FROM app.pg_catalog.pg_proc",
    "INSERT INTO pg_catalog.pg_class SELECT * FROM pg_class",
    "WITH x AS (DELETE FROM \"pg_proc\" RETURNING *) SELECT 1",
    "MERGE INTO pg_type USING items ON true WHEN MATCHED THEN DELETE",
    "UPDATE information_schema.sql_features SET comments = ''",
    "SELECT update(lo_import('/etc/passwd'))",
];

#[test]
fn legitimate_statements_pass() {
    for statements in [READING, BOTH] {
        all_are(Dialect::Postgres, ReadOnly, None, statements);
        all_are(Dialect::Postgres, ReadWrite, None, statements);
    }
    for statements in [WRITING, LOCKING] {
        all_are(Dialect::Postgres, ReadOnly, Some(Kind::ReadOnly), statements);
        all_are(Dialect::Postgres, ReadWrite, None, statements);
    }
}

#[test]
fn hostile_statements_are_refused() {
    all_are(Dialect::Postgres, ReadOnly, Some(Kind::Forbidden), FORBIDDEN);
    all_are(Dialect::Postgres, ReadWrite, Some(Kind::Forbidden), FORBIDDEN);
}

#[test]
fn functions_of_extensions_are_refused_by_name() {
    let function = |name: &str, takes_row| {
        let function =
            ExtensionFunction { full_name: format!("public.{name}"), extension: "ext".to_owned(), takes_row };
        (name.to_lowercase(), function)
    };
    let long = "x".repeat(63);
    let functions = [function("heap_force_kill", false), function("describe", true), function(&long, false)];
    let rules = Rules::Postgres(Extensions::new(functions, &[]));
    let calls = [
        "SELECT heap_force_kill('items', ARRAY['(0,1)']::tid[])",
        "SELECT HEAP_FORCE_KILL ('items', '{}')",
        "SELECT public.\"heap_force_kill\" /* a */ ('items', '{}')",
        "SELECT * FROM heap_force_kill('items', '{}')",
        "SELECT items.describe FROM items",
        "SELECT (items).describe FROM items",
        "SELECT describe(items) FROM items",
        &format!("SELECT {long}yz(1)"),
    ];
    let others = ["SELECT heap_force_kill, t.heap_force_kill, describe FROM t", "INSERT INTO describe (a) VALUES (1)"];
    let mut wrong = Vec::new();
    for sql in calls {
        for access in [ReadOnly, ReadWrite] {
            let error = rules.check(sql, &[], access).err();
            let is_refused = error.as_ref().is_some_and(|error| {
                let names_function = error.message.contains("allow_functions") && error.message.contains("\"public.");
                error.kind == Kind::Forbidden && names_function
            });
            if !is_refused {
                wrong.push(format!("{access:?} {sql}: {error:?}"));
            }
        }
    }
    let refused = others.into_iter().filter_map(|sql| Some((sql, rules.check(sql, &[], ReadWrite).err()?)));
    wrong.extend(refused.map(|(sql, error)| format!("{sql}: {error}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The configuration can also allow functions that the gate refuses by name, except functions of the schema
    // `pg_catalog`.
    let allowed = ["public.Heap_Force_Kill", "x.crosstab", "pg_catalog.pg_sleep"].map(str::to_owned);
    let rules = Rules::Postgres(Extensions::new([], &allowed));
    let table = [
        ("SELECT heap_force_kill('items', '{}'), crosstab('a')", None),
        ("SELECT heap_force_freeze('items', '{}')", Some(Kind::Forbidden)),
        ("SELECT pg_sleep(1)", Some(Kind::Forbidden)),
    ];
    let found = table.map(|(sql, _)| (sql, rules.check(sql, &[], ReadWrite).err().map(|error| error.kind)));
    assert_eq!(found, table);
}
