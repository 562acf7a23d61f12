//! Connections to servers: options of the URL, poolers, logins for one database, and delays of small messages.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tempfile::tempdir;

use crate::{
    script::{self, results, serve},
    support::{
        App, Engine, PATIENCE, Result, Wrong, carya, check, eventually, on_each_server,
        servers::{self, Pooler},
        write,
    },
};

const TABLE: &str = "CREATE TABLE t (n INTEGER PRIMARY KEY)";
const FILES: [(&str, &str); 1] = [("migrations/0001_t.sql", TABLE)];

/// Runs a command that must fail in a folder. Returns its messages.
async fn failure(folder: &Path, command: &[&str]) -> Result<String> {
    let running = carya().args(command).current_dir(folder).output();
    let output = tokio::time::timeout(PATIENCE, running).await.map_err(|_| format!("{command:?} does not fail"))??;
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?} succeeds: {messages}");
    Ok(messages)
}

#[tokio::test]
async fn sessions_have_the_application_name_of_the_url() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    for (option, name) in [("", "carya"), ("&application_name=shop%20api", "shop api")] {
        let database = cluster.database().await?;
        let url = format!("{}{option}", database.primary_url());
        let env = [("CARYA_DATABASE__URL", url.as_str()), ("PGAPPNAME", "of the environment")];
        let app = App::start_in(tempdir()?, &script::config(), &FILES, &env).await?;
        results(&app, "POST", &json!([{ "sql": "INSERT INTO t VALUES (1)", "op": "execute" }])).await?;
        let names =
            format!("SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = '{}'", database.name);
        // The check of the login's rights uses a connection without a name for a moment.
        eventually(&format!("only {name:?}"), async || Ok(cluster.primary()?.texts(&names).await? == [name])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pooler_is_refused_with_the_remedy() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let mut wrong = Wrong::default();
    for settings in [
        "pool_mode = session",
        "pool_mode = transaction",
        "pool_mode = statement",
        "pool_mode = session\nignore_startup_parameters = extra_float_digits, options",
        "pool_mode = transaction\nignore_startup_parameters = extra_float_digits, options",
        "pool_mode = transaction\ndefault_pool_size = 1\nignore_startup_parameters = extra_float_digits, options",
    ] {
        let Some(pooler) = Pooler::start(&database.primary_url(), settings).await? else { return Ok(()) };
        let folder = tempdir()?;
        write(folder.path(), &format!("{}[database]\nurl = \"{}\"\n", script::config(), pooler.url()), &FILES)?;
        for command in ["serve", "migrate", "check"] {
            let told = failure(folder.path(), &[command]).await?;
            let sentence = "a pooler such as PgBouncer is between the host and PostgreSQL, and lends sessions of the \
                            server to several clients; set the URL to the address of PostgreSQL itself";
            check!(wrong, told.contains(sentence), "{settings} {command}: {told}");
        }
        // A replica behind a pooler is left out.
        let replicas = format!("[\"{}\"]", pooler.url());
        let (url, env) = (database.primary_url(), "CARYA_DATABASE__REPLICAS");
        let env = [("CARYA_DATABASE__URL", url.as_str()), (env, replicas.as_str())];
        let app = App::start_in(tempdir()?, &script::config(), &FILES, &env).await?;
        let line = app.log.wait_for("a replica cannot be used").await?;
        check!(wrong, line.to_string().contains("a pooler such as PgBouncer"), "{settings}: {line}");
        results(&app, "GET", &json!([{ "sql": "SELECT n FROM t" }])).await?;
    }
    Ok(())
}

/// `GRANT ALL ON shop.*` is enough, except for actions: these need a second database, and the error names its grant.
#[tokio::test]
async fn a_mariadb_login_for_one_database_serves() -> Result {
    let Some(cluster) = servers::mariadb().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let login = database.create_login("all").await?;
    database.primary()?.execute(&format!("GRANT ALL ON {}.* TO {}@'127.0.0.1'", database.name, login.name)).await?;
    let env = [("CARYA_DATABASE__URL", login.primary_url.as_str())];

    let folder = tempdir()?;
    write(folder.path(), &format!("{}[database]\nurl = \"{}\"\n", script::config(), login.primary_url), &FILES)?;
    let told = failure(folder.path(), &["serve"]).await?;
    assert!(!told.contains("applied"), "{told}");
    assert_eq!(database.primary()?.texts("SHOW TABLES").await?, Vec::<String>::new(), "no migration has run");
    let grant = told.split_once("run GRANT").and_then(|(_, rest)| rest.split_once(" as an administrator"));
    let (grant, _) = grant.ok_or_else(|| format!("no remedy: {told}"))?;

    let plain = r#"
        [component.reads]
        path = "{guest:reads-only}"
        [model]
        migrations = "migrations"
        [[route]]
        path = "/items"
        component = "reads"
        methods = ["GET"]
    "#;
    let items = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(99), price_cents INTEGER, stock INTEGER)";
    let files = [FILES[0], ("migrations/0002_items.sql", items)];
    let app = App::start_in(tempdir()?, plain, &files, &env).await?;
    assert_eq!(app.get("/items").await?.status, 200);
    for (command, code) in [(["check"].as_slice(), 0), (&["migrate"], 0), (&["harden", "--check"], 1)] {
        let ran = carya().args(command).current_dir(app.folder.path()).envs(env).output().await?;
        assert_eq!(ran.status.code(), Some(code), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    database.primary()?.execute(&format!("GRANT{grant}")).await?;
    let app = App::start_in(tempdir()?, &script::config(), &files, &env).await?;
    let script = json!([{ "sql": "INSERT INTO t VALUES (1)", "op": "execute" }, script::after_commit("noted")]);
    results(&app, "POST", &script).await?;
    assert_eq!(app.number("SELECT count(*) FROM t").await?, 1);
    Ok(())
}

/// The driver keeps 100 prepared statements, and closes one for each further one. If the host sent the two messages in
/// separate packets, each statement would wait 40 ms for a delayed acknowledgement.
async fn many_different_statements_cause_no_delay(engine: Engine) -> Result {
    let app = serve(engine, TABLE).await?;
    let mut times = Vec::new();
    for first in (0..300).step_by(20) {
        let step = |number: usize| json!({ "sql": format!("SELECT {number} AS n"), "op": "query_one" });
        let script: Json = (first..first + 20).map(step).collect();
        let begun = Instant::now();
        results(&app, "GET", &script).await?;
        times.push(begun.elapsed());
    }
    // With the delay, each of these requests takes at least 800 ms. On a busy machine some take long without it.
    let closing = &times[6..];
    assert!(closing.iter().any(|time| *time < Duration::from_millis(600)), "{engine}: {times:?}");
    Ok(())
}

on_each_server!(many_different_statements_cause_no_delay);
