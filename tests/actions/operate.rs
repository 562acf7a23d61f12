//! `carya outbox`: lists, shows, retries and removes actions.

use serde_json::{Value as Json, json};

use super::{SCHEMA, durable, recorded, until_recorded};
use crate::{
    script::{results, serve_with},
    support::{App, Engine, PATIENCE, Result, carya, eventually, on_each_engine},
};

/// Runs `carya outbox`. Returns the exit code, and standard output or else standard error.
async fn outbox(app: &App, args: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = carya();
    command.arg("outbox").args(args).current_dir(app.folder.path());
    command.env("CARYA_DATABASE__URL", app.database_url.as_deref().unwrap_or("sqlite://app.sqlite"));
    let output = tokio::time::timeout(PATIENCE, command.env("CARYA_LOG", "off").output()).await??;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok((output.status.code(), String::from_utf8(text)?))
}

async fn actions_are_listed_retried_and_removed(engine: Engine) -> Result {
    let app = serve_with(engine, SCHEMA, "[database]\nmax_attempts = 1\n").await?;
    assert_eq!(outbox(&app, &["list"]).await?, (Some(0), "the outbox is empty\n".to_owned()));
    let long = format!("5\u{1b}[31m{}", "x".repeat(100));
    results(&app, "POST", &json!([durable("fail-once", "7"), durable("fail", &long), durable("fine", "8")])).await?;
    let dead = format!("SELECT count(*) FROM {} WHERE state = 'dead'", app.outbox());
    eventually("two actions are dead", async || Ok(app.number(&dead).await? == 2)).await?;
    until_recorded(&app, 2).await?;

    let (code, text) = outbox(&app, &["list", "--dead", "--json"]).await?;
    let listed: Json = serde_json::from_str(&text)?;
    assert_eq!((code, listed.as_array().map(Vec::len)), (Some(0), Some(2)), "{text}");
    let ids: Vec<_> = (0..2).map(|n| listed[n]["id"].as_str().unwrap_or_default().to_owned()).collect();
    let expected = json!({
        "database": "default", "component": "probe", "name": "fail-once", "payload": "7", "state": "dead",
        "attempts": 1, "due_in_ms": null
    });
    for (key, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(listed[0][key], *value, "{key}: {text}");
    }
    app.log.wait_until("the log has the id", |line| line["id"] == ids[0] && line["name"] == "fail-once").await?;
    let (_, text) = outbox(&app, &["list"]).await?;
    assert!(text.lines().count() == 2 && text.contains("probe.fail-once") && !text.contains('\u{1b}'), "{text:?}");
    let (_, text) = outbox(&app, &["show", &ids[1]]).await?;
    assert!(
        text.contains("state      dead") && text.contains(&"x".repeat(100)) && !text.contains('\u{1b}'),
        "{text:?}"
    );

    // A retried action begins with attempt 1 again, so `fail-once` would fail again: make it another one.
    app.execute(&format!("UPDATE {} SET name = 'again' WHERE id = '{}'", app.outbox(), ids[0])).await?;
    assert_eq!(outbox(&app, &["retry", &ids[0]]).await?, (Some(0), "1 action will be run again\n".to_owned()));
    app.log.wait_for("action again 7").await?;
    until_recorded(&app, 1).await?;
    assert_eq!(outbox(&app, &["drop", &ids[1]]).await?, (Some(0), "1 action removed\n".to_owned()));
    assert_eq!(recorded(&app).await?, 0);
    assert_eq!(outbox(&app, &["drop", "--all-dead"]).await?, (Some(0), "0 actions removed\n".to_owned()));
    for args in [&["drop", &*ids[1]][..], &["show", &*ids[1]], &["retry", "nothing"]] {
        let (code, text) = outbox(&app, args).await?;
        assert!(code == Some(1) && text.contains("there is no"), "{args:?}: {text}");
    }
    for args in [&["drop"][..], &["retry"], &["drop", "--all-dead", "1"], &["show"]] {
        assert_eq!(outbox(&app, args).await?.0, Some(2), "{args:?}");
    }
    let (code, text) = outbox(&app, &["list", "--database", "nothing"]).await?;
    assert!(code == Some(1) && text.contains("there is no [database.nothing]"), "{text}");
    Ok(())
}

on_each_engine! {
    actions_are_listed_retried_and_removed,
}
