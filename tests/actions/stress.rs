//! Durable actions under load, with several hosts, and with hosts that are killed.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value as Json, json};

use super::{durable, recorded, running};
use crate::{
    script::{config, send},
    support::{App, Engine, Result, on_each_engine, upstream::Upstream},
};

const TABLES: &str = "CREATE TABLE orders (id INTEGER NOT NULL); CREATE TABLE effects (id INTEGER NOT NULL);";
pub(super) const FILES: [(&str, &str); 1] = [("migrations/0001_tables.sql", TABLES)];

/// Longer than a delivery under load.
const LONG: Duration = Duration::from_secs(300);

/// Returns a script that inserts an order and registers a durable action, which inserts an effect of the order.
fn order(id: usize, before: Json) -> Json {
    let effect = json!({ "sql": "INSERT INTO effects VALUES (?)", "op": "execute", "params": [{ "t": "int64", "v": id.to_string() }] });
    let order = json!({ "sql": "INSERT INTO orders VALUES (?)", "op": "execute", "params": [{ "t": "int64", "v": id.to_string() }] });
    json!([order, durable("effect", &running(json!([before, effect])))])
}

/// Waits until the outbox is empty.
pub(super) async fn delivered(app: &App) -> Result {
    let begun = Instant::now();
    while recorded(app).await? > 0 {
        if begun.elapsed() > LONG {
            return Err(format!("{} actions are left", recorded(app).await?).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Asserts that each order has one effect. Returns the number of orders.
pub(super) async fn each_once(app: &App) -> Result<i64> {
    let wrong = "SELECT count(*) FROM (SELECT id, sum(o) AS o, sum(e) AS e FROM (SELECT id, 1 AS o, 0 AS e FROM orders
        UNION ALL SELECT id, 0, 1 FROM effects) AS both_tables GROUP BY id HAVING sum(o) <> 1 OR sum(e) <> 1) AS wrong";
    assert_eq!(app.number(wrong).await?, 0, "orders without one effect");
    app.number("SELECT count(*) FROM orders").await
}

/// The lease is shorter than an action, so that only its renewal keeps the other host away.
async fn a_short_lease(engine: Engine, actions: usize) -> Result {
    // Actions and requests of a host take turns at the one connection that writes to SQLite.
    let waits = if engine == Engine::Sqlite { "busy_timeout = \"10s\"\nacquire_timeout = \"30s\"\n" } else { "" };
    let config = format!("{}[database]\noutbox_workers = 8\noutbox_lease = \"60ms\"\n{waits}", config());
    let app = App::start_in(engine.folder().await?, &config, &FILES, &[]).await?;
    let file = format!("sqlite://{}", app.folder.path().join("app.sqlite").display());
    let url = app.database_url.clone().unwrap_or(file);
    let other = App::start_in(tempfile::tempdir()?, &config, &FILES, &[("CARYA_DATABASE__URL", &url)]).await?;
    let (app, other) = (&app, &other);
    stream::iter(0..actions)
        .map(async |id| {
            let host = if id % 2 == 0 { app } else { other };
            let answer = send(host, "POST", &order(id, json!({ "sleep_ms": 150 }))).await?;
            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
            Result::Ok(())
        })
        .buffer_unordered(8)
        .try_collect::<()>()
        .await?;
    delivered(app).await?;
    assert_eq!(each_once(app).await?, i64::try_from(actions)?);
    let lost = |app: &App| {
        app.log
            .lines()
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("another delivery")))
            .count()
    };
    println!("{engine}: {} and {} deliveries lost their lease", lost(app), lost(other));
    Ok(())
}

async fn a_lease_may_be_shorter_than_its_action(engine: Engine) -> Result {
    a_short_lease(engine, 60).await
}

async fn a_thousand_actions_with_a_short_lease_have_one_effect_each(engine: Engine) -> Result {
    a_short_lease(engine, 1000).await
}

/// Kills the host 50 times, while it commits requests and actions.
async fn each_order_has_one_effect_after_fifty_kills(engine: Engine) -> Result {
    let mut folder = engine.folder().await?;
    let (mut id, mut answered) = (0, 0);
    for round in 0..50_u64 {
        let app = App::start_in(folder, &config(), &FILES, &[]).await?;
        // At most 140 ms, so that each phase of requests and actions is hit in some round.
        let killed = tokio::time::sleep(Duration::from_millis(3 * (round * 17 % 47)));
        let posting = async {
            let mut ends = Vec::new();
            for _ in 0..200 {
                id += 1;
                match send(&app, "POST", &order(id, json!({ "sleep_ms": 0 }))).await {
                    Ok(answer) => ends.push(answer.status == 200),
                    Err(_) => break,
                }
            }
            ends
        };
        tokio::select! {
            ends = posting => answered += ends.len(),
            () = killed => {}
        }
        let (client, outbox) = (app.client()?, app.outbox());
        folder = app.kill().await?;
        // Without waiting for the leases of the host that was killed.
        client.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
    }
    let app = App::start_in(folder, &config(), &FILES, &[]).await?;
    delivered(&app).await?;
    let orders = each_once(&app).await?;
    println!("{engine}: {orders} orders, {id} requests, {answered} in rounds that ended before their kill");
    assert!(orders > 0);
    Ok(())
}

/// Returns the 99th percentile of the times of 1,000 requests, of which 8 run at a time.
async fn p99(app: &App, script: &str) -> Result<Duration> {
    let mut times: Vec<_> = stream::iter(0..1000)
        .map(async |_| {
            let begun = Instant::now();
            let status = app.request("POST", "/rw").query(&[("it.write", script)]).send().await?.status();
            assert_eq!(status, 200);
            Ok::<_, reqwest::Error>(begun.elapsed())
        })
        .buffer_unordered(8)
        .try_collect()
        .await?;
    times.sort();
    Ok(times[990])
}

/// Requests are as fast as without actions, and no place for a request stays taken.
async fn requests_do_not_wait_for_a_webhook_that_never_answers(engine: Engine) -> Result {
    let upstream = Upstream::start().await?;
    let to = upstream.url("");
    let text = format!(
        r#"
        [server]
        max_concurrent_requests = 8
        max_concurrent_per_component = 8
        [database]
        acquire_timeout = "20s"
        statement_timeout = "20s"
        [outbound]
        allow = ["{to}"]
        allow_private = true
        [component.it]
        path = "{{guest:caller}}"
        http = ["{to}"]
        [component.it.settings]
        name = "it"
        [model]
        migrations = "migrations"
        [[route]]
        path = "/rw"
        component = "it"
        "#
    );
    let app = App::start_in(engine.folder().await?, &text, &FILES, &[]).await?;
    let insert = "sql INSERT INTO orders VALUES (1)";
    let (warm, plain) = (p99(&app, insert).await?, p99(&app, insert).await?);
    let hook = format!("{insert}|action hook POST {}", upstream.url("/slow/3600000"));
    let with_actions = p99(&app, &hook).await?;
    println!(
        "{engine}: p99 {warm:?} cold, {plain:?} without actions, {with_actions:?} with a webhook that never answers"
    );
    // An insert into the outbox is a further statement. A request that waited for the webhook would take 3 s.
    assert!(with_actions < 4 * plain + Duration::from_millis(500), "{plain:?} {with_actions:?}");
    assert!(recorded(&app).await? > 900);
    Ok(())
}

on_each_engine! {
    a_lease_may_be_shorter_than_its_action,
    requests_do_not_wait_for_a_webhook_that_never_answers,
}

/// Generates a test for each engine that `make test-all` runs.
macro_rules! long_on_each_engine {
    ($($module:ident: $test:ident),+) => {
        $(
            mod $module {
                use crate::support::{Engine, Result};

                #[tokio::test]
                #[ignore = "takes a minute: make test-all"]
                async fn sqlite() -> Result {
                    super::$test(Engine::Sqlite).await
                }

                #[tokio::test]
                #[ignore = "takes a minute: make test-all"]
                async fn postgres() -> Result {
                    if Engine::Postgres.is_installed() { super::$test(Engine::Postgres).await } else { Ok(()) }
                }

                #[tokio::test]
                #[ignore = "takes a minute: make test-all"]
                async fn mariadb() -> Result {
                    if Engine::MariaDb.is_installed() { super::$test(Engine::MariaDb).await } else { Ok(()) }
                }
            }
        )+
    };
}
pub(super) use long_on_each_engine;

long_on_each_engine! {
    a_thousand_actions: a_thousand_actions_with_a_short_lease_have_one_effect_each,
    fifty_kills: each_order_has_one_effect_after_fifty_kills
}
