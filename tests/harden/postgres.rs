//! Privileges of the logins that `carya harden` sets up on PostgreSQL.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{
    super::support::{Result, Wrong, carya, check, check_eq, servers},
    Urls, apply, harden,
};

const SCHEMA: &str = "CREATE TABLE items (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item int REFERENCES items);
    CREATE TABLE _sqlx_migrations (version bigint);
    CREATE TABLE carya_old (x int);
    CREATE SEQUENCE extra;
    CREATE VIEW names AS SELECT name FROM items;
    CREATE SCHEMA other; CREATE TABLE other.secrets (x int);
    GRANT ALL ON items, other.secrets TO PUBLIC; GRANT ALL ON SCHEMA other TO PUBLIC;
    INSERT INTO items (name) VALUES ('Pecan');";

/// Statements that a hardened login must not run. The server refuses them because of missing privileges, not because of
/// READ ONLY.
const HOSTILE: [&str; 73] = [
    // Settings, and code.
    "SELECT set_config('transaction_read_only', 'off', false)",
    "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
    "SELECT * FROM pg_settings",
    "SELECT setseed(0.5)",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT table_to_xml('items', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM items')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
    // Locks, time, messages, and effects that outlive a transaction.
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_sleep(0)",
    "SELECT pg_sleep_for('0 s')",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT txid_current()",
    "SELECT setval('items_id_seq', 1)",
    "SELECT lastval()",
    "SELECT currval('items_id_seq')",
    "CREATE TEMP TABLE x (a int)",
    "CREATE TEMP VIEW x AS SELECT 1",
    // Large objects and files.
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "DELETE FROM pg_largeobject",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "COPY items TO '/tmp/x'",
    "COPY items TO PROGRAM 'id'",
    "COPY items FROM PROGRAM 'id'",
    // Other sessions and the server.
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_stat_get_activity(NULL)",
    "SELECT pg_stat_get_backend_activity(1)",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_prepared_statements",
    "SELECT * FROM pg_stats",
    "SELECT * FROM pg_authid",
    "SELECT pg_reload_conf()",
    "ALTER SYSTEM SET fsync = off",
    "CHECKPOINT",
    // Definitions.
    "SELECT * INTO stolen FROM items",
    "CREATE TABLE x (a int)",
    "CREATE TABLE other.x (a int)",
    "CREATE SCHEMA mine",
    "DROP TABLE items",
    "ALTER TABLE items ADD x int",
    "TRUNCATE items",
    "CREATE INDEX ON items (name)",
    "CREATE RULE r AS ON INSERT TO items DO NOTHING",
    "CREATE TRIGGER t BEFORE INSERT ON items EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "COMMENT ON TABLE items IS 'x'",
    "CREATE EXTENSION lo",
    "CREATE DATABASE evil",
    // Privileges.
    "CREATE ROLE evil",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "INSERT INTO pg_class (relname) VALUES ('x')",
    // Tables of another schema and of the host.
    "SELECT * FROM other.secrets",
    "SELECT * FROM _sqlx_migrations",
    "INSERT INTO _sqlx_migrations VALUES (1)",
    "SELECT * FROM carya_old",
    "SELECT * FROM carya.carya_outbox",
    "UPDATE carya.carya_outbox SET attempts = 0",
    "DELETE FROM carya.carya_outbox",
    "INSERT INTO carya.carya_outbox (id) SELECT id FROM carya.carya_outbox",
    "INSERT INTO carya.carya_outbox (id, component, name, payload, attempts, due_at) VALUES ('1', 'a', 'b', '{}', 0, 0)",
    "SELECT * FROM carya.carya_outbox_secret",
];

const READS: [&str; 9] = [
    "SELECT pg_advisory_xact_lock_shared(1), pg_try_advisory_xact_lock(2), pg_notify('a', 'b')",
    "SELECT name FROM items WHERE id = 1",
    "SELECT * FROM names",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n",
    "SELECT random(), clock_timestamp(), gen_random_uuid(), now(), current_setting('transaction_read_only')",
    "SELECT to_tsvector('english', 'running dogs') @@ to_tsquery('dog'), 'a' LIKE 'a%', 'items'::regclass",
    "SELECT count(*) FROM items TABLESAMPLE bernoulli (100)",
    "SELECT jsonb_agg(items), string_agg(name, ','), percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM items",
    "SELECT table_name FROM information_schema.tables",
];

const WRITES: [&str; 7] = [
    "INSERT INTO items (name) VALUES ('Hickory') RETURNING id",
    "INSERT INTO notes (item) SELECT id FROM items RETURNING id",
    "UPDATE items SET name = name || '!' WHERE id = 1",
    "INSERT INTO items (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'Pecan'",
    "SELECT nextval('extra')",
    "SELECT * FROM items FOR UPDATE",
    "DELETE FROM notes",
];

/// A call that changes nothing without the secret.
const OUTBOX: &str = "SELECT carya.carya_outbox_done('wrong', '1', 0)";

/// Runs a statement and returns its error, if it failed. Ignores the rows.
async fn run(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let error = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.err()?;
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    Some(format!("{code} {error}"))
}

/// Connects with a guest's login, and turns READ ONLY off so that only privileges can refuse a statement.
async fn guest(url: &str) -> Result<PgConnection> {
    let options: PgConnectOptions = url.parse()?;
    Ok(PgConnection::connect_with(&options.options([("default_transaction_read_only", "off")])).await?)
}

async fn start() -> Result<Option<(Urls, PgConnection, tempfile::TempDir)>> {
    let Some(cluster) = servers::postgres().await? else { return Ok(None) };
    let database = cluster.database().await?.name;
    let urls = Urls::new(cluster.primary_url(&database), &database)?;
    let mut admin = PgConnection::connect(&urls.admin).await?;
    admin.execute(SCHEMA).await?;
    let folder = tempfile::tempdir()?;
    urls.configure(folder.path())?;
    Ok(Some((urls, admin, folder)))
}

#[tokio::test]
async fn hardened_logins_can_do_their_work_and_nothing_else() -> Result {
    let Some((urls, mut admin, folder)) = start().await? else { return Ok(()) };
    for round in 1..=2 {
        let missing = apply(folder.path()).await?;
        assert!(missing.is_empty(), "round {round}: {missing:#?}");
    }
    admin.execute("CREATE TABLE later (id serial PRIMARY KEY, x int); INSERT INTO later (x) VALUES (1)").await?;

    let (mut reader, mut writer) = (guest(&urls.reader).await?, guest(&urls.writer).await?);
    let mut wrong = Wrong::default();
    for sql in HOSTILE {
        for (who, connection) in [("reader", &mut reader), ("writer", &mut writer)] {
            let end = run(connection, sql).await;
            check!(wrong, end.as_ref().is_some_and(|end| end.starts_with("42501")), "{who}: {sql}: {end:?}");
        }
    }
    for sql in READS.into_iter().chain(["SELECT * FROM later"]) {
        check_eq!(wrong, run(&mut reader, sql).await, None, "{sql}");
        check_eq!(wrong, run(&mut writer, sql).await, None, "{sql}");
    }
    for sql in WRITES.into_iter().chain(["INSERT INTO later (x) VALUES (2)", "DELETE FROM later", OUTBOX]) {
        let end = run(&mut reader, sql).await;
        check!(wrong, end.as_ref().is_some_and(|end| end.starts_with("42501")), "{sql}: {end:?}");
        check_eq!(wrong, run(&mut writer, sql).await, None, "{sql}");
    }
    // The driver queries the catalog for types that it does not know, so the login must be able to do so, too.
    admin.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')").await?;
    assert_eq!(sqlx::query("SELECT 'glad'::mood, ARRAY['sad']::mood[]").fetch_all(&mut reader).await?.len(), 1);
    let limits = "SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
        current_setting('idle_in_transaction_session_timeout'), current_setting('temp_file_limit'),
        current_setting('search_path'))";
    let limits: String = sqlx::query_scalar(limits).fetch_one(&mut writer).await?;
    assert_eq!(limits, "2s 2s 35s 256MB public, pg_temp");
    Ok(())
}

#[tokio::test]
async fn reports_missing_restrictions() -> Result {
    let Some((urls, mut admin, folder)) = start().await? else { return Ok(()) };
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert!(code == Some(1) && err.contains("carya harden --apply"), "{err}");

    // Operators often create the logins with privileges like these.
    let (reader, writer) = (urls.reader.parse::<PgConnectOptions>()?, urls.writer.parse::<PgConnectOptions>()?);
    let (reader, writer) = (reader.get_username(), writer.get_username());
    let naive = format!(
        "CREATE ROLE {reader} LOGIN PASSWORD E's\\'e\\\\cret'; CREATE ROLE {writer} LOGIN PASSWORD E's\\'e\\\\cret';
        GRANT ALL ON ALL TABLES IN SCHEMA public TO {writer}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
        GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {reader}, {writer}; GRANT CREATE ON SCHEMA public TO {writer};
        CREATE FUNCTION mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    );
    admin.execute(sqlx::raw_sql(AssertSqlSafe(naive))).await?;
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert_eq!(code, Some(1));
    let mut wrong = Wrong::default();
    for what in [
        format!("{writer} has on the database the privileges TEMPORARY"),
        format!("{writer} may CREATE in the schemas other, public"),
        format!("{reader} may write to items, other.secrets, pg_settings"),
        format!("{writer} may TRUNCATE, REFERENCE or TRIGGER on"),
        format!("{reader} may use the host's tables"),
        format!("{writer} may set sequences"),
        format!("{reader} may draw from sequences"),
        format!("{reader} may read pg_"),
        format!("{writer} may use the languages plpgsql, sql"),
        format!("{writer} may call functions that run as their owner mine()"),
        format!("{writer} has no limit by idle_in_transaction_session_timeout, lock_timeout"),
        format!("{reader} is not set to default_transaction_read_only"),
        format!("{writer} may call functions (locks): pg_advisory_lock"),
        format!("{writer} may call functions (large objects): lo_close"),
        format!("{writer} may call functions (SQL in strings): cursor_to_xml"),
    ] {
        check!(wrong, err.contains(&format!("missing: {what}")), "{what}: {err}");
    }
    // `--apply` does not change the application's own functions: it reports `mine()` and leaves the decision to the
    // operator.
    let missing = apply(folder.path()).await?;
    assert!(missing.len() == 2 && missing.iter().all(|line| line.contains("mine()")), "{missing:#?}");
    admin.execute("REVOKE EXECUTE ON FUNCTION mine() FROM PUBLIC").await?;
    assert_eq!(apply(folder.path()).await?, [""; 0]);

    // Let guests use the login of a superuser.
    let url = format!("CARYA_DATABASE__URL={}", urls.admin);
    let (_, url) = url.split_once('=').ok_or("no URL")?;
    super::super::support::write(folder.path(), &format!("[database]\nurl = \"{url}\"\n"), &[])?;
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert!(code == Some(1) && err.contains("has attributes BYPASSRLS, CREATEDB"), "{err}");
    assert!(err.contains("there is no login that only reads"), "{err}");
    Ok(())
}

/// `carya harden` runs before the first migration, when the table `_sqlx_migrations` does not exist yet.
#[tokio::test]
async fn objects_of_later_migrations_are_out_of_reach() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?.name;
    let urls = Urls::new(cluster.primary_url(&database), &database)?;
    let folder = tempfile::tempdir()?;
    urls.configure(folder.path())?;
    assert_eq!(apply(folder.path()).await?, [""; 0]);
    let config = std::fs::read_to_string(folder.path().join("carya.toml"))? + "[model]\nmigrations = \"migrations\"\n";
    let migration = ("migrations/0001_items.sql", "CREATE TABLE items (id int)");
    super::super::support::write(folder.path(), &config, &[migration])?;
    let migrated = carya().arg("migrate").current_dir(folder.path()).output().await?;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

    let (mut reader, mut writer) = (guest(&urls.reader).await?, guest(&urls.writer).await?);
    for sql in
        ["SELECT * FROM _sqlx_migrations", "DELETE FROM _sqlx_migrations", "UPDATE _sqlx_migrations SET version = 2"]
    {
        let mut wrong = Wrong::default();
        for (who, connection) in [("reader", &mut reader), ("writer", &mut writer)] {
            let end = run(connection, sql).await;
            check!(wrong, end.as_ref().is_some_and(|end| end.starts_with("42501")), "{who}: {sql}: {end:?}");
        }
    }
    assert_eq!(run(&mut writer, "INSERT INTO items VALUES (1)").await, None);
    let (code, out, err) = harden(folder.path(), &["--check"]).await?;
    assert!(!err.contains("host's tables") && !out.contains("host's tables"), "{code:?} {out}{err}");
    Ok(())
}

#[tokio::test]
async fn logins_with_powers_are_left_alone() -> Result {
    let Some((urls, mut admin, folder)) = start().await? else { return Ok(()) };
    let writer = urls.writer.parse::<PgConnectOptions>()?;
    let writer = writer.get_username();
    let mut wrong = Wrong::default();
    for (give, take, told) in [
        (
            format!("CREATE ROLE {writer} LOGIN CREATEDB"),
            format!("ALTER ROLE {writer} NOCREATEDB"),
            "may make databases",
        ),
        (
            format!("GRANT pg_read_all_data TO {writer}"),
            format!("REVOKE pg_read_all_data FROM {writer}"),
            "a member of",
        ),
        (
            format!("ALTER TABLE items OWNER TO {writer}"),
            "ALTER TABLE items OWNER TO postgres".to_owned(),
            "owns things",
        ),
    ] {
        admin.execute(sqlx::raw_sql(AssertSqlSafe(give))).await?;
        let (code, _, err) = harden(folder.path(), &["--apply"]).await?;
        check!(wrong, code == Some(1) && err.contains(told) && err.contains("changed nothing"), "{take}: {err}");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(take))).await?;
    }
    assert_eq!(apply(folder.path()).await?, [""; 0]);
    Ok(())
}
