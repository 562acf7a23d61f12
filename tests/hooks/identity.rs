//! The identity of the client: a hook outside the transaction sets it once, and all guests read it.

use serde_json::{Value as Json, json};

use super::{components, global, route};
use crate::{
    script::{play, start},
    support::{Engine, Response, Result, Wrong, check, check_eq},
};

/// Sends a request that reads the identity, to an application with these hooks.
async fn echo(hooks: &[(&str, &str, &str)], places: &[&str]) -> Result<(Response, Json)> {
    let app = start(Engine::Sqlite, &(components(hooks) + &global(places) + &route("/", ""))).await?;
    let answer = play(&app, "POST", "/", &json!([{ "echo": true, "claim": ["role", "level", "other"] }])).await?;
    let error = app.log.lines().into_iter().rfind(|line| line["level"] == "ERROR").unwrap_or_default();
    Ok((answer, error["message"].clone()))
}

#[tokio::test]
async fn a_hook_outside_the_transaction_sets_the_identity() -> Result {
    let mut wrong = Wrong::default();
    for (phase, place) in [("on_route", "ann@1"), ("on_route", "ann@200"), ("before", "ann@99")] {
        let (answer, _) = echo(&[("ann", "trace-hook", &format!("{phase} = \"identify\""))], &[place]).await?;
        let got = &answer.json()?[0];
        check_eq!(wrong, got["subject"], json!("ann"), "{phase} {place}");
        check_eq!(wrong, got["claims"], json!("{\"role\": \"admin\", \"level\": 1.50}"), "{phase} {place}");
        let claims = json!({ "role": "\"admin\"", "level": "1.50", "other": null });
        check_eq!(wrong, got["claim"], claims, "{phase} {place}");
    }
    let (answer, _) = echo(&[], &[]).await?;
    let got = &answer.json()?[0];
    let nothing = json!({ "role": null, "level": null, "other": null });
    check_eq!(wrong, (&got["subject"], &got["claims"]), (&json!(null), &json!(null)), "without a hook");
    check_eq!(wrong, got["claim"], nothing, "without a hook");
    Ok(())
}

#[tokio::test]
async fn the_identity_is_set_once_and_only_outside() -> Result {
    let identify = "before = \"identify\"";
    let (a, b) = (("a", "trace-hook", identify), ("b", "trace-hook", identify));
    let table = [
        (vec![a], vec!["a@100"], "only an `on-route` hook and a `before` hook outside the transaction can set"),
        (vec![a, b], vec!["a@1", "b@2"], "the identity of this request is set already"),
    ];
    let mut wrong = Wrong::default();
    for (hooks, places, expected) in table {
        let (answer, error) = echo(&hooks, &places).await?;
        check_eq!(wrong, answer.status, 500, "{places:?}");
        check!(wrong, error.to_string().contains(expected), "{places:?}: {error}");
    }
    Ok(())
}
