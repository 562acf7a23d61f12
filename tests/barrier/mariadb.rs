//! Tests of the barrier around MariaDB: a schema with everything that a guest could abuse, and the queries that detect
//! a change.

mod made;
mod statements;

use super::{
    super::support::{Engine, Result},
    server::{self, EngineData},
};

/// Tables of an application, with routines, triggers and views that write, lock, wait or change their session.
const SCHEMA: &str = r#"
    CREATE TABLE items (id int PRIMARY KEY, name varchar(100) UNIQUE);
    INSERT INTO items VALUES (1, 'a'), (2, 'b');
    CREATE TABLE child (id int PRIMARY KEY, item int, FOREIGN KEY (item) REFERENCES items (id));
    INSERT INTO child VALUES (1, 1);
    CREATE TABLE docs (id int PRIMARY KEY, data json, price decimal(9, 2));
    INSERT INTO docs VALUES (1, '{"a": {"b": [1, 2]}}', 9.50);
    CREATE TABLE scratch (what varchar(100));
    CREATE TABLE turns (n int);
    INSERT INTO turns VALUES (0);
    CREATE TABLE old (what varchar(100)) ENGINE = MyISAM;
    INSERT INTO old VALUES ('old');
    CREATE TABLE remembered (what varchar(100)) ENGINE = MEMORY;
    CREATE TABLE counted (id int AUTO_INCREMENT PRIMARY KEY, what varchar(100));
    CREATE SEQUENCE seq;
    CREATE SEQUENCE drawn;
    CREATE VIEW names AS SELECT id, name FROM items;
    CREATE FUNCTION invoker_writes() RETURNS int DETERMINISTIC SQL SECURITY INVOKER
        BEGIN INSERT INTO scratch VALUES ('x'); RETURN 1; END;
    CREATE FUNCTION definer_writes() RETURNS int DETERMINISTIC SQL SECURITY DEFINER
        BEGIN INSERT INTO scratch VALUES ('x'); RETURN 1; END;
    CREATE VIEW written_names AS SELECT id, definer_writes() AS written FROM items;
    CREATE FUNCTION for_ever() RETURNS int DETERMINISTIC BEGIN WHILE TRUE DO BEGIN END; END WHILE; RETURN 1; END;
    CREATE FUNCTION locks() RETURNS int DETERMINISTIC RETURN GET_LOCK(CONCAT(DATABASE(), '_evil'), 0);
    CREATE PROCEDURE ends() COMMIT;
    CREATE TABLE trapped (what varchar(100));
    CREATE TRIGGER trap BEFORE INSERT ON trapped FOR EACH ROW
        SET NEW.what = GET_LOCK(CONCAT(DATABASE(), '_evil'), 0);
    CREATE FUNCTION session_state() RETURNS text DETERMINISTIC READS SQL DATA SQL SECURITY DEFINER
        RETURN (SELECT CONCAT_WS(' ', SUM(CRC32(CONCAT(variable_name, ' ', variable_value))), @evil IS NULL,
                IS_USED_LOCK(CONCAT(DATABASE(), '_evil')) IS NULL)
            FROM information_schema.session_variables WHERE variable_name NOT IN ('timestamp', 'rand_seed1',
            'rand_seed2', 'last_insert_id', 'identity', 'insert_id', 'pseudo_thread_id', 'in_transaction', 'last_gtid',
            'tx_read_only', 'warning_count', 'error_count', 'gtid_binlog_pos', 'gtid_current_pos',
            'gtid_binlog_state', 'innodb_buffer_pool_load_at_startup'));
"#;

const DATA: EngineData = EngineData {
    engine: Engine::MariaDb,
    schema: SCHEMA,
    grants: "CREATE TABLE {db}_carya._sqlx_migrations (version bigint);
        GRANT EXECUTE ON FUNCTION session_state TO '{db}_ro'@'%', '{db}_rw'@'%';
        GRANT EXECUTE ON FUNCTION definer_writes TO '{db}_ro'@'%', '{db}_rw'@'%';
        GRANT EXECUTE ON FUNCTION locks TO '{db}_ro'@'%', '{db}_rw'@'%';
        GRANT EXECUTE ON FUNCTION for_ever TO '{db}_ro'@'%', '{db}_rw'@'%'",
    state: &[
        "SELECT CONCAT_WS(' ', 'item', id, name) AS line FROM items UNION ALL SELECT CONCAT_WS(' ', 'child', id, item) FROM child
         UNION ALL SELECT CONCAT_WS(' ', 'doc', id, data, price) FROM docs UNION ALL SELECT CONCAT('scratch ', what) FROM scratch
         UNION ALL SELECT CONCAT('old ', what) FROM old UNION ALL SELECT CONCAT('remembered ', what) FROM remembered
         UNION ALL SELECT CONCAT('counted ', id) FROM counted UNION ALL SELECT CONCAT('trapped ', what) FROM trapped
         UNION ALL SELECT CONCAT('seq ', next_not_cached_value) FROM seq
         UNION ALL SELECT CONCAT_WS(' ', 'outbox', seq, id, due_at) FROM {db}_carya.carya_outbox",
        "SELECT CONCAT_WS(' ', table_schema, table_name, table_type, engine, table_collation, table_comment)
            FROM information_schema.tables WHERE table_schema IN ('{db}', '{db}_carya') OR table_name LIKE '%evil%'
         UNION ALL SELECT CONCAT_WS(' ', table_name, column_name, column_type) FROM information_schema.columns
            WHERE table_schema = '{db}'
         UNION ALL SELECT CONCAT_WS(' ', table_name, index_name, column_name) FROM information_schema.statistics
            WHERE table_schema = '{db}'",
        "SELECT CONCAT_WS(' ', db, name, type, security_type, md5(body)) FROM mysql.proc WHERE db IN ('{db}', '{db}_carya')
         UNION ALL SELECT CONCAT_WS(' ', trigger_name, md5(action_statement)) FROM information_schema.triggers
            WHERE trigger_schema = '{db}'
         UNION ALL SELECT CONCAT('event ', name) FROM mysql.event UNION ALL SELECT CONCAT('function ', name) FROM mysql.func
         UNION ALL SELECT CONCAT('plugin ', plugin_name) FROM information_schema.plugins
         UNION ALL SELECT CONCAT('server ', server_name) FROM mysql.servers
         UNION ALL SELECT CONCAT('database ', schema_name) FROM information_schema.schemata",
        "SELECT CONCAT_WS(' ', user, host, priv) FROM mysql.global_priv
         UNION ALL SELECT CONCAT_WS(' ', user, db, select_priv, insert_priv, update_priv, delete_priv, create_priv) FROM mysql.db
         UNION ALL SELECT CONCAT_WS(' ', user, db, table_name, table_priv) FROM mysql.tables_priv
         UNION ALL SELECT CONCAT_WS(' ', user, role) FROM mysql.roles_mapping",
        "SELECT CONCAT_WS(' ', variable_name, variable_value) FROM information_schema.global_variables
         WHERE variable_name NOT LIKE '%gtid%' AND variable_name NOT IN ('last_gtid', 'timestamp')",
        "SELECT CONCAT('lock ', IS_USED_LOCK('{db}_evil')) FROM DUAL WHERE IS_USED_LOCK('{db}_evil') IS NOT NULL",
    ],
    session: r#"SELECT session_state(), user(), current_user(), current_role(), database(), charset('x'), collation('x'),
        'a' || 'b', 'a\nb', (SELECT max("n") FROM (SELECT 1 AS n) x), from_unixtime(0), 7 / 2"#,
    leaving: &["SELECT locks()"],
    // Open transactions are not queried here: `innodb_trx` returns old data while it is polled. The next request
    // would commit such a transaction, and the queries of `state` would detect that.
    unrest: "SELECT CONCAT_WS(' ', user, command, time_ms, info) FROM information_schema.processlist
        WHERE db = '{db}' AND id <> CONNECTION_ID() AND command <> 'Sleep'",
    folder: "SELECT TRIM(TRAILING '/' FROM @@datadir)",
    connected: "SET SESSION sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION',
        time_zone = '+00:00', max_statement_time = {timeout} / 1000, innodb_lock_wait_timeout = 1, lock_wait_timeout = 1",
    begin: ["START TRANSACTION READ ONLY", "START TRANSACTION READ WRITE"],
    is_open: "SELECT IF(@@in_transaction, 1, (SELECT 1 UNION SELECT 2))",
};

#[tokio::test]
async fn hostile_statements_stay_inside_mariadb() -> Result {
    let mut rows = server::rows(statements::GROUPS);
    rows.extend(made::rows());
    server::holds(&DATA, &rows).await
}
