//! Many clients that increment one row, on every engine: the host retries conflicting transactions, and each
//! acknowledged increment is in the row once. `retries.rs` tests the rules of a single conflict.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use serde_json::{Value as Json, json};

use crate::{
    metrics, script,
    support::{App, Engine, Response, Result, Wrong, check, check_eq},
};

const CLIENTS: usize = 16;
const INCREMENTS: usize = 25;

const TABLES: &str = "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
    INSERT INTO counters VALUES (1, 0);
    CREATE TABLE done (id VARCHAR(40) PRIMARY KEY)";

/// Serves an application whose pool has one connection for each client.
async fn serve(engine: Engine, transaction: &str) -> Result<App> {
    let more = format!(
        r#"
        [server]
        metrics = "127.0.0.1:0"
        [database]
        max_connections = {CLIENTS}
        acquire_timeout = "30s"
        statement_timeout = "10s"
        [transaction]
        {transaction}
        "#
    );
    App::start_on(engine, &(script::config() + &more), &[("migrations/0001_tables.sql", TABLES)]).await
}

/// Returns a script that reads the counter, writes the next number, which the guest computes, and inserts `id` into
/// `done`.
fn increment(id: &str) -> Json {
    json!([
        { "sql": "SELECT n FROM counters WHERE id = ?", "op": "query_one", "params": [1] },
        { "sql": "UPDATE counters SET n = ? WHERE id = ?", "op": "execute", "params": [{ "found": 1 }, 1] },
        { "sql": "INSERT INTO done VALUES (?)", "op": "execute", "params": [id] },
    ])
}

fn count(answer: &Response, event: &str) -> usize {
    answer.events().iter().filter(|name| *name == event).count()
}

/// Sends increments from all clients at the same time. Returns the id and the response of each increment.
async fn storm(app: &App) -> Result<Vec<(String, Response)>> {
    let clients = (0..CLIENTS).map(|client| async move {
        let mut answers = Vec::new();
        for turn in 0..INCREMENTS {
            let id = format!("{client}-{turn}");
            let answer = script::send(app, "POST", &increment(&id)).await?;
            answers.push((id, answer));
        }
        Result::Ok(answers)
    });
    Ok(try_join_all(clients).await?.into_iter().flatten().collect())
}

/// Checks three rules:
///
/// - The row contains exactly the acknowledged increments.
/// - If the last attempt of a request conflicts, the response is a 503 with `retry-after`.
/// - Each attempt is an event of its request, and is counted in the metrics.
async fn nothing_is_lost_and_nothing_done_twice(engine: Engine, retries: u32) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = serve(engine, &format!("isolation = \"serializable\"\nretries = {retries}")).await?;
    let answers = storm(&app).await?;
    let mut wrong = Wrong::default();
    for (id, answer) in &answers {
        let told = (answer.status, answer.header("retry-after"), count(answer, "commit"));
        check!(wrong, matches!(told, (200, "", 1) | (503, "1", 0)), "{engine}: {id}: {told:?}: {}", answer.text());
        check_eq!(
            wrong,
            count(answer, "rollback"),
            count(answer, "retry") + usize::from(answer.status == 503),
            "{id:?}"
        );
        check!(wrong, count(answer, "retry") <= retries as usize, "{:?}", answer.events());
    }
    let acknowledged: BTreeSet<_> =
        answers.iter().filter(|(_, answer)| answer.status == 200).map(|(id, _)| id.clone()).collect();
    let there: BTreeSet<_> = app.texts("SELECT id FROM done").await?.into_iter().collect();
    assert_eq!(there, acknowledged, "{engine}");
    assert_eq!(app.number("SELECT n FROM counters").await?, acknowledged.len() as i64, "{engine}");

    let metrics = metrics::of(&app).await?;
    let (tried_again, refused) =
        (answers.iter().map(|(_, answer)| count(answer, "retry")).sum::<usize>(), answers.len() - acknowledged.len());
    assert_eq!(metrics["carya_retries_total"], tried_again as f64, "{engine}");
    assert_eq!(metrics["carya_conflicts_total"], (tried_again + refused) as f64, "{engine}");
    println!("{engine}: {} acknowledged, {tried_again} retries, {refused} told to come back", acknowledged.len());
    match engine {
        // Writers wait for the one writing connection, so they do not conflict.
        Engine::Sqlite => assert_eq!((tried_again, refused), (0, 0)),
        Engine::Postgres | Engine::MariaDb => {
            assert!(tried_again > 0, "{engine}: there was no conflict");
            assert!(retries > 1 || refused > 0, "{engine}: nobody was refused");
        }
    }
    Ok(())
}

#[tokio::test]
async fn increments_of_one_row_on_sqlite() -> Result {
    nothing_is_lost_and_nothing_done_twice(Engine::Sqlite, 10).await
}

#[tokio::test]
async fn increments_of_one_row_on_postgres() -> Result {
    nothing_is_lost_and_nothing_done_twice(Engine::Postgres, 10).await
}

#[tokio::test]
async fn increments_of_one_row_on_mariadb() -> Result {
    nothing_is_lost_and_nothing_done_twice(Engine::MariaDb, 10).await
}

#[tokio::test]
async fn increments_with_one_retry_on_postgres() -> Result {
    nothing_is_lost_and_nothing_done_twice(Engine::Postgres, 1).await
}

#[tokio::test]
async fn increments_with_one_retry_on_mariadb() -> Result {
    nothing_is_lost_and_nothing_done_twice(Engine::MariaDb, 1).await
}
