//! Tests of the application over HTTP. `make test` runs them by `carya test`, which serves the application on throw-away
//! databases. Each test has a database of its own, so that tests can run in parallel.

use carya_guest_test::{App, Fault};
use serde_json::json;

#[test]
fn lists_notes() {
    let app = App::new();
    app.sql("INSERT INTO notes (text) VALUES (?)", json!(["Pecans"]));
    let answer = app.get("/notes");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()[0]["text"], "Pecans");
}

#[test]
fn adds_a_note() {
    let app = App::new();
    assert_eq!(app.post("/notes", "Pecans").status, 201);
    assert_eq!(
        app.sql("SELECT text FROM notes", json!([])),
        json!([{ "text": "Pecans" }])
    );
}

#[test]
fn a_refused_note_leaves_no_row() {
    let app = App::new();
    assert_eq!(app.post("/notes", " ").status, 422);
    assert_eq!(app.sql("SELECT text FROM notes", json!([])), json!([]));
}

#[test]
fn a_conflict_is_retried() {
    let app = App::new();
    app.fail_commits(Fault::Conflict, 1);
    let answer = app.post("/notes", "Pecans");
    assert_eq!(answer.status, 201);
    assert_eq!(
        app.trace(&answer)["statements"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        app.sql("SELECT text FROM notes", json!([])),
        json!([{ "text": "Pecans" }])
    );
}
