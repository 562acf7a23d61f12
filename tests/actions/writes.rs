//! Actions write to the database in transactions of their own.

use serde_json::{Value as Json, json};

use super::{SCHEMA, durable, make_due, recorded, running, until_recorded};
use crate::{
    script::{results, send, serve, serve_with},
    support::{App, Engine, Result, Wrong, check_eq, eventually, on_each_engine},
};

/// Returns a step that inserts a name.
fn put(name: &str) -> Json {
    json!({ "sql": "INSERT INTO t VALUES (?)", "op": "execute", "params": [name] })
}

async fn names(app: &App) -> Result<String> {
    Ok(app.texts("SELECT name FROM t ORDER BY name").await?.join(" "))
}

async fn every_action_writes_in_a_transaction_of_its_own(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let [once, sure, back] = ["once", "sure", "back"].map(|name| running(json!([put(name)])));
    let script = json!([put("request"), { "after_commit": "a", "payload": once }, durable("d", &sure)]);
    let answer = send(&app, "POST", &script).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The response waits for an at-most-once action.
    let at_once = names(&app).await?;
    assert!(at_once.starts_with("once request"), "{at_once}");
    until_recorded(&app, 0).await?;
    assert_eq!(names(&app).await?, "once request sure");
    let ran = app.log.wait_for("action d {").await?;
    let request = answer.header("x-request-id");
    assert!(ran["message"].as_str().is_some_and(|text| text.contains(&format!("\"request\":\"{request}\""))), "{ran}");

    let script = json!([put("lost"), { "after_rollback": "r", "payload": back }, { "fail": "as asked" }]);
    assert_eq!(send(&app, "POST", &script).await?.status, 500);
    assert_eq!(names(&app).await?, "back once request sure");
    Ok(())
}

/// A rejected login rolls back, and its action records it.
async fn a_failed_login_is_audited(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let audit = running(json!([put("ann failed to log in")]));
    let script =
        json!([put("session"), { "after_rollback": "audit", "payload": audit }, { "answer": { "status": 401 } }]);
    let answer = send(&app, "POST", &script).await?;
    assert_eq!((answer.status, answer.steps().as_str()), (401, "start, inside, rollback, audit, clear"));
    assert_eq!(names(&app).await?, "ann failed to log in");
    Ok(())
}

async fn a_failed_action_is_rolled_back_and_stays_in_the_outbox(engine: Engine) -> Result {
    let app = serve_with(engine, SCHEMA, "[component.probe.reuse]\nmax_requests = 1000\n").await?;
    let broken = json!({ "sql": "INSERT INTO nowhere VALUES (1)", "op": "execute", "swallow": true });
    // Each action inserts a name of its own: two transactions that insert the same name would wait for each other.
    let table = [
        ("an error", json!({ "fail": "as asked" }), "failed: as asked"),
        ("a trap", json!({ "panic": true }), "trapped"),
        ("a mark", json!({ "mark_rollback": true }), "requested a rollback of its own transaction"),
        ("a doomed transaction", broken, "a failed statement was not undone by a savepoint"),
        ("a time-out", json!({ "sleep_ms": 60000 }), "did not answer within 5s"),
    ];
    let table = table.map(|(what, end, why)| (what, json!([put(what), end]), why));
    let mut wrong = Wrong::default();
    let expected = i64::try_from(table.len())?;
    for (what, script, _) in &table {
        results(&app, "POST", &json!([durable(what, &running(script.clone()))])).await?;
    }
    for (what, _, why) in &table {
        let is_it = |line: &Json| line["name"] == *what && line["message"] == "an action failed; it will be run again";
        let line = app.log.wait_until(what, is_it).await?;
        let error = line["error"].as_str().unwrap_or_default();
        check_eq!(wrong, error.contains(why), true, "{what}: {error}");
    }
    check_eq!(wrong, (names(&app).await?.as_str(), recorded(&app).await?), ("", expected), "nothing is written");
    // The same outcomes for actions that are not repeated.
    for (what, script, _) in table.iter().filter(|(what, ..)| *what != "a time-out") {
        let action = json!({ "after_commit": what, "payload": running(script.clone()) });
        check_eq!(wrong, send(&app, "POST", &json!([action])).await?.status, 200, "{what}");
    }
    check_eq!(wrong, names(&app).await?, "", "nothing is written");
    Ok(())
}

/// An action that succeeds at its second delivery has an effect once. The name is unique, so the second delivery would
/// fail if the first had left its row.
async fn a_repeated_action_writes_once(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    results(&app, "POST", &json!([durable("fail-once", &running(json!([put("x")])))])).await?;
    app.log.wait_for("an action failed; it will be run again").await?;
    until_recorded(&app, 0).await?;
    assert_eq!(names(&app).await?, "x");
    Ok(())
}

/// If another delivery takes an action while it runs, only one of them writes.
async fn a_delivery_that_lost_its_lease_is_rolled_back(engine: Engine) -> Result {
    let app = serve(engine, "CREATE TABLE t (name VARCHAR(100))").await?;
    let script = json!([{ "sleep_ms": 1500 }, put("x")]);
    results(&app, "POST", &json!([durable("slow", &running(script))])).await?;
    let taken = format!("SELECT count(*) FROM {} WHERE attempts = 1", app.outbox());
    eventually("the action has begun", async || Ok(app.number(&taken).await? == 1)).await?;
    make_due(&app).await?;
    app.log.wait_for("another delivery of an action has begun").await?;
    until_recorded(&app, 0).await?;
    assert_eq!(names(&app).await?, "x");
    Ok(())
}

async fn actions_register_further_durable_actions(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    // Each action registers the next one: ten, of which the last two are too deep.
    let mut payload = running(json!([put("10")]));
    for depth in (1..10).rev() {
        let next = json!({ "after_commit": format!("a{}", depth + 1), "payload": payload, "delivery": "at-least-once", "swallow": true });
        payload = running(json!([put(&depth.to_string()), next]));
    }
    let answer = send(&app, "POST", &json!([durable("a1", &payload)])).await?;
    let request = answer.header("x-request-id").to_owned();
    let last = app.log.wait_for("action a8 {").await?;
    assert_eq!(last["request"], json!(request), "all actions have the request of the first one");
    let told = last["message"].as_str().unwrap_or_default();
    assert!(told.contains("\"kind\":\"limit\"") && told.contains("at most 8 actions"), "{told}");
    until_recorded(&app, 0).await?;
    assert_eq!(names(&app).await?, "1 2 3 4 5 6 7 8");
    Ok(())
}

async fn actions_register_no_other_actions(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let script = json!([
        { "after_commit": "x", "swallow": true },
        { "after_rollback": "y", "swallow": true },
        { "savepoint": [durable("z", "")], "end": "rollback" },
    ]);
    let action = json!({ "after_commit": "a", "payload": running(script) });
    let answer = send(&app, "POST", &json!([action])).await?;
    assert_eq!((answer.status, answer.steps().as_str()), (200, "start, inside, commit, a, clear"));
    let ran = app.log.wait_for("action a {").await?;
    let told = ran["message"].as_str().unwrap_or_default();
    assert_eq!(told.matches("\"kind\":\"forbidden\"").count(), 2, "{told}");
    assert_eq!(recorded(&app).await?, 0);
    Ok(())
}

on_each_engine! {
    every_action_writes_in_a_transaction_of_its_own,
    a_failed_login_is_audited,
    a_failed_action_is_rolled_back_and_stays_in_the_outbox,
    a_repeated_action_writes_once,
    a_delivery_that_lost_its_lease_is_rolled_back,
    actions_register_further_durable_actions,
    actions_register_no_other_actions,
}
