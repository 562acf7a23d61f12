//! Actions run in order, after the commit or the rollback of the request that registered them. An at-least-once action
//! is never lost.

mod kills;
mod limits;
mod operate;
mod order;
mod owner;
mod stress;
mod upgrade;
mod writes;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{
    script::{config, kind, results, send, serve},
    support::{App, Engine, Result, Wrong, check, check_eq, eventually, guest, on_each_engine},
};

const SCHEMA: &str = "CREATE TABLE t (name VARCHAR(100) UNIQUE)";

fn after_commit(name: &str, payload: &str) -> Json {
    json!({ "after_commit": name, "payload": payload, "swallow": true })
}

fn durable(name: &str, payload: &str) -> Json {
    json!({ "after_commit": name, "payload": payload, "delivery": "at-least-once" })
}

/// Returns the payload of an action that runs a script.
fn running(script: Json) -> String {
    json!({ "script": script }).to_string()
}

fn after_rollback(name: &str, payload: &str) -> Json {
    json!({ "after_rollback": name, "payload": payload, "swallow": true })
}

fn insert() -> Json {
    json!({ "sql": "INSERT INTO t VALUES ('x')", "op": "execute" })
}

/// Returns the lines that actions wrote to the log, in order.
fn ran(app: &App) -> Vec<String> {
    let lines = app.log.lines();
    let messages = lines.iter().filter_map(|line| line["message"].as_str());
    messages.filter_map(|message| message.strip_prefix("action ")).map(str::to_owned).collect()
}

/// Sends a request and waits for its line in the log. Then the log contains all lines that were written before.
async fn settle(app: &App) -> Result {
    let id = results(app, "GET", &json!([{ "echo": true }])).await?[0]["id"].clone();
    app.log.wait_until("the end of a request", |line| line["request"] == id && line["message"] == "request").await?;
    Ok(())
}

async fn again(folder: TempDir) -> Result<App> {
    App::start_in(folder, &config(), &[("migrations/0001_tables.sql", SCHEMA)], &[]).await
}

/// Returns the number of actions in the outbox.
async fn recorded(app: &App) -> Result<i64> {
    app.number(&format!("SELECT count(*) FROM {}", app.outbox())).await
}

/// Waits until the outbox contains `count` actions.
async fn until_recorded(app: &App, count: i64) -> Result {
    eventually("the actions are delivered", async || Ok(recorded(app).await? == count)).await
}

async fn make_due(app: &App) -> Result {
    app.execute(&format!("UPDATE {} SET due_at = 0", app.outbox())).await
}

async fn actions_run_for_their_outcome_in_order(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let (a, b, d) = (after_commit("a", "1"), after_commit("b", "2"), durable("d", "4"));
    let (r, s) = (after_rollback("r", "3"), after_rollback("s", "5"));
    let undone = json!({ "savepoint": [a, r, d], "end": "rollback" });
    let kept = json!({ "savepoint": [b], "end": "drop" });
    let failed = json!({ "sql": "nonsense", "swallow": true });
    let table = [
        // The request does not wait for the durable action.
        (json!([b, r, a, s, d]), 200, "start, inside, commit, b, a, clear"),
        (json!([b, r, d, a, s, insert()]), 200, "start, inside, commit, b, a, clear"),
        (json!([r, a, s, { "fail": "as asked" }]), 500, "start, rollback, r, s, clear"),
        (json!([s, a, d, r, { "mark_rollback": true }]), 200, "start, inside, rollback, s, r, clear"),
        (json!([s, a, failed]), 500, "start, rollback, s, clear"),
        (json!([s, a, d, { "answer": { "status": 409 } }]), 409, "start, inside, rollback, s, clear"),
        (json!([s, { "panic": true }]), 500, "start, rollback, s, clear"),
        (json!([a, undone, kept]), 200, "start, inside, commit, a, b, clear"),
        (json!([s, undone, { "fail": "as asked" }]), 500, "start, rollback, s, clear"),
        (json!([{ "savepoint": [a, failed], "end": "rollback" }, b]), 200, "start, inside, commit, b, clear"),
    ];
    let mut expected = Vec::new();
    let mut wrong = Wrong::default();
    for (script, status, steps) in table {
        let answer = send(&app, "POST", &script).await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (status, steps), "{script}: {}", answer.text());
        until_recorded(&app, 0).await?;
        expected.extend(steps.split(", ").filter_map(|step| {
            let payload = [("a", 1), ("b", 2), ("r", 3), ("s", 5)].into_iter().find(|(name, _)| *name == step);
            payload.map(|(name, payload)| format!("{name} {payload}"))
        }));
        app.execute("DELETE FROM t").await?;
    }
    settle(&app).await?;
    let (durable, others): (Vec<_>, Vec<_>) = ran(&app).into_iter().partition(|action| action == "d 4");
    assert_eq!((durable.len(), others), (2, expected));
    Ok(())
}

async fn a_failed_action_is_logged_and_the_next_ones_run(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let script = json!([after_commit("fail", ""), insert(), after_commit("panic", ""), after_commit("last", "7")]);
    let answer = send(&app, "POST", &script).await?;
    let id = answer.header("x-request-id").to_owned();
    assert_eq!((answer.status, answer.steps().as_str()), (200, "start, inside, commit, fail, panic, last, clear"));
    assert_eq!(app.number("SELECT count(*) FROM t").await?, 1);
    settle(&app).await?;
    assert_eq!(ran(&app), ["last 7"]);
    let mut wrong = Wrong::default();
    for (name, why) in [
        ("fail", "component `probe` failed: the action fails"),
        ("panic", "component `probe` trapped"),
        ("panic", "the action panics"),
    ] {
        let is_it = |line: &Json| line["name"] == name && line["message"] == "an action failed";
        let line = app.log.wait_until(name, is_it).await?;
        check_eq!(
            wrong,
            (&line["request"], &line["level"], &line["attempt"]),
            (&json!(id), &json!("ERROR"), &json!(1)),
            "{name:?} {why:?}"
        );
        check!(wrong, line["error"].as_str().is_some_and(|error| error.contains(why)), "{name:?} {why:?}: {line}");
    }
    Ok(())
}

async fn a_durable_action_is_repeated_until_it_succeeds(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let answer = send(&app, "POST", &json!([insert(), durable("fail-once", "7"), durable("fine", "8")])).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let request = json!(answer.header("x-request-id"));
    let failed = app.log.wait_for("an action failed; it will be run again").await?;
    assert_eq!((&failed["name"], &failed["request"], &failed["attempt"]), (&json!("fail-once"), &request, &json!(1)));
    let repeated = app.log.wait_for("action fail-once 7").await?;
    assert_eq!((&repeated["request"], &repeated["component"]), (&request, &json!("probe")));
    until_recorded(&app, 0).await?;
    settle(&app).await?;
    let mut ran = ran(&app);
    ran.sort();
    assert_eq!(ran, ["fail-once 7", "fine 8"], "each once");
    Ok(())
}

async fn attempts_of_a_failing_action_are_counted(engine: Engine) -> Result {
    let mut app = serve(engine, SCHEMA).await?;
    results(&app, "POST", &json!([durable("fail", "")])).await?;
    app.log.wait_for("an action failed").await?;
    let (database, outbox) = (app.client()?, app.outbox());
    for attempt in 2..4 {
        // Once the host is killed, so that no delivery of the killed host has a lease.
        let folder = app.kill().await?;
        database.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
        app = again(folder).await?;
        let is_it = |line: &Json| line["name"] == "fail" && line["attempt"] == attempt;
        app.log.wait_until("the attempt", is_it).await?;
        assert_eq!(app.number(&format!("SELECT attempts FROM {}", app.outbox())).await?, attempt);
    }
    Ok(())
}

async fn a_host_that_is_killed_before_an_action_runs_it_after_its_restart(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let script = json!([insert(), durable("sleep", "1000"), durable("later", "9")]);
    let answer = send(&app, "POST", &script).await?;
    let request = answer.header("x-request-id").to_owned();
    let (database, outbox) = (app.client()?, app.outbox());
    let taken = format!("SELECT count(*) FROM {outbox} WHERE attempts = 1");
    eventually("the first action has begun", async || Ok(database.number(&taken).await? == 1)).await?;
    let folder = app.kill().await?;
    database.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
    let app = again(folder).await?;
    assert_eq!(app.number("SELECT count(*) FROM t").await?, 1, "what was committed is there");
    for action in ["action sleep 1000", "action later 9"] {
        assert_eq!(app.log.wait_for(action).await?["request"], request);
    }
    until_recorded(&app, 0).await?;
    settle(&app).await?;
    assert_eq!(ran(&app), ["sleep 1000", "later 9"], "each once");
    Ok(())
}

/// Two requests may have the same id. The host keeps the actions of both.
async fn a_repeated_request_id_loses_no_action(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("twice"));
    for _ in 0..2 {
        let answer = app.send("POST", "/x", headers.clone(), json!([durable("fail", "")]).to_string()).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(app.number(&format!("SELECT count(DISTINCT id) FROM {}", app.outbox())).await?, 2);
    Ok(())
}

async fn registering_has_limits(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let table = [
        (json!(after_commit("fine", &"x".repeat((64 << 10) - 4))), "ok"),
        (json!(after_commit("fine", &"x".repeat(64 << 10))), "limit"),
        (json!(after_rollback(&"x".repeat((64 << 10) + 1), "")), "limit"),
    ];
    let mut wrong = Wrong::default();
    for (step, expected) in table {
        let got = results(&app, "POST", &json!([step])).await?;
        check_eq!(wrong, kind(&got[0]), expected, "{step:?}: {got}");
    }
    let many: Vec<_> =
        (0..101).map(|n| if n % 2 == 0 { after_commit("n", "") } else { after_rollback("n", "") }).collect();
    let got = results(&app, "POST", &json!(many)).await?;
    let kinds: Vec<_> = (0..101).map(|n| kind(&got[n])).collect();
    assert!(kinds[..100].iter().all(|kind| kind == "ok") && kinds[100] == "limit", "{kinds:?}");
    let answer = send(&app, "GET", &json!([after_commit("n", "")])).await?;
    assert_eq!(answer.status, 500, "a reader has no actions");
    Ok(())
}

/// The test renames the export `actions` in the component `probe`, so that the component no longer exports `actions`.
async fn a_component_without_actions_cannot_register_any(engine: Engine) -> Result {
    let folder = engine.folder().await?;
    let mut code = std::fs::read(guest("probe"))?;
    let (name, other) = (b"carya:host/actions@0.2.0", b"carya:host/inertia@0.2.0");
    let places: Vec<_> = (0..code.len() - name.len()).filter(|&at| code[at..].starts_with(name)).collect();
    places.into_iter().for_each(|at| code[at..at + name.len()].copy_from_slice(other));
    std::fs::write(folder.path().join("inert.wasm"), code)?;
    let config = config().replace("{guest:probe}", "inert.wasm");
    let app = App::start_in(folder, &config, &[("migrations/0001_tables.sql", SCHEMA)], &[]).await?;
    let script = json!([insert(), after_commit("a", ""), after_rollback("r", "")]);
    let got = results(&app, "POST", &script).await?;
    assert_eq!((kind(&got[1]).as_str(), kind(&got[2]).as_str()), ("forbidden", "forbidden"), "{got}");
    assert!(got[1]["error"]["message"].as_str().is_some_and(|message| message.contains("`actions`")), "{got}");
    assert_eq!(app.number("SELECT count(*) FROM t").await?, 1, "the refusal is no failed statement");
    Ok(())
}

on_each_engine! {
    actions_run_for_their_outcome_in_order,
    a_failed_action_is_logged_and_the_next_ones_run,
    a_durable_action_is_repeated_until_it_succeeds,
    attempts_of_a_failing_action_are_counted,
    a_host_that_is_killed_before_an_action_runs_it_after_its_restart,
    a_repeated_request_id_loses_no_action,
    registering_has_limits,
    a_component_without_actions_cannot_register_any,
}
