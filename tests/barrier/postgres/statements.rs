//! Hostile statements for PostgreSQL, grouped by purpose and by the layer that stops them, and statements of ordinary
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
            "COMMIT", "commit work and chain", "PREPARE TRANSACTION 'evil'", "END", "ROLLBACK", "ABORT", "ROLLBACK AND CHAIN", "BEGIN",
            "/**/COMMIT", "/* SELECT */ COMMIT",
            "-- SELECT 1\rCOMMIT", "/* /* */ SELECT 1; */ COMMIT", ";COMMIT;", " \t\n\u{c}COMMIT",
            "", ";", "-- nothing", "/* nothing */",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "COMMIT PREPARED 'evil'", "ROLLBACK PREPARED 'evil'", "(COMMIT)", "\u{feff}COMMIT", "\u{a0}COMMIT",
            "\u{ff23}\u{ff2f}\u{ff2d}\u{ff2d}\u{ff29}\u{ff34}", "\u{421}OMMIT", "\\COMMIT", "C/**/OMMIT", "CALL ends()",
            "DO $$ BEGIN COMMIT; END $$", "DO LANGUAGE plpgsql 'BEGIN DELETE FROM child; END'",
        ],
    },
    // Savepoints, which the host carries out itself through a writer, under names of its own.
    Group { reader: Gate(FORBIDDEN), writer: Some(Runs), statements: &["SAVEPOINT evil", "SAVEPOINT carya_0"] },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both("other")),
        statements: &["ROLLBACK TO carya_0", "ROLLBACK TO SAVEPOINT carya_1", "RELEASE carya_0"],
    },
    // Two statements in one text, hidden by every form of quoting.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT 1; COMMIT", "SELECT 1;SELECT 2", "SELECT ';' ; ROLLBACK", "SELECT \"a;\"\";b\" ; ROLLBACK",
            "SELECT $$a$$; COMMIT", "SELECT $a$ $$; $a$; COMMIT", "SELECT E'\\''; COMMIT --'", "SELECT '\\'; COMMIT --'",
            "SELECT U&'\\0027'; COMMIT --'", "SELECT a$$; COMMIT --$$", "SELECT /* /* */ 1; COMMIT",
            "SELECT /* /* */ */ 1; COMMIT", "SELECT 1 -- \r; COMMIT", "SELECT 1 /* ; */ ; COMMIT",
            "SELECT $é$;$é$; COMMIT", "INSERT INTO scratch VALUES ('x'); COMMIT; BEGIN", "SELECT 1\0; COMMIT", "\0COMMIT",
            "SELECT '\0'", "SELECT 'a", "SELECT \"a", "SELECT $$a", "SELECT /* a", "SELECT (1", "SELECT 1)",
            "SELECT E'a'/**/'b'; COMMIT",
        ],
    },
    // The state of the session.
    Group {
        reader: Gate(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SET statement_timeout = 0", "SET LOCAL statement_timeout = 0", "SET search_path = evil",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET TIME ZONE 'Asia/Tokyo'", "RESET ALL",
            "RESET statement_timeout", "SET ROLE NONE", "SET CONSTRAINTS ALL DEFERRED", "SHOW ALL", "DISCARD PLANS",
            "DISCARD TEMP", "DISCARD SEQUENCES", "LISTEN evil", "NOTIFY evil", "UNLISTEN *", "DEALLOCATE ALL",
            "PREPARE evil AS SELECT 1", "CLOSE ALL", "DECLARE evil CURSOR WITH HOLD FOR SELECT 1",
            "DECLARE evil CURSOR FOR SELECT 1", "EXPLAIN SELECT 1", "SELECT current_setting('application_name')",
            "SELECT pg_current_xact_id()", "SELECT pg_advisory_unlock_all()", "SELECT pg_xact_status('3')", "SELECT pg_current_wal_insert_lsn()",
            "SELECT pg_relation_filepath('items')", "SELECT * FROM information_schema.user_mapping_options",
            "SELECT * FROM pg_db_role_setting", "SELECT * FROM pg_largeobject_metadata", "SELECT srvname FROM pg_foreign_server",
        ],
    },
    Group {
        // The effect of these functions ends with the transaction, or begins at its commit.
        reader: Gate("read-only"),
        writer: Some(Runs),
        statements: &["SELECT pg_advisory_xact_lock(1)", "SELECT pg_notify('evil', 'x')"],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "DISCARD ALL", "EXECUTE evil", "FETCH ALL FROM evil",
            "CREATE TEMP TABLE evil (a int)", "CREATE TEMP VIEW evil AS SELECT 1", "CREATE TEMP SEQUENCE evil",
            "SELECT * INTO evil FROM items", "SELECT 1 AS a INTO TEMP evil", "SELECT name INTO UNLOGGED evil FROM items",
            "WITH x AS (SELECT 1) SELECT * INTO evil FROM x", "SELECT insert INTO evil FROM (SELECT 1 AS insert) x",
            "SELECT set_config('transaction_read_only', 'off', false)",
            "SELECT \"pg_catalog\" . \"set_config\" /* a */ ('role', 'postgres', false)",
            "UPDATE pg_settings SET setting = 'off' WHERE name = 'transaction_read_only'", "SELECT * FROM pg_settings",
            "SELECT setseed(0.5)", "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock_shared(1, 2)",
            "SELECT * FROM pg_cursors", "SELECT * FROM pg_prepared_statements", "SELECT lastval()",
            "SELECT currval('seq')", "SELECT setval('seq', 100)", "SELECT setval('seq', 100, false) FROM items",
            "SELECT txid_current()", "SELECT pg_export_snapshot()", "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
        ],
    },
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Gate(FORBIDDEN)),
        statements: &[
            "SET TRANSACTION READ WRITE", "START TRANSACTION READ WRITE", "SET transaction_read_only = off", "SET LOCAL transaction_read_only TO off",
            "EXPLAIN ANALYZE DELETE FROM child", "LOCK TABLE items", "GRANT ALL ON items TO PUBLIC", "LOCK TABLE items IN SHARE MODE NOWAIT",
            "SELECT carya.carya_outbox_add('x', 'evil', 'probe', 'x', '', '', '', 1, 0)",
            "SELECT carya.carya_outbox_done('x', '1', 0)", "SELECT * FROM \"carya\".\"carya_outbox_done\"('x', '1', 0)",
        ],
    },
    // Files, programs and the server itself.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "COPY items TO '/tmp/{db}_evil'", "COPY items TO PROGRAM 'touch /tmp/{db}_evil'",
            "COPY items FROM PROGRAM 'echo 9'", "COPY (SELECT 1) TO '/tmp/{db}_evil'",
            "SELECT pg_read_file('/etc/passwd')", "SELECT pg_read_binary_file('PG_VERSION')",
            "SELECT * FROM pg_ls_dir('.')", "SELECT * FROM pg_ls_waldir()", "SELECT (pg_stat_file('PG_VERSION')).size",
            "SELECT lo_import('/etc/passwd')", "SELECT lo_export(7, '/tmp/{db}_evil')", "SELECT lo_create(0)",
            "SELECT lo_from_bytea(0, 'x')", "SELECT lo_put(7, 0, 'evil')", "SELECT lo_unlink(7)", "SELECT lo_get(7)",
            "SELECT lowrite(lo_open(7, 131072), 'x')", "SELECT loread(lo_open(7, 262144), 9)",
            "SELECT * FROM pg_largeobject", "SELECT pg_file_write('{db}_evil', 'x', false)",
            "LOAD '/tmp/{db}_evil.so'", "CREATE EXTENSION dblink", "CREATE LANGUAGE plperlu",
            "CREATE FUNCTION evil() RETURNS int LANGUAGE c AS '/lib/libc.so.6', 'system'",
            "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()", "SELECT pg_current_logfile()",
            "ALTER SYSTEM SET fsync = off", "CHECKPOINT", "SELECT pg_switch_wal()", "SELECT pg_promote()",
            "SELECT pg_create_restore_point('evil')", "SELECT pg_backup_start('evil')",
            "SELECT pg_create_physical_replication_slot('evil')", "SELECT pg_drop_replication_slot('replica')",
            "SELECT pg_logical_emit_message(true, 'evil', 'x')", "SELECT pg_replication_origin_create('evil')",
            "SELECT pg_import_system_collations('public')", "SELECT pg_nextoid('pg_class', 'oid', 'x')",
            "SELECT binary_upgrade_set_next_pg_type_oid(1)", "SELECT gin_clean_pending_list('items_pkey')",
            "SELECT brin_summarize_new_values('items_pkey')", "SELECT pg_stat_reset()", "VACUUM items",
            "SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_file_settings", "SELECT * FROM pg_config",
            "CREATE TABLESPACE evil LOCATION '/tmp'", "CREATE DATABASE evil", "DROP DATABASE postgres",
            "CREATE SERVER evil FOREIGN DATA WRAPPER x", "CREATE SUBSCRIPTION evil CONNECTION '' PUBLICATION x",
        ],
    },
    // Other sessions, secrets and the host's own tables.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT pg_terminate_backend(pid) FROM generate_series(1, 99999) pid", "SELECT pg_cancel_backend(1)",
            "SELECT query FROM pg_stat_activity", "SELECT * FROM \"pg_catalog\".\"pg_stat_activity\"",
            "SELECT * FROM pg_stat_get_activity(NULL)", "SELECT pg_stat_get_backend_activity(1)", "SELECT * FROM pg_locks",
            "SELECT * FROM pg_lock_status()", "SELECT * FROM pg_prepared_xacts", "SELECT * FROM pg_stat_replication",
            "SELECT pg_log_backend_memory_contexts(1)", "SELECT * FROM pg_backend_memory_contexts",
            "SELECT * FROM pg_authid", "SELECT passwd FROM pg_shadow", "SELECT most_common_vals FROM pg_stats",
            "SELECT * FROM pg_statistic", "SELECT * FROM pg_user_mappings", "SELECT subconninfo FROM pg_subscription",
            "SELECT * FROM carya.carya_outbox", "SELECT * FROM carya.\"carya_outbox\"",
            "SELECT * FROM CARYA . CARYA_OUTBOX", "SELECT * FROM U&\"carya\".U&\"carya!005foutbox\" UESCAPE '!'",
            "DELETE FROM carya.carya_outbox", "UPDATE carya.carya_outbox SET due_at = 0",
            "SELECT secret FROM carya.carya_outbox_secret",
            "INSERT INTO carya.carya_outbox (id, component, name, payload, attempts, due_at)
                VALUES ('evil', 'probe', 'x', '', 0, 0)",
            "WITH x AS (INSERT INTO carya.\"carya_outbox\" (id, component, name, payload, attempts, due_at)
                VALUES ('evil', 'probe', 'x', '', 0, 0)) SELECT 1",
            "SELECT * FROM _sqlx_migrations", "DELETE FROM public._sqlx_migrations",
            "INSERT INTO _SQLX_migrations VALUES (1)", "TABLE _sqlx_migrations",
        ],
    },
    // Definitions of objects, and rights.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "CREATE TABLE evil (a int)", "CREATE TABLE evil AS SELECT 1", "DROP TABLE items", "ALTER TABLE items ADD evil int",
            "TRUNCATE items CASCADE", "CREATE INDEX evil ON items (name)", "CREATE SCHEMA evil",
            "CREATE VIEW evil AS SELECT 1", "CREATE RULE evil AS ON INSERT TO items DO NOTHING", "REINDEX TABLE items",
            "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'", "REFRESH MATERIALIZED VIEW stored",
            "CREATE TRIGGER evil BEFORE INSERT ON items EXECUTE FUNCTION trap()", "COMMENT ON TABLE items IS 'evil'",
            "CREATE ROLE evil SUPERUSER", "ALTER ROLE CURRENT_USER SUPERUSER", "ALTER ROLE CURRENT_USER SET a.b = 'evil'",
            "ALTER DATABASE {db} SET search_path = evil", "REASSIGN OWNED BY postgres TO CURRENT_USER",
            "SECURITY LABEL ON TABLE items IS 'evil'", "UPDATE pg_class SET relname = 'evil'", "DELETE FROM pg_proc",
            "INSERT INTO pg_catalog.pg_class SELECT * FROM pg_class", "UPDATE ONLY (pg_catalog.pg_class) SET relname = 'x'",
            "WITH x AS (DELETE FROM pg_proc RETURNING *) SELECT 1",
            "UPDATE information_schema.sql_features SET comments = 'evil'",
        ],
    },
    // SQL inside text arguments of functions, such as `query_to_xml`.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT query_to_xml('DELETE FROM child', true, true, '')",
            "SELECT query_to_xml_and_xmlschema('SELECT pg_sleep(100)', true, true, '')",
            "SELECT table_to_xml('_sqlx_migrations', true, true, '')", "SELECT schema_to_xml('carya', true, true, '')",
            "SELECT database_to_xml(true, true, '')", "SELECT cursor_to_xml('evil', 1, true, true, '')",
            "SELECT * FROM ts_stat('SELECT pg_sleep(100)::text::tsvector')",
            "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
            "SELECT * FROM dblink('dbname={db}', 'COMMIT') AS x (a int)", "SELECT dblink_exec('dbname={db}', 'DROP TABLE items')",
            "SELECT * FROM crosstab('SELECT 1') AS x (a int)", "SELECT xpath_table('a', 'b', 'c', 'd', 'e')",
        ],
    },
    // Statements that wait or compute for too long.
    Group {
        reader: Both(FORBIDDEN),
        writer: Some(Both(FORBIDDEN)),
        statements: &[
            "SELECT pg_sleep(100)", "SELECT PG_SLEEP (100)", "SELECT pg_catalog . \"pg_sleep\" /* a */ -- b\n (100)",
            "SELECT * FROM pg_sleep_for('1 day')", "SELECT pg_sleep_until('tomorrow')",
            "SELECT 1 WHERE (SELECT pg_sleep(100)) IS NULL",
        ],
    },
    Group {
        reader: Server("timeout"),
        writer: Some(Server("timeout")),
        statements: &[
            "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
            "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n FROM c) SELECT n FROM c WHERE n < 0",
            "SELECT count(*) FROM generate_series(1, 1000000000000) n",
            "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 99999) b",
            "SELECT sum(n) OVER (ORDER BY n) FROM generate_series(1, 1000000000) n",
            "SELECT for_ever()",
            "SELECT count(*) FROM (SELECT generate_series(1, 100000000) n) x ORDER BY 1",
            "SELECT count(regexp_replace(repeat('ab', 1000), '(a|b){1,100}(.)\\2', 'x', 'g')) FROM generate_series(1, 99999)",
            "SELECT (factorial(30000) % factorial(20000))::text FROM generate_series(1, 1000)",
            "SELECT count(*) FROM items WHERE (SELECT count(*) FROM generate_series(1, 1000000000)) > id",
            "SELECT length(string_agg(md5(n::text), '')) FROM generate_series(1, 1000000000) n",
        ],
    },
    // Writes through a reader that the gate recognizes.
    Group {
        reader: Both(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "INSERT INTO scratch VALUES ('x')", "INSERT INTO scratch VALUES ('x') RETURNING *",
            "INSERT INTO items VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            "UPDATE items SET name = 'x' WHERE id = 1 RETURNING *", "UPDATE names SET name = 'x' WHERE id = 1",
            "INSERT INTO names VALUES (9, 'x')", "INSERT INTO ruled VALUES ('x')", "DELETE FROM child",
            "DELETE FROM ONLY child USING items WHERE child.item = items.id RETURNING child.id",
            "MERGE INTO items USING child c ON c.item = items.id WHEN MATCHED THEN UPDATE SET name = 'x'",
            "/* SELECT */ INSERT INTO scratch SELECT 'x'", "INSERT INTO docs (id, tags[1]) VALUES (9, 1)",
            "SELECT * FROM items FOR UPDATE", "SELECT * FROM items FOR NO KEY UPDATE SKIP LOCKED",
            "SELECT * FROM items for/**/share", "(SELECT * FROM items FOR KEY SHARE)",
            "WITH x AS (SELECT * FROM items FOR UPDATE) SELECT 1 FROM x",
        ],
    },
    // Writes through a reader that only the server recognizes.
    Group {
        reader: Server(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "WITH x AS (INSERT INTO scratch VALUES ('x') RETURNING *) SELECT * FROM x",
            "WITH x AS (DELETE FROM child RETURNING *), y AS (UPDATE items SET name = 'x' WHERE id = 1) TABLE x",
            "WITH x AS (SELECT 'x') INSERT INTO scratch SELECT * FROM x", "WITH x AS (SELECT 1) DELETE FROM child",
            "WITH x AS (SELECT 1 AS id) MERGE INTO child USING x ON x.id = child.id WHEN MATCHED THEN DELETE",
            "SELECT invoker_writes()", "SELECT definer_writes()", "VALUES (definer_writes())",
            "SELECT id === 1 FROM items", "SELECT id OPERATOR(public.===) 1 FROM items", "SELECT writing(id) FROM items",
            "SELECT id::written FROM items", "SELECT * FROM written_names", "SELECT 1 FROM items ORDER BY definer_writes()",
            "SELECT 1 LIMIT definer_writes()", "SELECT runs('DELETE FROM child')",
        ],
    },
    Group {
        reader: Server("forbidden|read-only"),
        writer: None,
        statements: &["SELECT nextval('seq')", "SELECT nextval('seq'::regclass) FROM items", "VALUES (nextval('drawn'))"],
    },
    // Statements that a function of the application must not run for a guest.
    Group {
        reader: Server("other"),
        writer: Some(Server("other")),
        statements: &[
            "SELECT ends_inside()", "SELECT runs('COMMIT')", "SELECT runs('ROLLBACK')", "SELECT runs('SAVEPOINT evil')",
            "SELECT runs('PREPARE TRANSACTION ''evil''')", "SELECT runs('VACUUM')", "SELECT runs('ROLLBACK TO carya_0')",
        ],
    },
    Group { reader: Both(READ_ONLY), writer: Some(Server("other")), statements: &["INSERT INTO trapped VALUES (1)"] },
    Group {
        reader: Server("forbidden|ok|read-only"),
        writer: Some(Server("forbidden|ok")),
        statements: &[
            "SELECT runs('SELECT pg_advisory_lock(1)')", "SELECT runs('SELECT lo_unlink(7)')",
            "SELECT runs('SELECT set_config(''search_path'', ''evil'', false)')",
            "SELECT runs('CREATE TEMP TABLE evil (a int)')", "SELECT runs('DROP TABLE trapped')",
            "SELECT runs('SELECT * FROM pg_stat_activity')", "SELECT runs('DELETE FROM carya.carya_outbox')",
            "SELECT runs('ALTER ROLE CURRENT_USER SET a.b = ''evil''')",
        ],
    },
    // Statements that a function of the application may run. Their effect does not outlive the request.
    Group {
        reader: Runs,
        writer: Some(Runs),
        statements: &[
            "SELECT runs('SET search_path = evil')", "SELECT runs('SET statement_timeout = 0')", "SELECT runs('LISTEN evil')",
            "SELECT runs('NOTIFY evil')", "SELECT runs('DECLARE evil CURSOR WITH HOLD FOR SELECT 1')",
            "SELECT runs('DISCARD PLANS')", "SELECT definer_locks()",
        ],
    },
    // Statements that the server rejects as faulty.
    Group {
        reader: Server("data|other"),
        writer: Some(Server("data|other")),
        statements: &[
            "SELECT 99999999999999999999::int", "SELECT 1e400000", "SELECT 1 / 0", "SELECT (-9223372036854775808) / -1",
            "SELECT E'\\xff'", "SELECT convert_from('\\xff', 'UTF8')", "SELECT E'\\000'", "SELECT U&'\\D800'",
            "SELECT 1::items", "SELECT ROW(1)::pair", "SELECT '{{1},{2,3}}'::int[]", "SELECT 'x'::mood", "SELECT '[1'::jsonb",
            "SELECT 'a' ~ '('", "SELECT FROM WHERE", "VALUES (1), (1, 2)",
            "SELECT '2024-02-31'::date", "SELECT to_date('x', 'YYYY')", "SELECT no_such()", "SELECT * FROM evil",
            "SELECT xml '<a>'", "SELECT 1 UNION SELECT 'a'",
        ],
    },
    // Statements of ordinary applications.
    Group {
        reader: Runs,
        writer: Some(Runs),
        statements: &[
            "SELECT i.name, c.id FROM items i LEFT JOIN child c ON c.item = i.id ORDER BY 1",
            "SELECT * FROM items i JOIN LATERAL (SELECT max(id) FROM child WHERE item = i.id) m ON true",
            "WITH RECURSIVE c (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT n FROM c",
            "WITH a AS MATERIALIZED (SELECT 1 AS x), b AS (SELECT 2 AS y) SELECT * FROM a, b",
            "SELECT row_number() OVER w, sum(id) OVER (ORDER BY id ROWS 2 PRECEDING) FROM items WINDOW w AS (ORDER BY id)",
            "SELECT data->'a'->>'b', data#>>'{a,b,0}', data @> '{\"a\": {}}', jsonb_exists(data, 'a') FROM docs",
            "SELECT jsonb_path_query(data, '$.a.b[*]') FROM docs", "SELECT tags[1], 1 = ANY (tags), array_length(tags, 1) FROM docs",
            "SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY AS u (n, i)", "SELECT ARRAY[[1, 2], [3, 4]], '[5:6]={1,2}'::int[]",
            "SELECT name FROM items WHERE name ILIKE '%A%' OR name ~* '^b$' OR name LIKE 'x\\%' ESCAPE '\\'",
            "SELECT CASE WHEN id > 1 THEN 'pg_sleep(100); COMMIT' ELSE 'carya_outbox /* -- $$' END FROM items",
            "SELECT 'it''s; COMMIT', E'\\'; COMMIT', $$; COMMIT$$ -- ; COMMIT", "SELECT 1 AS \"pg_sleep()\", 2 AS \"carya\"",
            "SELECT DISTINCT ON (name) name FROM items ORDER BY name NULLS LAST LIMIT 10 OFFSET 0",
            "SELECT count(*) FILTER (WHERE id > 1), string_agg(name, ', ' ORDER BY name) FROM items GROUP BY ROLLUP (id)",
            "SELECT extract(epoch FROM now()), date_trunc('day', now()) AT TIME ZONE 'UTC', now() - interval '1 day'",
            "SELECT to_tsvector('english', 'running dogs') @@ websearch_to_tsquery('dog')", "TABLE items", "VALUES (1, 'a'), (2, 'b')",
            "SELECT md5(name), gen_random_uuid(), random(), pg_typeof(id)::text, pg_size_pretty(12345::bigint) FROM items",
            "SELECT * FROM xmltable('/a/b' PASSING ('<a><b>1</b></a>'::xml) COLUMNS b int PATH '.')",
            "SELECT 'infinity'::timestamptz, '-infinity'::date, '294276-12-31'::timestamp, 'NaN'::numeric, '24:00'::time",
            "SELECT ROW(1, 'a')::text, ('(1,a)'::pair).a, 'glad'::mood, ARRAY['sad']::mood[], NULL, ''", "SELECT",
            "SELECT '[1,5)'::int4range, '1.2.3.4'::inet, '(1,2)'::point::text, B'101', '12.34'::money::text, '\\x00'::bytea",
            "SELECT c.relname, c.relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public'",
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'", "SELECT * FROM stored",
        ],
    },
    Group {
        reader: Both(READ_ONLY),
        writer: Some(Runs),
        statements: &[
            "INSERT INTO items SELECT 9, 'COMMIT' ON CONFLICT DO NOTHING RETURNING id, name",
            "UPDATE docs SET data = jsonb_set(data, '{a,b}', '[]'), tags = tags || 3 WHERE data @> '{}' RETURNING data",
            "INSERT INTO child (id, item) VALUES (nextval('drawn') + 100, 1)",
            "DELETE FROM items WHERE id IN (SELECT item FROM child WHERE false)",
        ],
    },
];
