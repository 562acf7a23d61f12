//! Failed statements and savepoints: the writes that remain in the database after the request.

use serde_json::{Value as Json, json};

use crate::{
    script::{send, serve},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
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

/// A description, a script, and the expected status and names in the table after the request.
type Case<'a> = (&'a str, Json, u16, &'a [&'a str]);

/// Sends each script, and compares its status and the names in the table afterwards.
async fn compare(app: &App, table: Vec<Case<'_>>) -> Result<Wrong> {
    let mut wrong = Wrong::default();
    for (what, script, status, expected) in table {
        let answer = send(app, "POST", &script).await?;
        check_eq!(wrong, answer.status, status, "{what}: {}", answer.text());
        check_eq!(wrong, app.texts("SELECT name FROM t ORDER BY name").await?, expected, "{what}: {}", answer.text());
        app.execute("DELETE FROM t").await?;
    }
    Ok(wrong)
}

/// If a request fails, the table stays empty.
async fn savepoints_keep_and_roll_back(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let (a, b, c) = (insert("a"), insert("b"), insert("c"));
    let deep = (0..16).fold(vec![b.clone()], |inner, _| vec![savepoint("drop", &inner)]);
    let table: Vec<Case<'_>> = vec![
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
    compare(&app, table).await.map(drop)
}

fn sql(text: &str) -> Json {
    json!({ "sql": text, "op": "execute" })
}

/// The statements of object-relational mappers, which nest transactions by text.
async fn savepoints_can_be_written_as_sql(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let (a, b, c, open) = (insert("a"), insert("b"), insert("c"), sql("SAVEPOINT x"));
    let failed = swallowed();
    let table: Vec<Case<'_>> = vec![
        ("released", json!([a, open, b, sql("RELEASE SAVEPOINT x"), c]), 200, &["a", "b", "c"]),
        ("left open", json!([a, open, b]), 200, &["a", "b"]),
        ("undone", json!([a, open, b, sql("ROLLBACK TO SAVEPOINT X"), c]), 200, &["a", "c"]),
        ("undone twice", json!([open, a, sql("ROLLBACK TO x"), b, sql("rollback to x;"), c]), 200, &["c"]),
        ("undone failure", json!([a, open, failed, sql("ROLLBACK TO x"), b, sql("RELEASE x")]), 200, &["a", "b"]),
        ("released after a rollback", json!([open, a, sql("ROLLBACK TO x"), sql("RELEASE x"), b]), 200, &["b"]),
        (
            "nested",
            json!([open, a, sql("SAVEPOINT y"), b, sql("ROLLBACK TO y"), c, sql("RELEASE x")]),
            200,
            &["a", "c"],
        ),
        ("the outer closes the inner", json!([open, sql("SAVEPOINT y"), sql("RELEASE x"), sql("RELEASE y")]), 500, &[]),
        (
            "the last of one name",
            json!([open, a, open, b, sql("ROLLBACK TO x"), sql("RELEASE x"), sql("RELEASE x")]),
            200,
            &["a"],
        ),
        ("unknown", json!([a, sql("RELEASE z")]), 500, &[]),
        ("failure outside", json!([failed, json!({ "sql": "SAVEPOINT x", "swallow": true })]), 500, &[]),
        (
            "inside one of a resource",
            json!([savepoint("rollback", &[a.clone(), open.clone(), b.clone()]), c]),
            200,
            &["c"],
        ),
        ("run", json!([{ "sql": "SAVEPOINT x", "op": "run" }, a, { "sql": "ROLLBACK TO x" }, b]), 200, &["b"]),
    ];
    let mut wrong = compare(&app, table).await?;
    // A doomed transaction cannot release, but the savepoint stays open.
    let script = json!([open, failed, { "sql": "RELEASE x", "swallow": true }, sql("ROLLBACK TO x"), a]);
    let answer = send(&app, "POST", &script).await?;
    check_eq!(wrong, answer.status, 200, "{}", answer.text());
    let message = answer.json()?[2]["error"]["message"].to_string();
    check!(wrong, message.contains("doomed by a failed statement"), "{message}");
    let answer = send(&app, "GET", &json!([{ "sql": "SAVEPOINT x", "swallow": true }])).await?;
    check_eq!(wrong, answer.json()?[0]["error"]["kind"], json!("forbidden"), "{}", answer.text());
    Ok(())
}

/// `release` and `rollback-to` of the resource.
async fn savepoints_report_their_end(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let (a, b) = (insert("a"), insert("b"));
    let table: Vec<Case<'_>> = vec![
        ("released", json!([savepoint("release", std::slice::from_ref(&a)), b]), 200, &["a", "b"]),
        ("rolled back and kept open", json!([savepoint("rollback_to", &[a.clone(), swallowed()]), b]), 200, &["b"]),
        ("released when doomed", json!([savepoint("release", &[swallowed()]), b]), 500, &[]),
    ];
    compare(&app, table).await.map(drop)
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

on_each_engine! {
    savepoints_keep_and_roll_back,
    savepoints_can_be_written_as_sql,
    savepoints_report_their_end,
    a_doomed_transaction_reports_the_reason,
}
