//! The order of durable actions: first deliveries of one request run one after the other, also with several hosts.

use serde_json::json;

use super::{SCHEMA, durable, ran, running, settle, until_recorded};
use crate::{
    script::{config, results, serve},
    support::{App, Engine, Result, on_each_engine},
};

/// Six slow actions of one request, two workers on each of two hosts.
async fn actions_of_a_request_run_one_after_the_other(engine: Engine) -> Result {
    let app = serve(engine, "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100))").await?;
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite://{}", app.folder.path().join("app.sqlite").display());
    let url = app.database_url.clone().unwrap_or(file);
    let files = [("migrations/0001_tables.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100))")];
    let other = App::start_in(folder, &config(), &files, &[("CARYA_DATABASE__URL", &url)]).await?;
    let number = |n: i64| {
        running(json!([
            { "sleep_ms": 60 - 10 * n },
            { "sql": format!("INSERT INTO t SELECT coalesce(max(id), 0) + 1, '{n}' FROM t"), "op": "execute" },
        ]))
    };
    let script: Vec<_> = (0..6).map(|n| durable(&format!("a{n}"), &number(n))).collect();
    results(&app, "POST", &json!(script)).await?;
    until_recorded(&app, 0).await?;
    assert_eq!(app.texts("SELECT name FROM t ORDER BY id").await?.join(""), "012345");
    drop(other);
    Ok(())
}

async fn a_failing_action_does_not_hold_back_later_ones(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    results(
        &app,
        "POST",
        &json!([durable("fail", "1"), durable("b", "2"), durable("fail-once", "3"), durable("d", "4")]),
    )
    .await?;
    until_recorded(&app, 2).await?;
    settle(&app).await?;
    assert_eq!(ran(&app), ["b 2", "d 4"]);
    Ok(())
}

on_each_engine! {
    actions_of_a_request_run_one_after_the_other,
    a_failing_action_does_not_hold_back_later_ones,
}
