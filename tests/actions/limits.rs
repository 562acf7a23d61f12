//! Limits of the time that actions take, and of the number of their deliveries.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{SCHEMA, after_commit, durable, insert, make_due, ran, recorded, running, until_recorded};
use crate::{
    script::{config, results, send, serve_with},
    support::{App, Engine, Result, on_each_engine},
};

/// The response waits for at-most-once actions for at most `action_timeout`. Their transactions are rolled back, and
/// the actions that did not run are logged by name.
async fn actions_hold_the_response_for_a_limited_time(engine: Engine) -> Result {
    let app = serve_with(engine, SCHEMA, "[server]\naction_timeout = \"700ms\"\n").await?;
    let slow = running(json!([insert(), { "sleep_ms": 60000 }]));
    let script =
        json!([after_commit("a", "1"), after_commit("slow", &slow), after_commit("b", "2"), after_commit("c", "")]);
    let begun = Instant::now();
    let answer = send(&app, "POST", &script).await?;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.steps().as_str()), (200, "start, inside, commit, a, slow, clear"));
    let request = json!(answer.header("x-request-id"));
    let is_cut = |line: &Json| line["name"] == "slow" && line["error"] == "server.action_timeout was over";
    assert_eq!(app.log.wait_until("the action that was cut off", is_cut).await?["request"], request);
    let left = app.log.wait_for("actions did not run").await?;
    assert_eq!((&left["names"], &left["request"]), (&json!("b, c"), &request));
    assert_eq!((ran(&app), app.number("SELECT count(*) FROM t").await?), (vec!["a 1".to_owned()], 0));
    Ok(())
}

async fn an_action_that_fails_too_often_is_dead(engine: Engine) -> Result {
    let app = serve_with(engine, SCHEMA, "[database]\nmax_attempts = 2\n[server]\nmetrics = \"127.0.0.1:0\"\n").await?;
    results(&app, "POST", &json!([durable("fail", ""), durable("fine", "1")])).await?;
    app.log.wait_for("an action failed; it will be run again").await?;
    until_recorded(&app, 1).await?;
    make_due(&app).await?;
    let line = app.log.wait_for("is dead; run it again by `carya outbox retry`").await?;
    assert_eq!((&line["name"], &line["attempt"]), (&json!("fail"), &json!(2)));
    let states = app.texts(&format!("SELECT concat(name, ' ', state, ' ', attempts) FROM {}", app.outbox())).await?;
    assert_eq!(states, ["fail dead 2"]);
    let series = |name: &str| format!("carya_outbox_{name}{{database=\"default\"");
    let shown = crate::support::eventually("the dead action is counted", async || {
        Ok(app.metric(&format!("{}}}", series("dead"))).await? == 1)
    });
    shown.await?;
    assert_eq!(app.metric(&format!("{}}}", series("pending"))).await?, 0);
    assert_eq!(app.metric(&format!("{},result=\"failed\"}}", series("deliveries_total"))).await?, 2);
    assert_eq!(app.metric(&format!("{},result=\"succeeded\"}}", series("deliveries_total"))).await?, 1);
    Ok(())
}

/// An action that kills each host that runs it is dead at last.
async fn an_action_that_never_ends_is_dead(engine: Engine) -> Result {
    let limit = "[database]\nmax_attempts = 2\n";
    let mut app = serve_with(engine, SCHEMA, limit).await?;
    results(&app, "POST", &json!([durable("sleep", "60000"), durable("later", "1")])).await?;
    for attempts in 1..=2 {
        let taken = format!("SELECT count(*) FROM {} WHERE attempts = {attempts}", app.outbox());
        crate::support::eventually("the action has begun", async || Ok(app.number(&taken).await? == 1)).await?;
        let client = app.client()?;
        let outbox = app.outbox();
        let folder = app.kill().await?;
        client.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
        let files = [("migrations/0001_tables.sql", SCHEMA)];
        app = App::start_in(folder, &format!("{}{limit}", config()), &files, &[]).await?;
    }
    let line = app.log.wait_for("is dead").await?;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("none of its deliveries has ended")), "{line}");
    app.log.wait_for("action later 1").await?;
    until_recorded(&app, 1).await?;
    assert_eq!(recorded(&app).await?, 1);
    Ok(())
}

on_each_engine! {
    actions_hold_the_response_for_a_limited_time,
    an_action_that_fails_too_often_is_dead,
    an_action_that_never_ends_is_dead,
}
