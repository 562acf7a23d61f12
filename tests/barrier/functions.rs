//! Rights of a server's login that the gate withholds from guests: functions of extensions on PostgreSQL, other
//! databases on MariaDB. Also statements of ordinary applications that the gate must let through.

use serde_json::{Value as Json, json};
use tempfile::tempdir;

use crate::{
    harden::{Urls, apply},
    script::{attempt, config, kind, results},
    support::{
        App, Result, Wrong, check, check_eq,
        client::Client,
        servers::{self, Engine},
    },
};

const ITEMS: &str =
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(20) UNIQUE); INSERT INTO items VALUES (1, 'bolt')";

async fn serve(url: &str, admin: &str, more: &str) -> Result<App> {
    let env = [("CARYA_DATABASE__URL", url), ("CARYA_DATABASE__ADMIN_URL", admin)];
    App::start_in(tempdir()?, &(config() + more), &[("migrations/0001_none.sql", "SELECT 1")], &env).await
}

/// Runs a statement. Returns the kind of its error, or `ok`, and the error message.
async fn ends(app: &App, method: &str, sql: &str) -> Result<(String, String)> {
    let result = attempt(app, method, json!({ "sql": sql })).await?;
    Ok((kind(&result), result["error"]["message"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn volatile_functions_of_extensions_are_refused_unless_they_are_allowed() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let (admin, owner) = (database.primary_url(), database.primary()?);
    let extensions = ["pg_surgery", "pageinspect", "tablefunc", "pgcrypto", "uuid-ossp", "pg_trgm", "dblink", "lo"];
    for extension in extensions {
        owner.execute(&format!("CREATE EXTENSION \"{extension}\"")).await?;
    }
    owner.execute("CREATE SCHEMA tools; CREATE EXTENSION pgrowlocks SCHEMA tools").await?;
    owner.execute(ITEMS).await?;
    // With a superuser's login, only the gate protects the server.
    let app = serve(&admin, &admin, "").await?;
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        for sql in [
            "SELECT heap_force_kill('items'::regclass, ARRAY['(0,1)']::tid[])",
            "SELECT public.\"heap_force_freeze\"('items'::regclass, ARRAY['(0,1)']::tid[])",
            "SELECT * FROM page_header(NULL)",
            "SELECT count(*) FROM normal_rand(1, 0, 1)",
            "WITH x AS (SELECT Heap_Force_Kill ('items', '{}')) SELECT * FROM x",
        ] {
            let (kind, message) = ends(&app, method, sql).await?;
            check_eq!(wrong, kind, "forbidden", "{method} {sql}: {message}");
            check!(
                wrong,
                message.contains("allow_functions") && message.contains("\"public."),
                "{method:?} {sql:?}: {message}"
            );
        }
        for sql in [
            "SELECT dblink_connect('a')",
            "SELECT * FROM tools.pgrowlocks('items')",
            "SELECT lo_oid(1)",
            "SELECT set_limit(0.5)",
        ] {
            check_eq!(wrong, ends(&app, method, sql).await?.0, "forbidden", "{method} {sql}");
        }
        for sql in [
            "SELECT crypt('a', gen_salt('md5')), gen_random_bytes(4), uuid_generate_v4()::text",
            "SELECT similarity('a', 'b'), 'a' % 'b'",
            "SELECT normal_rand FROM (SELECT 1 AS normal_rand) x",
        ] {
            check_eq!(wrong, ends(&app, method, sql).await?, ("ok".to_owned(), String::new()), "{method} {sql}");
        }
    }
    assert_eq!(owner.number("SELECT count(*) FROM items").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_allowed_function_can_be_called_by_hardened_logins() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let urls = Urls::new(database.primary_url(), &database.name)?;
    database.primary()?.execute("CREATE EXTENSION tablefunc; CREATE EXTENSION pageinspect").await?;
    let folder = tempdir()?;
    urls.configure(folder.path())?;
    apply(folder.path()).await?;
    let allowed = "[database]\nallow_functions = [\"public.normal_rand\"]\n";
    let call = "SELECT count(*) FROM normal_rand(3, 0, 1)";
    // The first `carya harden --apply` ran without `allow_functions`, so it revoked the right to call the function.
    let app = serve(&urls.writer, &urls.admin, allowed).await?;
    assert!(ends(&app, "POST", call).await?.1.contains("permission denied"));

    let file = folder.path().join("carya.toml");
    std::fs::write(&file, std::fs::read_to_string(&file)? + "allow_functions = [\"public.normal_rand\"]\n")?;
    let missing = apply(folder.path()).await?;
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(ends(&app, "POST", call).await?.0, "ok");
    let (kind, message) = ends(&app, "POST", "SELECT page_header(NULL)").await?;
    assert!(kind == "forbidden" && message.contains("pageinspect"), "{message}");
    Ok(())
}

#[tokio::test]
async fn locks_and_notifications_of_a_transaction_are_allowed_on_postgres() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let mut wrong = Wrong::default();
    for is_hardened in [false, true] {
        let database = cluster.database().await?;
        let urls = Urls::new(database.primary_url(), &database.name)?;
        if is_hardened {
            let folder = tempdir()?;
            urls.configure(folder.path())?;
            apply(folder.path()).await?;
        }
        let url = if is_hardened { &urls.writer } else { &urls.admin };
        let app = serve(url, &urls.admin, "[database]\nmax_connections = 1").await?;
        let mut listener = sqlx::postgres::PgListener::connect(&urls.admin).await?;
        listener.listen("orders").await?;
        let calls = json!([
            { "sql": "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2, 3)" },
            { "sql": "SELECT pg_notify('orders', ?)", "params": ["new"] },
        ]);
        let mut undone = calls.clone();
        undone[1]["params"][0] = "undone".into();
        undone.as_array_mut().ok_or("no list")?.push(json!({ "mark_rollback": true }));
        results(&app, "POST", &undone).await?;
        results(&app, "POST", &calls).await?;
        let heard = tokio::time::timeout(crate::support::PATIENCE, listener.recv()).await??;
        check_eq!(wrong, heard.payload(), "new", "hardened: {is_hardened}");
        // Another client gets the lock at once: the server released it at the end of the transaction.
        let locked = database.primary()?.texts("SELECT pg_try_advisory_lock(1)::text").await?;
        check_eq!(wrong, locked, ["true"], "{is_hardened:?}");
        for sql in ["SELECT pg_advisory_xact_lock(1)", "SELECT pg_notify('orders', 'x')"] {
            let (kind, message) = ends(&app, "GET", sql).await?;
            check!(
                wrong,
                kind == "read-only" && message.contains("need a writer"),
                "{is_hardened:?} {sql:?}: {kind} {message}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_upsert_returns_the_key_of_the_row_on_mariadb() -> Result {
    let Some(cluster) = servers::mariadb().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let owner = database.primary()?;
    let table = "CREATE TABLE words (id INTEGER PRIMARY KEY AUTO_INCREMENT, word VARCHAR(20) UNIQUE, n INT DEFAULT 1)";
    owner.execute(table).await?;
    let url = database.primary_url();
    let app = serve(&url, &url, "[database]\nmax_connections = 1").await?;
    let upsert = |word: &str| {
        let sql = "INSERT INTO words (word) VALUES (?) ON DUPLICATE KEY UPDATE n = n + 1, id = LAST_INSERT_ID(id)";
        json!([{ "sql": sql, "op": "execute", "params": [word] }])
    };
    for (word, id) in [("a", 1), ("b", 2), ("a", 1), ("b", 2)] {
        let got = results(&app, "POST", &upsert(word)).await?;
        assert_eq!(got[0]["last_insert_id"], json!(id), "{word}: {got}");
        // The next request on the same connection does not see this id.
        for method in ["GET", "POST"] {
            let next =
                results(&app, method, &json!([{ "sql": "SELECT LAST_INSERT_ID() AS n", "op": "query_one" }])).await?;
            assert_eq!(next[0]["row"][0]["v"].to_string().trim_matches('"'), "0", "{method} {next}");
        }
    }
    let sequence = json!([{ "sql": "UPDATE words SET n = LAST_INSERT_ID(n + 1) WHERE id = 1", "op": "execute" },
        { "sql": "SELECT LAST_INSERT_ID() AS n", "op": "query_one" }]);
    let got = results(&app, "POST", &sequence).await?;
    assert_eq!(got[1]["row"][0]["v"].to_string().trim_matches('"'), "3", "{got}");
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        check_eq!(wrong, ends(&app, method, "SELECT LAST_INSERT_ID(5)").await?.0, "forbidden", "{method:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_login_with_powers_uses_one_database_on_mariadb() -> Result {
    let Some(cluster) = servers::mariadb().await? else { return Ok(()) };
    let (database, other) = (cluster.database().await?, cluster.database().await?);
    database.primary()?.execute(ITEMS).await?;
    other.primary()?.execute(ITEMS).await?;
    let url = database.primary_url();
    let app = serve(&url, &url, "").await?;
    let (own, other) = (&database.name, &other.name);
    let mut wrong = Wrong::default();
    for sql in [
        format!("SELECT * FROM {other}.items"),
        format!("SELECT * FROM items JOIN `{other}` . `items` o ON true"),
        format!("SELECT * FROM items, {other}.items"),
        format!("SELECT {other}.items.id FROM items"),
        "SELECT * FROM mysql.global_priv".to_owned(),
    ] {
        for method in ["GET", "POST"] {
            let (kind, message) = ends(&app, method, &sql).await?;
            check_eq!(wrong, kind, "forbidden", "{method} {sql}: {message}");
        }
    }
    let sql = format!("DELETE FROM {other}.items");
    assert!(ends(&app, "POST", &sql).await?.1.contains("another database on the server"));
    for sql in [
        format!("SELECT items.id, {own}.items.id FROM {own}.items"),
        "SELECT sys.id, mysql.name FROM items sys, items mysql WHERE sys.id = mysql.id ORDER BY sys.id, mysql.id"
            .to_owned(),
        "SELECT count(*) FROM information_schema.tables".to_owned(),
    ] {
        check_eq!(wrong, ends(&app, "GET", &sql).await?, ("ok".to_owned(), String::new()), "{sql}");
    }
    // A login with grants on another database may use that database.
    let login = format!("{own}_two");
    let admin = Client::new(&url)?;
    admin.execute(&format!("CREATE USER '{login}'@'%' IDENTIFIED BY 'x'")).await?;
    admin.execute(&format!("GRANT ALL ON {own}.* TO '{login}'@'%'")).await?;
    admin.execute(&format!("GRANT SELECT ON {other}.items TO '{login}'@'%'")).await?;
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let app = serve(&format!("{scheme}://{login}:x@{place}"), &url, "").await?;
    assert_eq!(ends(&app, "GET", &format!("SELECT * FROM {other}.items")).await?.0, "ok");
    assert_eq!(ends(&app, "GET", "SELECT * FROM mysql.user").await?.0, "forbidden");
    Ok(())
}

#[tokio::test]
async fn refusals_name_the_alternative() -> Result {
    let cases: [(&str, &str); 9] = [
        ("CALL f()", "SELECT f(..)"),
        ("EXPLAIN SELECT 1", "echo"),
        ("SAVEPOINT a b", "SAVEPOINT name"),
        ("BEGIN", "the host begins and ends the transaction"),
        ("SHOW TABLES", "schema"),
        ("PRAGMA table_info(items)", "schema"),
        ("CREATE TABLE t (a int)", "migration"),
        ("TRUNCATE items", "DELETE FROM"),
        ("SET a = 1", "configuration"),
    ];
    for engine in Engine::all() {
        let app = App::start_on(engine, &config(), &[("migrations/0001_items.sql", ITEMS)]).await?;
        let mut wrong = Wrong::default();
        for (sql, advice) in cases {
            for method in ["GET", "POST"] {
                let (kind, message) = ends(&app, method, sql).await?;
                check!(wrong, kind == "forbidden" && message.contains(advice), "{sql}: {kind} {message}");
            }
        }
        let describe: Json = match engine {
            Engine::Sqlite => json!([{ "sql": "SELECT name, sql FROM sqlite_schema" }]),
            _ => {
                json!([{ "sql": "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'items'" }])
            }
        };
        let got = results(&app, "GET", &describe).await?.to_string();
        assert!(got.contains("name") && got.contains("id"), "{got}");
    }
    Ok(())
}
