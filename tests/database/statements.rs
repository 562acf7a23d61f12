//! What the statements of a handle answer, with their parameters.

use serde_json::{Value as Json, json};

use crate::{
    script::{attempt, kind, results, serve},
    support::Result,
};

const SCHEMA: &str =
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL CHECK (price > 0));
    CREATE TABLE parts (item INTEGER NOT NULL REFERENCES items (id));
    INSERT INTO items VALUES (1, 'bolt', 0.5), (2, 'nut', 0.25)";

#[tokio::test]
async fn every_statement_answers_in_its_way() -> Result {
    let app = serve(SCHEMA).await?;
    let script = json!([
        { "sql": "INSERT INTO items (name, price) VALUES (?, ?)", "op": "execute", "params": ["pin", 1] },
        { "sql": "UPDATE items SET price = price * 2 WHERE id < ?", "op": "execute", "params": [3] },
        { "sql": "INSERT INTO items (name) VALUES (?)", "op": "batch", "params": [["a"], ["b"], ["c"]] },
        { "sql": "INSERT INTO items (name) VALUES (?)", "op": "batch", "params": [] },
        { "sql": "INSERT INTO items (name) VALUES ('x'), ('y') RETURNING id", "op": "query_one" },
        { "sql": "DELETE FROM items WHERE name IN ('x', 'y') RETURNING name" },
        { "sql": "SELECT id FROM items WHERE id < 0", "op": "query_one" },
        { "sql": "SELECT name FROM items ORDER BY id", "op": "query_one" },
        { "sql": "UPDATE items SET price = 1 WHERE id < 0", "op": "execute" },
        { "sql": "UPDATE items SET price = price", "op": "execute" },
        { "sql": "SELECT 1", "op": "execute" },
    ]);
    let got = results(&app, "POST", &script).await?;
    assert_eq!(got[0], json!({ "rows_affected": 1, "last_insert_id": 3 }));
    assert_eq!(got[1]["rows_affected"], 2);
    assert_eq!((&got[2]["rows_affected"], &got[3]["rows_affected"]), (&json!(3), &json!(0)));
    assert_eq!(got[4]["row"], json!([{ "t": "int64", "v": "7" }]));
    assert_eq!(got[5]["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(got[6]["row"], json!(null));
    assert_eq!(got[7]["row"], json!([{ "t": "text", "v": "bolt" }]));
    // What earlier statements did is nobody's business.
    let nothing = json!({ "rows_affected": 0, "last_insert_id": null });
    assert_eq!((&got[8], &got[10]), (&nothing, &nothing));
    assert_eq!(got[8]["rows_affected"], 0);
    assert_eq!(app.number("SELECT count(*) FROM items").await?, 6, "query-one left no row of its INSERT out or in");
    Ok(())
}

#[tokio::test]
async fn an_empty_result_still_has_columns() -> Result {
    let app = serve(SCHEMA).await?;
    for method in ["GET", "POST"] {
        let script = json!([{ "sql": "SELECT id, name AS n, price, 1 + 1 FROM items WHERE id < 0" }]);
        let got = results(&app, method, &script).await?;
        let columns = json!([
            { "name": "id", "type_name": "INTEGER" },
            { "name": "n", "type_name": "TEXT" },
            { "name": "price", "type_name": "REAL" },
            { "name": "1 + 1", "type_name": "" },
        ]);
        assert_eq!(got[0], json!({ "columns": columns, "rows": [] }));
    }
    let got =
        results(&app, "POST", &json!([{ "sql": "UPDATE items SET price = 1 WHERE id < 0 RETURNING id" }])).await?;
    assert_eq!(got[0]["columns"][0]["name"], "id");
    let got = results(&app, "POST", &json!([{ "sql": "DELETE FROM items WHERE id = 1" }])).await?;
    assert_eq!(got[0], json!({ "columns": [], "rows": [] }), "a statement without rows has no columns");
    Ok(())
}

#[tokio::test]
async fn parameters_are_bound_by_place_or_number() -> Result {
    let app = serve(SCHEMA).await?;
    let table: &[(&str, Json, Option<Json>)] = &[
        ("SELECT ?, ?", json!(["a", "b"]), Some(json!(["a", "b"]))),
        ("SELECT ?2, ?1", json!(["a", "b"]), Some(json!(["b", "a"]))),
        ("SELECT ?1, ?1", json!(["a"]), Some(json!(["a", "a"]))),
        ("SELECT '?', ?", json!(["a"]), Some(json!(["?", "a"]))),
        ("SELECT ?, ?", json!(["a"]), None),
        ("SELECT ?", json!(["a", "b"]), None),
        ("SELECT 'x'", json!(["a"]), None),
        ("SELECT ?2", json!(["a"]), None),
        ("SELECT ?1001", json!([]), None),
    ];
    for (sql, params, expected) in table {
        for method in ["GET", "POST"] {
            let got = attempt(&app, method, json!({ "sql": sql, "params": params })).await?;
            let Some(expected) = expected else {
                assert_eq!(kind(&got), "other", "{sql} with {params}: {got}");
                continue;
            };
            let row = got["rows"][0].as_array().cloned().unwrap_or_default();
            let row: Vec<_> = row.iter().map(|value| value["v"].clone()).collect();
            assert_eq!(json!(row), *expected, "{sql} with {params}: {got}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn failures_have_a_kind_and_a_code() -> Result {
    let app = serve(SCHEMA).await?;
    let table = [
        ("INSERT INTO items (id, name) VALUES (1, 'x')", "constraint", "1555"),
        ("INSERT INTO items (name) VALUES ('bolt')", "constraint", "2067"),
        ("INSERT INTO items (name) VALUES (NULL)", "constraint", "1299"),
        ("INSERT INTO items (name, price) VALUES ('x', -1)", "constraint", "275"),
        ("INSERT INTO parts VALUES (99)", "constraint", "787"),
        ("DELETE FROM no_such_table", "other", "1"),
        ("SELECT no_such_column FROM items", "other", "1"),
        ("SELEC 1", "forbidden", ""),
        ("SELECT FROM WHERE", "other", "1"),
    ];
    for (sql, expected, code) in table {
        let got = attempt(&app, "POST", json!({ "sql": sql, "op": "execute" })).await?;
        assert_eq!(
            (kind(&got).as_str(), got["error"]["code"].as_str().unwrap_or("")),
            (expected, code),
            "{sql}: {got}"
        );
        assert_eq!(got["error"]["retryable"], false, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn the_file_is_in_wal_mode_and_foreign_keys_are_checked() -> Result {
    let app = serve(SCHEMA).await?;
    assert_eq!(app.texts("PRAGMA journal_mode").await?, ["wal"]);
    let answer =
        crate::script::send(&app, "POST", &json!([{ "sql": "INSERT INTO parts VALUES (99)", "op": "execute" }]))
            .await?;
    assert_eq!(answer.status, 500);
    assert_eq!(app.number("SELECT count(*) FROM parts").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_request_reads_one_snapshot() -> Result {
    let app = serve(SCHEMA).await?;
    let count = json!({ "sql": "SELECT count(*) FROM items", "op": "query_one" });
    let reading = json!([count, { "log": "has read" }, { "sleep_ms": 300 }, count]);
    let write = async {
        app.log.wait_for("has read").await?;
        results(&app, "POST", &json!([{ "sql": "DELETE FROM items", "op": "execute" }])).await
    };
    let (read, written) = tokio::join!(results(&app, "GET", &reading), write);
    let read = read?;
    assert_eq!(written?[0]["rows_affected"], 2);
    assert_eq!((&read[0]["row"][0]["v"], &read[3]["row"][0]["v"]), (&json!("2"), &json!("2")), "{read}");
    Ok(())
}

#[tokio::test]
async fn full_text_search_works_through_both_handles() -> Result {
    let app = serve("CREATE VIRTUAL TABLE texts USING fts5(body); INSERT INTO texts VALUES ('hello world')").await?;
    let insert = json!([{ "sql": "INSERT INTO texts VALUES ('hello again')", "op": "execute" }]);
    results(&app, "POST", &insert).await?;
    for method in ["GET", "POST"] {
        let search = json!([{ "sql": "SELECT body FROM texts WHERE texts MATCH 'hello'" }]);
        let found = results(&app, method, &search).await?;
        assert_eq!(found[0]["rows"].as_array().map(Vec::len), Some(2), "{method}: {found}");
    }
    Ok(())
}
