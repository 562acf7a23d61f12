//! `carya test` on servers: throw-away databases that an administrator creates and drops, and private servers.

use super::{Running, carya, entries};
use crate::support::{Engine, PATIENCE, Result, Wrong, check, check_eq, on_each_server, servers};

const PREFIX: &str = "carya_test_";

fn config(url: &str) -> String {
    format!(
        r#"
        [database]
        url = "{url}"
        [model]
        migrations = "migrations"
        [component.items]
        path = "{{guest:items}}"
        [[route]]
        path = "/items"
        component = "items"
        "#
    )
}

fn migration(engine: Engine) -> (&'static str, &'static str) {
    let sql = match engine {
        Engine::MariaDb => include_str!("../../../guest-examples/migrations-mariadb/0001_shop.sql"),
        _ => include_str!("../../../guest-examples/migrations-postgres/0001_shop.sql"),
    };
    ("migrations/0001_shop.sql", sql)
}

/// Returns the databases and logins of throw-away databases, in order.
pub(super) async fn throw_away(engine: Engine) -> Result<Vec<String>> {
    let cluster = servers::shared(engine).await?.ok_or("no server")?;
    let sql = match engine {
        Engine::MariaDb => "SELECT schema_name FROM information_schema.schemata UNION SELECT user FROM mysql.user",
        _ => "SELECT datname::text FROM pg_database UNION SELECT rolname::text FROM pg_roles",
    };
    let mut names = cluster.primary()?.texts(sql).await?;
    names.retain(|name| name.starts_with(PREFIX));
    names.sort();
    Ok(names)
}

/// Starts tests of the items on an engine.
pub(super) async fn running(engine: Engine) -> Result<Running> {
    if engine == Engine::Sqlite {
        return Running::start(&[]).await;
    }
    start(engine, config, migration(engine)).await
}

/// Starts tests on a server. `config` returns the configuration for the URL of a database.
pub(super) async fn start(engine: Engine, config: fn(&str) -> String, migration: (&str, &str)) -> Result<Running> {
    let cluster = servers::shared(engine).await?.ok_or("no server")?;
    let url = cluster.primary_url(&cluster.create_database().await?);
    let administrator = cluster.primary_url(system_database(engine));
    Running::start_with(&config(&url), migration, &[], &[("CARYA_TEST__URL", &administrator)]).await
}

fn system_database(engine: Engine) -> &'static str {
    if engine == Engine::MariaDb { "mysql" } else { "postgres" }
}

async fn a_server_has_throw_away_databases(engine: Engine) -> Result {
    // Tests of this engine share the server, and each lists all databases.
    let cluster = servers::shared(engine).await?.ok_or("no server")?;
    let used = cluster.create_database().await?;
    let administrator = cluster.primary_url(system_database(engine));
    let env = [("CARYA_TEST__URL", administrator.as_str())];
    let config = config(&cluster.primary_url(&used));
    let tests = Running::start_with(&config, migration(engine), &[], &env).await?;
    let mut wrong = Wrong::default();
    tests.reset_thrice(&mut wrong).await?;
    let insert = r#"{"sql": "INSERT INTO items (name, price_cents, stock) VALUES ('walnut', 250, 3)"}"#;
    check_eq!(wrong, tests.control("/lanes/0/sql", insert).await?, (200, "[]".to_owned()), "insert as the owner");
    let select = r#"{"sql": "SELECT id, name FROM items"}"#;
    let rows = r#"[{"id":1,"name":"walnut"}]"#.to_owned();
    check_eq!(wrong, tests.control("/lanes/0/sql", select).await?, (200, rows), "the counter begins again");
    let (status, second) = tests.control("/lanes", "").await?;
    let second: serde_json::Value = serde_json::from_str(&second)?;
    let url = second["url"].as_str().unwrap_or_default();
    check_eq!(wrong, (status, tests.count(url).await?), (200, 0.into()), "the second lane");
    // A test may change the schema.
    let table = r#"{"sql": "CREATE TABLE extra (id integer PRIMARY KEY)"}"#;
    check_eq!(wrong, tests.control("/lanes/1/sql", table).await?.0, 200, "a new table");
    check_eq!(wrong, tests.control("/lanes/1/reset", "").await?.0, 204, "reset of the new table");
    check_eq!(wrong, tests.control("/lanes/1/sql", table).await?.0, 200, "the new table again");
    check!(wrong, throw_away(engine).await?.len() >= 3, "databases of the run");
    let user = r#"{"sql": "SELECT CURRENT_USER AS login"}"#;
    let (_, login) = tests.control("/lanes/0/sql", user).await?;
    check!(wrong, !login.contains(PREFIX), "the control is the administrator: {login}");
    let ended = tests.end(0).await?;
    check_eq!(wrong, (ended.code, ended.err.as_str()), (Some(0), ""), "the end");
    let tables = match engine {
        Engine::MariaDb => format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{used}'"),
        _ => "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'".to_owned(),
    };
    let client = crate::support::client::Client::new(&cluster.primary_url(&used))?;
    check_eq!(wrong, client.number(&tables).await?, 0, "the database of the configuration");
    Ok(())
}

async fn left_overs_on_a_server_are_dropped_after_a_day(engine: Engine) -> Result {
    let cluster = servers::shared(engine).await?.ok_or("no server")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let (old, young) = (format!("{PREFIX}{:08x}0badcafe", now - 25 * 3600), format!("{PREFIX}{now:08x}0badcafe"));
    let named = format!("{PREFIX}shop");
    let primary = cluster.primary()?;
    for database in [&format!("{old}_0_first"), &format!("{old}_0_1"), &format!("{young}_0_first"), &named] {
        primary.execute(&format!("CREATE DATABASE {database}")).await?;
    }
    for login in [&old, &young] {
        let kind = if engine == Engine::MariaDb { "USER" } else { "ROLE" };
        primary.execute(&format!("CREATE {kind} {login}")).await?;
    }
    let config = config("URL").replace("URL", &cluster.primary_url(&cluster.create_database().await?));
    let folder = tempfile::tempdir()?;
    crate::support::write(folder.path(), &config, &[migration(engine)])?;
    let mut command = carya();
    command.args(["test", "--", "true"]).current_dir(folder.path());
    command.env("CARYA_TEST__URL", cluster.primary_url(system_database(engine)));
    let ran = tokio::time::timeout(PATIENCE, command.output()).await??;
    let left = throw_away(engine).await?;
    let mut wrong = Wrong::default();
    check_eq!(wrong, ran.status.code(), Some(0), "{ran:?}");
    check!(wrong, !left.iter().any(|name| name.starts_with(&old)), "{left:?}");
    let kept = left.iter().filter(|name| name.starts_with(&young) || **name == named).count();
    check_eq!(wrong, kept, 3, "{left:?}");
    // For the other test, and for the next run of this one.
    for database in [&format!("{young}_0_first"), &named] {
        primary.execute(&format!("DROP DATABASE {database}")).await?;
    }
    Ok(())
}

on_each_server!(a_server_has_throw_away_databases, left_overs_on_a_server_are_dropped_after_a_day);

async fn a_private_server_ends_with_the_tests(engine: Engine) -> Result {
    let (product, url) = match engine {
        Engine::MariaDb => ("mariadb", "mysql://ann:secret@127.0.0.1:1/shop"),
        _ => ("postgres", "postgres://ann:secret@127.0.0.1:1/shop"),
    };
    let tests = Running::start_with(&config(url), migration(engine), &["--start", product], &[]).await?;
    let mut wrong = Wrong::default();
    check_eq!(wrong, tests.create(&tests.url, "pecan").await?, 201, "create");
    check_eq!(wrong, tests.control("/lanes/0/reset", "").await?.0, 204, "reset");
    check_eq!(wrong, tests.count(&tests.url).await?, 0, "after the reset");
    let made = entries(tests.temporary.path())?;
    check_eq!(wrong, made.iter().filter(|name| name.starts_with("carya_test_server_")).count(), 1, "{made:?}");
    let ended = tests.end(0).await?;
    check_eq!(wrong, (ended.code, ended.left.as_slice()), (Some(0), [].as_slice()), "{ended:?}");
    Ok(())
}

mod private {
    use super::{a_private_server_ends_with_the_tests, on_each_server};

    on_each_server!(a_private_server_ends_with_the_tests);
}
