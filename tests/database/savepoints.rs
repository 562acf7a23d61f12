//! Failed statements and savepoints: the writes that remain in the database after the request.

use serde_json::{Value as Json, json};

use crate::{
    script::{send, serve},
    support::{Engine, Result, Wrong, check_eq, on_each_engine},
};

const SCHEMA: &str = "CREATE TABLE t (name VARCHAR(100) UNIQUE)";

fn insert(name: &str) -> Json {
    json!({ "sql": "INSERT INTO t VALUES (?)", "params": [name], "op": "execute" })
}

/// A failing statement with an error that the guest ignores.
fn swallowed() -> Json {
    json!({ "sql": "INSERT INTO no_such_table VALUES (1)", "op": "execute", "swallow": true })
}

fn savepoint(end: &str, steps: &[Json]) -> Json {
    json!({ "savepoint": steps, "end": end, "swallow": true })
}

/// Compares the status of each script, and the names in the table after the request. If a request fails, the table
/// stays empty.
async fn savepoints_keep_and_roll_back(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let (a, b, c) = (insert("a"), insert("b"), insert("c"));
    let deep = (0..16).fold(vec![b.clone()], |inner, _| vec![savepoint("drop", &inner)]);
    let table: Vec<(&str, Json, u16, &[&str])> = vec![
        ("nothing failed", json!([a, b]), 200, &["a", "b"]),
        ("swallowed", json!([a, swallowed()]), 500, &[]),
        ("swallowed, then more", json!([swallowed(), insert("a")]), 500, &[]),
        ("a constraint", json!([a, savepoint("drop", std::slice::from_ref(&a))]), 500, &[]),
        ("kept savepoint", json!([a, savepoint("drop", std::slice::from_ref(&b)), c]), 200, &["a", "b", "c"]),
        ("undone savepoint", json!([a, savepoint("rollback", std::slice::from_ref(&b)), c]), 200, &["a", "c"]),
        ("leaked savepoint", json!([a, savepoint("leak", std::slice::from_ref(&b)), c]), 200, &["a", "b", "c"]),
        ("undone failure", json!([a, savepoint("rollback", &[b.clone(), swallowed()]), c]), 200, &["a", "c"]),
        ("kept failure", json!([a, savepoint("drop", &[b.clone(), swallowed()])]), 500, &[]),
        ("leaked failure", json!([a, savepoint("leak", &[swallowed()])]), 500, &[]),
        (
            "failure kept inside, undone outside",
            json!([a, savepoint("rollback", &[savepoint("drop", &[b.clone(), swallowed()])]), c]),
            200,
            &["a", "c"],
        ),
        (
            "failure leaked inside, undone outside",
            json!([a, savepoint("rollback", &[savepoint("leak", &[b.clone(), swallowed()])]), c]),
            200,
            &["a", "c"],
        ),
        (
            "failure outside, undone inside",
            json!([a, savepoint("drop", &[swallowed(), savepoint("rollback", &[])])]),
            500,
            &[],
        ),
        (
            "undone inside, kept outside",
            json!([a, savepoint("drop", &[b.clone(), savepoint("rollback", &[swallowed()])]), c]),
            200,
            &["a", "b", "c"],
        ),
        (
            "twice",
            json!([savepoint("rollback", &[swallowed()]), a, savepoint("rollback", &[swallowed()]), b]),
            200,
            &["a", "b"],
        ),
        (
            "leaked savepoint inside one that is undone",
            json!([a, savepoint("rollback", &[savepoint("leak", std::slice::from_ref(&b))]), c]),
            200,
            &["a", "c"],
        ),
        ("sixteen deep", json!(deep), 200, &["b"]),
        ("seventeen deep", json!([savepoint("drop", &deep)]), 200, &[]),
        ("mark-rollback", json!([a, { "mark_rollback": true }, b]), 200, &[]),
        (
            "mark-rollback in a savepoint",
            json!([a, savepoint("rollback", &[json!({ "mark_rollback": true })])]),
            200,
            &[],
        ),
        ("mark-rollback and a failure", json!([{ "mark_rollback": true }, swallowed()]), 200, &[]),
        ("a failure of the guest's own", json!([a, { "fail": "as asked" }]), 500, &[]),
        ("a panic", json!([a, savepoint("drop", &[json!({ "panic": true })])]), 500, &[]),
    ];
    let mut wrong = Wrong::default();
    for (what, script, status, expected) in table {
        let answer = send(&app, "POST", &script).await?;
        check_eq!(wrong, answer.status, status, "{what}: {}", answer.text());
        check_eq!(wrong, app.texts("SELECT name FROM t ORDER BY name").await?, expected, "{what}: {}", answer.text());
        app.execute("DELETE FROM t").await?;
    }
    Ok(())
}

async fn a_doomed_transaction_reports_the_reason(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let script = json!([swallowed(), { "sql": "SELECT 1", "swallow": true }, { "mark_rollback": true }]);
    let answer = send(&app, "POST", &script).await?;
    assert_eq!(answer.status, 200, "the answer of a guest that asks for the rollback itself is kept");
    let refusal = &answer.json()?[1]["error"];
    assert_eq!(refusal["kind"], "other");
    assert!(refusal["message"].to_string().contains("doomed by a failed statement: "), "{refusal}");

    let answer = send(&app, "POST", &json!([swallowed()])).await?;
    let id = answer.header("x-request-id").to_owned();
    assert_eq!((answer.status, answer.json()?["detail"].as_str()), (500, Some("Something went wrong.")));
    assert!(!answer.text().contains("no_such_table"), "{}", answer.text());
    let line = app.log.wait_for("a failed statement was not undone by a savepoint: ").await?;
    assert_eq!((&line["request"], &line["level"], &line["fault"]), (&json!(id), &json!("ERROR"), &json!("database")));
    Ok(())
}

on_each_engine! { savepoints_keep_and_roll_back, a_doomed_transaction_reports_the_reason }
