//! At-least-once actions: the host records them in the transaction that registers them, and runs them until they
//! succeed.

use serde_json::{Value as Json, json};

use super::expect;
use crate::{
    script::{fail, start, start_again},
    support::{App, Engine, Result, eventually, on_each_engine},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;

fn durable(name: &str, payload: &str) -> Json {
    json!({ "after_commit": name, "payload": payload, "delivery": "at-least-once" })
}

async fn recorded(app: &App) -> Result<i64> {
    app.number(&format!("SELECT count(*) FROM {}", app.outbox())).await
}

/// Waits until the outbox contains `count` actions. The host does not log insertions and deletions.
async fn until_recorded(app: &App, count: i64) -> Result {
    eventually("the actions are recorded or deleted", async || Ok(recorded(app).await? == count)).await
}

/// Kills the host, makes all recorded actions due with the payload `1`, and starts the host again. Then waits for the
/// log message `said` and for an empty outbox.
async fn deliver(app: App, said: &str) -> Result {
    let (client, outbox) = (app.client()?, app.outbox());
    let folder = app.kill().await?;
    client.execute(&format!("UPDATE {outbox} SET due_at = 0, payload = '1'")).await?;
    let app = start_again(folder, ROUTE).await?;
    app.log.wait_for(said).await?;
    until_recorded(&app, 0).await
}

async fn a_durable_action_is_deleted_after_it_has_run(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    expect(&app, "durable", "POST /", &[durable("one", "")], 200, "start, inside, commit, clear").await?;
    app.log.wait_for("action one").await?;
    until_recorded(&app, 0).await
}

async fn a_durable_action_is_rolled_back_with_its_transaction(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    expect(&app, "durable", "POST /", &[durable("no", ""), fail()], 500, "start, rollback, clear").await?;
    let savepoint = json!({ "savepoint": [durable("no", "")], "end": "rollback" });
    expect(&app, "durable", "POST /", &[savepoint], 200, "start, inside, commit, clear").await?;
    assert_eq!(recorded(&app).await?, 0);
    Ok(())
}

async fn a_durable_action_that_failed_is_run_again(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = [durable("fail-once", "")];
    expect(&app, "durable", "POST /", &script, 200, "start, inside, commit, clear").await?;
    app.log.wait_for("an action failed").await?;
    assert_eq!(recorded(&app).await?, 1);
    deliver(app, "action fail-once 1").await
}

async fn a_durable_action_survives_a_killed_host(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = [durable("sleep", "60000")];
    expect(&app, "durable", "POST /", &script, 200, "start, inside, commit, clear").await?;
    assert_eq!(recorded(&app).await?, 1);
    deliver(app, "action sleep 1").await
}

async fn requests_with_the_same_id_do_not_interfere(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    for count in 1..=2 {
        let request = app.request("POST", "/").header("x-request-id", "same");
        let response = request.body(json!([durable("fail", "")]).to_string()).send().await?;
        assert_eq!((response.status().as_u16(), recorded(&app).await?), (200, count));
    }
    Ok(())
}

on_each_engine! {
    a_durable_action_is_deleted_after_it_has_run,
    a_durable_action_is_rolled_back_with_its_transaction,
    a_durable_action_that_failed_is_run_again,
    a_durable_action_survives_a_killed_host,
    requests_with_the_same_id_do_not_interfere,
}
