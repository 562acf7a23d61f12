//! Full-text search on SQLite. SQLite cannot interrupt some operations of FTS5, which must nevertheless end in time.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{
    script::{attempt, kind, results, serve_with},
    support::{App, Engine, Result, Wrong, check},
};

const TABLES: &str = "
    CREATE TABLE t (v TEXT); INSERT INTO t VALUES (1), (2);
    CREATE TABLE queries (body TEXT);
    CREATE VIRTUAL TABLE docs USING fts5 (title, body);
    CREATE VIRTUAL TABLE letters USING fts5 (body, tokenize = trigram);
    CREATE VIRTUAL TABLE old USING fts4 (body);
    INSERT INTO docs VALUES ('w', 'w1 w2 w3'); INSERT INTO letters VALUES ('w1 w2 w3'); INSERT INTO old VALUES ('w1 w2 w3');
    INSERT INTO docs SELECT 'large', replace(hex(zeroblob(100000)), '00', 'many x ');
    INSERT INTO queries SELECT replace(hex(zeroblob(100000)), '00', 'w ')";

async fn app() -> Result<App> {
    let extra = "
        [server]
        max_body = '16MiB'
        [database]
        max_connections = 1
        statement_timeout = '500ms'
        acquire_timeout = '30s'";
    serve_with(Engine::Sqlite, TABLES, extra).await
}

fn words(count: usize) -> String {
    vec!["w"; count].join(" ")
}

/// Sends a statement through both handles. It must end with one of `kinds`. Afterwards the only writer and the only
/// reader must be free at once.
async fn check_ends(wrong: &mut Wrong, app: &App, step: Json, kinds: &[&str]) -> Result {
    for method in ["GET", "POST"] {
        let begun = Instant::now();
        let got = attempt(app, method, step.clone()).await?;
        let shown = step["sql"].as_str().unwrap_or_default();
        check!(wrong, kinds.contains(&kind(&got).as_str()), "{method} {shown:.200}: {:.500}", got.to_string());
        let update = json!([{ "sql": "UPDATE t SET v = v", "op": "execute" }]);
        results(app, "POST", &update).await.map_err(|error| format!("after {method} {shown:.200}: {error:.500}"))?;
        results(app, "GET", &json!([{ "sql": "SELECT count(*) FROM t" }])).await?;
        check!(wrong, begun.elapsed() < Duration::from_secs(10), "{method} {shown:.200}: {:?}", begun.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_full_text_query_has_a_size() -> Result {
    let app = app().await?;
    let mut wrong = Wrong::default();
    for (sql, params) in [
        ("SELECT count(*) FROM docs WHERE docs MATCH ?", json!([words(100_000)])),
        ("SELECT count(*) FROM docs WHERE docs MATCH ?", json!([words(65)])),
        ("SELECT count(*) FROM docs WHERE docs MATCH ?", json!(["w".repeat(5000)])),
        ("SELECT count(*) FROM docs WHERE title MATCH ?", json!([words(100_000)])),
        ("SELECT count(*) FROM docs WHERE docs MATCH ? || ' ' || ?", json!([words(40), words(40)])),
        ("SELECT count(*) FROM docs(?)", json!([words(100_000)])),
        ("SELECT count(*) FROM old WHERE old MATCH ?", json!([words(100_000)])),
        ("SELECT count(*) FROM letters WHERE letters MATCH ?", json!([words(100_000)])),
    ] {
        check_ends(&mut wrong, &app, json!({ "sql": sql, "params": params }), &["limit"]).await?;
    }
    let text = format!("SELECT count(*) FROM docs WHERE docs MATCH '{}'", words(10_000));
    check_ends(&mut wrong, &app, json!({ "sql": text }), &["limit"]).await?;
    let found =
        attempt(&app, "GET", json!({ "sql": "SELECT count(*) FROM docs WHERE docs MATCH ?", "params": [words(64)] }));
    assert_eq!(found.await?["rows"][0][0]["v"], "1");
    Ok(())
}

/// The text of the full-text query comes from a table or an expression, so the gate cannot measure it.
#[tokio::test]
async fn a_full_text_query_from_elsewhere_ends_in_time() -> Result {
    let app = app().await?;
    let mut wrong = Wrong::default();
    for (sql, params) in [
        ("SELECT count(*) FROM docs WHERE docs MATCH (SELECT body FROM queries)", json!([])),
        ("SELECT count(*) FROM queries q JOIN docs ON docs MATCH q.body", json!([])),
        ("SELECT count(*) FROM docs WHERE docs = ?", json!([words(100_000)])),
        ("WITH q (body) AS (SELECT ?) SELECT count(*) FROM q JOIN docs ON docs MATCH q.body", json!([words(100_000)])),
        ("SELECT count(*) FROM t, docs((SELECT body FROM queries))", json!([])),
        (
            "SELECT count(*) FROM docs WHERE docs MATCH substr(hex(zeroblob(100000)), 1, 0) || replace(hex(zeroblob(50000)), '00', 'w ')",
            json!([]),
        ),
    ] {
        check_ends(&mut wrong, &app, json!({ "sql": sql, "params": params }), &["timeout"]).await?;
    }
    Ok(())
}

/// FTS5's own `snippet` and `highlight` take time in proportion to the square of the number of matches, so the host
/// replaces them.
#[tokio::test]
async fn excerpts_of_a_large_document_end_in_time() -> Result {
    let app = app().await?;
    app.execute("INSERT INTO docs SELECT 'larger', replace(hex(zeroblob(400000)), '00', 'many x ')").await?;
    let mut wrong = Wrong::default();
    for call in
        ["snippet(docs, 1, '[', ']', '...', 64)", "snippet(docs, -1, '', '', '', 8)", "highlight(docs, 1, '', '')"]
    {
        let sql = format!("SELECT length({call}) FROM docs WHERE docs MATCH 'many OR x'");
        check_ends(&mut wrong, &app, json!({ "sql": sql }), &["ok", "timeout"]).await?;
    }
    let large = attempt(
        &app,
        "GET",
        json!({ "sql": "SELECT length(highlight(docs, 1, hex(zeroblob(10000)), '')) FROM docs WHERE docs MATCH 'many'" }),
    );
    assert_eq!(kind(&large.await?), "limit");
    Ok(())
}
