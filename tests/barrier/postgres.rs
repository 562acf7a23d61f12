//! Tests of the barrier around PostgreSQL: a schema with everything that a guest could abuse, and the queries that
//! detect a change.

mod made;
mod statements;

use super::{
    super::support::{Engine, Result},
    server::{self, EngineData},
};

/// Tables of an application, with functions, views and rules that write, lock, wait or change their session.
const SCHEMA: &str = r#"
    -- Compiling a costly query would take longer than it may.
    ALTER DATABASE {db} SET jit = off;
    CREATE TABLE items (id int PRIMARY KEY, name text UNIQUE);
    INSERT INTO items VALUES (1, 'a'), (2, 'b');
    CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES items);
    INSERT INTO child VALUES (1, 1);
    CREATE TABLE docs (id int PRIMARY KEY, data jsonb, tags int[], price numeric);
    INSERT INTO docs VALUES (1, '{"a": {"b": [1, 2]}}', '{1,2}', 9.50);
    CREATE TABLE scratch (what text);
    CREATE TABLE turns (n int);
    INSERT INTO turns VALUES (0);
    CREATE TABLE _sqlx_migrations (version bigint);
    CREATE SEQUENCE seq;
    CREATE SEQUENCE drawn;
    SELECT lo_from_bytea(7, 'large');
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE TYPE pair AS (a int, b text);

    CREATE FUNCTION invoker_writes() RETURNS int LANGUAGE sql VOLATILE AS
        $$ INSERT INTO scratch VALUES ('x'); SELECT 1 $$;
    CREATE FUNCTION definer_writes() RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER AS
        $$ INSERT INTO scratch VALUES ('x'); SELECT 1 $$;
    CREATE FUNCTION writes(a int, b int) RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER AS
        $$ UPDATE items SET name = 'x' WHERE id = 1; SELECT 1 $$;
    CREATE OPERATOR === (FUNCTION = writes, LEFTARG = int, RIGHTARG = int);
    CREATE AGGREGATE writing (int) (SFUNC = writes, STYPE = int, INITCOND = '0');
    CREATE DOMAIN written AS int CHECK (writes(VALUE, 0) > 0);
    CREATE FUNCTION definer_locks() RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER AS
        $$ SELECT pg_advisory_lock(1)::text $$;
    CREATE VIEW names AS SELECT id, name FROM items;
    CREATE VIEW written_names AS SELECT id, writes(id, 0) FROM items;
    CREATE VIEW ruled AS SELECT name FROM items;
    CREATE RULE ruled AS ON INSERT TO ruled DO INSTEAD DELETE FROM child;
    CREATE MATERIALIZED VIEW stored AS SELECT name FROM items;
    CREATE TABLE trapped (x int);
    CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN NEW; END $$;
    CREATE TRIGGER trap BEFORE INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION trap();
    CREATE PROCEDURE ends() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
    CREATE FUNCTION ends_inside() RETURNS int LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN 1; END $$;
    CREATE FUNCTION runs(what text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN 1; END $$;
    CREATE FUNCTION for_ever() RETURNS int LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;

    CREATE FUNCTION session() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
        SELECT concat_ws(' ',
            (SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings
                WHERE name !~ '^(transaction_|in_hot_standby|plpgsql)'),
            (SELECT count(*) FROM pg_cursors WHERE name <> ''),
            (SELECT count(*) FROM pg_prepared_statements WHERE name !~ '^sqlx_s_'),
            (SELECT count(*) FROM pg_listening_channels()),
            (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
            (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()))
    $$;
"#;

const DATA: EngineData = EngineData {
    engine: Engine::Postgres,
    schema: SCHEMA,
    grants: "",
    state: &[
        "SELECT i::text FROM items i UNION ALL SELECT c::text FROM child c UNION ALL SELECT d::text FROM docs d
         UNION ALL SELECT 'scratch ' || what FROM scratch UNION ALL SELECT 'trapped' FROM trapped
         UNION ALL SELECT 'migrated' FROM _sqlx_migrations UNION ALL SELECT o::text FROM carya.carya_outbox o
         UNION ALL SELECT 'seq ' || last_value || is_called FROM seq",
        "SELECT concat_ws(' ', c.oid::regclass, relkind, relpersistence, relowner, relacl, relhasrules, relhastriggers,
            (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute a WHERE a.attrelid = c.oid))
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^(pg_(catalog|toast)|information_schema)'",
        "SELECT concat_ws(' ', oid::regprocedure, proowner, proacl, prosecdef, md5(prosrc)) FROM pg_proc
         WHERE oid >= 16384 OR proname ~ '^pg_(sleep|read_file|advisory)'",
        "SELECT concat_ws(' ', nspname, nspowner, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
         UNION ALL SELECT concat_ws(' ', typname, typowner) FROM pg_type WHERE typnamespace = 'public'::regnamespace
         UNION ALL SELECT concat(tgname, tgenabled) FROM pg_trigger UNION ALL SELECT rulename FROM pg_rewrite WHERE oid >= 16384
         UNION ALL SELECT extname FROM pg_extension UNION ALL SELECT concat(lanname, lanacl) FROM pg_language
         UNION ALL SELECT pubname FROM pg_publication UNION ALL SELECT srvname FROM pg_foreign_server
         UNION ALL SELECT description FROM pg_description WHERE objoid >= 16384",
        "SELECT concat_ws(' ', oid, lomowner, lomacl, encode(lo_get(oid), 'hex')) FROM pg_largeobject_metadata",
        "SELECT concat_ws(' ', rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolbypassrls, md5(rolpassword))
         FROM pg_authid UNION ALL SELECT concat(roleid, ' ', member) FROM pg_auth_members
         UNION ALL SELECT concat_ws(' ', setdatabase, setrole, setconfig) FROM pg_db_role_setting
         UNION ALL SELECT concat_ws(' ', datname, datdba, datacl, datconnlimit) FROM pg_database",
        "SELECT gid FROM pg_prepared_xacts UNION ALL SELECT slot_name FROM pg_replication_slots
         UNION ALL SELECT roname FROM pg_replication_origin UNION ALL SELECT name || setting FROM pg_file_settings",
        "SELECT 'advisory lock ' || pid FROM pg_locks WHERE locktype = 'advisory' AND database =
            (SELECT oid FROM pg_database WHERE datname = '{db}')",
    ],
    session: "SELECT session(), current_user, session_user, current_schemas(false)::text, pg_client_encoding(),
        '2024-01-02'::date::text, '2024-01-01 00:00+00'::timestamptz::text, '\\x00'::bytea::text,
        (0.1::float8 + 0.2::float8)::text, '1 day 1 hour'::interval::text",
    leaving: &[
        "SELECT definer_locks()",
        "SELECT runs('SELECT pg_advisory_lock(1)')",
        "SELECT runs('SELECT set_config(''search_path'', ''evil'', false)')",
        "SELECT runs('SET statement_timeout = 0')",
        "SELECT runs('CREATE TEMP TABLE evil (a int)')",
        "SELECT runs('LISTEN evil')",
        "SELECT runs('DECLARE evil CURSOR WITH HOLD FOR SELECT 1')",
        "SELECT runs('SET ROLE pg_monitor')",
    ],
    unrest: "SELECT concat_ws(' ', usename, state, query) FROM pg_stat_activity WHERE datname = '{db}'
        AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND (state <> 'idle'
            OR EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid))",
    folder: "SHOW data_directory",
    connected: "",
    begin: [
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {timeout}; SET LOCAL lock_timeout = 1000; SELECT NULL::text",
        "BEGIN READ WRITE; SET LOCAL statement_timeout = {timeout}; SET LOCAL lock_timeout = 1000;
            SELECT pg_current_xact_id()::text",
    ],
    is_open: "ROLLBACK AND CHAIN",
};

#[tokio::test]
async fn hostile_statements_stay_inside_postgres() -> Result {
    let mut rows = server::rows(statements::GROUPS);
    rows.extend(made::rows());
    server::holds(&DATA, &rows).await
}
