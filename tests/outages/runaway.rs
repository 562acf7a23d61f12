//! Runaway statements: the server continues them after their timeout and after the host has terminated their session.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use crate::{
    harden::{Urls, apply},
    script::{self, kind, play},
    support::{
        App, Result,
        client::Client,
        eventually, guest,
        servers::{self, Engine},
    },
};

/// How long the statement keeps the server busy. The host abandons the statement after 1.5 s, and counts it as a
/// runaway 5 s later.
const DURATION: Duration = Duration::from_secs(16);

/// Returns a statement that ignores all timeouts and runs for about `duration` on this machine.
async fn endless(engine: Engine, client: &Client, duration: Duration) -> Result<String> {
    let statement = |size: u64| match engine {
        Engine::MariaDb => {
            format!("SELECT LOCATE(CONCAT(REPEAT('a', 100000), 'b'), REPEAT('a', 100000 + {size})) AS n")
        }
        _ => format!("SELECT length(translate(repeat('b', {size}), repeat('a', 3000), '')) AS n"),
    };
    let (size, begun) = (10_000, Instant::now());
    client.number(&statement(size)).await?;
    let factor = duration.as_secs_f64() / begun.elapsed().as_secs_f64();
    Ok(statement((size as f64 * factor) as u64))
}

async fn serve(urls: [&str; 2], max_connections: usize) -> Result<App> {
    let more = format!(
        r#"
        [server]
        metrics = "127.0.0.1:0"
        [database]
        max_connections = {max_connections}
        statement_timeout = "1s"
        [component.other]
        path = "{}"
        [[route]]
        path = "/other/{{what}}"
        component = "other"
        "#,
        guest("probe").display()
    );
    let env = [("CARYA_DATABASE__URL", urls[0]), ("CARYA_DATABASE__ADMIN_URL", urls[1])];
    App::start_in(tempdir()?, &(script::config() + &more), &[("migrations/0001_none.sql", "SELECT 1")], &env).await
}

/// Runs a statement in a component, and returns the kind and the message of its error. The kind is `ok` on success.
async fn attempt(app: &App, path: &str, sql: &str) -> Result<(String, String)> {
    let answer = play(app, "GET", path, &json!([{ "sql": sql, "swallow": true }])).await?;
    let result = answer.json()?[0].take();
    Ok((kind(&result), result["error"]["message"].as_str().unwrap_or_default().to_owned()))
}

const RUNAWAYS: &str = "carya_runaway_statements{database=\"default\",pool=\"writers\"}";
const USED: &str = "carya_pool_connections{database=\"default\",pool=\"writers\",state=\"used\"}";

async fn keeps_its_place_until_it_ends(engine: Engine, app: &App, direct: &Client) -> Result {
    let sql = endless(engine, direct, DURATION).await?;
    assert_eq!(attempt(app, "/x", &sql).await?.0, "timeout");
    assert_eq!(app.metric(USED).await?, 1, "{engine}: the session is being ended");

    let line = app.log.wait_for("runs away").await?;
    assert_eq!((&line["component"], &line["sql"]), (&json!("probe"), &json!(sql)), "{engine}");
    assert!(line["request"].is_string(), "{engine}: {line}");
    assert_eq!((app.metric(RUNAWAYS).await?, app.metric(USED).await?), (1, 1), "{engine}");
    let (kind, message) = attempt(app, "/x", "SELECT 1").await?;
    assert_eq!(kind, "limit", "{engine}: {message}");
    assert!(message.contains("`probe`") && message.contains("max_connections = 2"), "{message}");
    assert_eq!(attempt(app, "/other/x", "SELECT 1").await?.0, "ok", "{engine}: another component is served");
    assert_eq!(app.metric(RUNAWAYS).await?, 1, "{engine}: it is still there");

    app.log.wait_for("has ended a session that ran away").await?;
    eventually("the place is free", async || Ok(app.metric(USED).await? == 0)).await?;
    assert_eq!(app.metric(RUNAWAYS).await?, 0, "{engine}");
    assert_eq!(attempt(app, "/x", "SELECT 1").await?.0, "ok", "{engine}: the component is served again");
    Ok(())
}

async fn on(engine: Engine, is_hardened: bool) -> Result {
    let Some(cluster) = servers::shared(engine).await? else { return Ok(()) };
    let database = cluster.database().await?;
    let urls = Urls::new(database.primary_url(), &database.name)?;
    let folder = tempdir()?;
    if is_hardened {
        urls.configure(folder.path())?;
        apply(folder.path()).await?;
    }
    let login = if is_hardened { &urls.writer } else { &urls.admin };
    let app = serve([login, &urls.admin], 2).await?;
    keeps_its_place_until_it_ends(engine, &app, &database.primary()?).await
}

#[tokio::test]
async fn a_runaway_statement_keeps_its_place_on_postgres() -> Result {
    on(Engine::Postgres, false).await
}

#[tokio::test]
async fn a_runaway_statement_of_a_hardened_login_keeps_its_place_on_postgres() -> Result {
    on(Engine::Postgres, true).await
}

#[tokio::test]
async fn a_runaway_statement_of_a_hardened_login_keeps_its_place_on_mariadb() -> Result {
    on(Engine::MariaDb, true).await
}

/// Two runaway statements of one component occupy both places of the pool. Once the host has detected them, it gives
/// one place back, and refuses further statements of this component.
#[tokio::test]
async fn runaway_statements_of_one_component_take_half_of_the_places() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let url = database.primary_url();
        let app = serve([&url, &url], 2).await?;
        let sql = endless(engine, &database.primary()?, DURATION).await?;
        tokio::try_join!(attempt(&app, "/x", &sql), attempt(&app, "/x", &sql))?;
        eventually("both run away", async || Ok(app.metric(RUNAWAYS).await? == 2)).await?;
        assert_eq!(app.metric(USED).await?, 1, "{engine}");
        assert_eq!(attempt(&app, "/x", "SELECT 1").await?.0, "limit", "{engine}");
        assert_eq!(attempt(&app, "/other/x", "SELECT 1").await?.0, "ok", "{engine}");
        eventually("both have ended", async || Ok(app.metric(RUNAWAYS).await? == 0)).await?;
        eventually("the place is free", async || Ok(app.metric(USED).await? == 0)).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "takes two minutes: make test-all"]
async fn a_runaway_statement_gives_its_place_back_after_a_minute() -> Result {
    let on = async |engine: Engine| {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let url = database.primary_url();
        let app = serve([&url, &url], 1).await?;
        let sql = endless(engine, &database.primary()?, Duration::from_secs(200)).await?;
        attempt(&app, "/x", &sql).await?;
        app.log.wait_for("runs away").await?;
        assert_eq!(app.metric(USED).await?, 1, "{engine}");
        let since = Instant::now();
        while app.metric(USED).await? > 0 {
            assert!(since.elapsed() < Duration::from_secs(70), "{engine}: the place is still taken");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(since.elapsed() > Duration::from_secs(40), "{engine}: {:?}", since.elapsed());
        assert_eq!(app.metric(RUNAWAYS).await?, 1, "{engine}: the server still runs it");
        assert_eq!(attempt(&app, "/x", "SELECT 1").await?.0, "limit", "{engine}");
        assert_eq!(attempt(&app, "/other/x", "SELECT 1").await?.0, "ok", "{engine}: another component is served");
        Ok(())
    };
    tokio::try_join!(on(Engine::Postgres), on(Engine::MariaDb)).map(drop)
}
