//! Changes of the schema by a second client. Connections of the host have prepared statements for the old schema, and
//! the next request must nevertheless see the new one.

use futures_util::future::try_join_all;
use serde_json::{Value as Json, json};

use crate::{
    script::{attempt, kind, results, send, serve, serve_with},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
};

const PEOPLE: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20), email VARCHAR(20), ok VARCHAR(20));
    INSERT INTO p VALUES (1, 'ann', 'ann@a', 'yes')";

/// Sends a script several times at once, so that several connections prepare its statements. Writers share one
/// connection.
async fn warm(app: &App, method: &str, script: &Json) -> Result {
    let both = if method == "GET" { 8 } else { 1 };
    try_join_all((0..both).map(|_| results(app, method, script))).await.map(drop)
}

/// Returns the row 1 of `SELECT *` as an object, once from `query_json` and once from the columns and values of
/// `query`.
async fn read(app: &App) -> Result<[Json; 2]> {
    let query = |op| json!({ "sql": "SELECT * FROM p WHERE id = ?", "op": op, "params": [1] });
    let got = results(app, "GET", &json!([query("query_json"), query("query")])).await?;
    let row: Json = match &got[0]["json"] {
        Json::String(text) => serde_json::from_str::<Json>(text)?[0].clone(),
        other => other[0].clone(),
    };
    let columns = got[1]["columns"].as_array().ok_or("no columns")?.iter();
    let values = got[1]["rows"][0].as_array().ok_or_else(|| format!("no row: {got}"))?.iter();
    let named = columns.zip(values).map(|(column, value)| {
        let name = column["name"].as_str().unwrap_or_default().to_owned();
        (name, value["v"].clone())
    });
    Ok([row, Json::Object(named.collect())])
}

async fn reads_the_columns_that_a_table_has_now(engine: Engine) -> Result {
    let app = serve_with(engine, PEOPLE, "[database]\nmax_connections = 4").await?;
    for script in ["query_json", "query", "query_one"] {
        warm(&app, "GET", &json!([{ "sql": "SELECT * FROM p WHERE id = ?", "op": script, "params": [1] }])).await?;
    }
    app.execute("ALTER TABLE p ADD COLUMN age INTEGER DEFAULT 7").await?;
    for _ in 0..12 {
        let [json, values] = read(&app).await?;
        assert_eq!(json, json!({ "id": 1, "name": "ann", "email": "ann@a", "ok": "yes", "age": 7 }));
        assert_eq!(values, json!({ "id": "1", "name": "ann", "email": "ann@a", "ok": "yes", "age": "7" }));
    }
    // The table keeps its number of columns, but their names and positions change.
    app.execute("ALTER TABLE p DROP COLUMN email").await?;
    app.execute("ALTER TABLE p ADD COLUMN city VARCHAR(20) DEFAULT 'rome'").await?;
    for _ in 0..12 {
        let [json, values] = read(&app).await?;
        assert_eq!(json, json!({ "id": 1, "name": "ann", "ok": "yes", "age": 7, "city": "rome" }));
        assert_eq!(values, json!({ "id": "1", "name": "ann", "ok": "yes", "age": "7", "city": "rome" }));
    }
    Ok(())
}

async fn writes_and_returns_the_columns_that_a_table_has_now(engine: Engine) -> Result {
    let app = serve(engine, PEOPLE).await?;
    let update = json!([{ "sql": "UPDATE p SET ok = 'no' WHERE id = 1 RETURNING *", "op": "query_json" }]);
    let insert = json!([{ "sql": "INSERT INTO p SELECT * FROM p WHERE id < 0", "op": "execute" }]);
    if engine == Engine::MariaDb {
        // MariaDB has no UPDATE .. RETURNING.
        return Ok(());
    }
    for round in 0..6 {
        warm(&app, "POST", &update).await?;
        warm(&app, "POST", &insert).await?;
        app.execute(&format!("ALTER TABLE p ADD COLUMN c{round} INTEGER DEFAULT {round}")).await?;
        let got = results(&app, "POST", &update).await?.to_string();
        assert!(got.contains(&format!("c{round}")), "round {round}: {got}");
        results(&app, "POST", &insert).await?;
    }
    Ok(())
}

async fn a_statement_is_recompiled_within_a_transaction_and_a_savepoint(engine: Engine) -> Result {
    let app = serve(engine, PEOPLE).await?;
    let select = json!({ "sql": "SELECT * FROM p ORDER BY id", "op": "query_json" });
    let script = json!([
        { "sql": "SELECT 1" },
        { "savepoint": [select, { "sql": "UPDATE p SET ok = 'later'", "op": "execute" }, select] },
        select
    ]);
    results(&app, "POST", &script).await?;
    app.execute("ALTER TABLE p ADD COLUMN age INTEGER DEFAULT 7").await?;
    let got = results(&app, "POST", &script).await?.to_string();
    assert_eq!(got.matches("age").count(), 3, "{got}");
    Ok(())
}

async fn an_empty_result_has_the_columns_that_a_table_has_now(engine: Engine) -> Result {
    if engine == Engine::MariaDb {
        // For an empty result, the driver reports the columns that the table had when the statement was prepared.
        return Ok(());
    }
    let app = serve_with(engine, PEOPLE, "[database]\nmax_connections = 1").await?;
    let script = json!([{ "sql": "SELECT * FROM p WHERE id < 0" }]);
    results(&app, "GET", &script).await?;
    app.execute("ALTER TABLE p ADD COLUMN age INTEGER DEFAULT 7").await?;
    let got = results(&app, "GET", &script).await?;
    assert_eq!(got[0]["columns"].as_array().map(Vec::len), Some(5), "{got}");
    Ok(())
}

on_each_engine!(
    reads_the_columns_that_a_table_has_now,
    writes_and_returns_the_columns_that_a_table_has_now,
    a_statement_is_recompiled_within_a_transaction_and_a_savepoint,
    an_empty_result_has_the_columns_that_a_table_has_now
);

/// SQLite compiles a statement with `LIKE ?` again for each pattern, after the driver has already read its columns.
#[tokio::test]
async fn a_recompiled_pattern_has_the_current_columns() -> Result {
    let app = serve_with(Engine::Sqlite, PEOPLE, "[database]\nmax_connections = 1").await?;
    app.execute("CREATE INDEX names ON p (name COLLATE NOCASE)").await?;
    let like = |pattern: &str| json!([{ "sql": "SELECT * FROM p WHERE name LIKE ?", "op": "query_json", "params": [pattern] }]);
    for pattern in ["a%", "%n", "ann"] {
        results(&app, "GET", &like(pattern)).await?;
    }
    app.execute("ALTER TABLE p DROP COLUMN email; ALTER TABLE p ADD COLUMN age INTEGER DEFAULT 7").await?;
    // This statement has a new text, so SQLite reads the new schema to compile it.
    results(&app, "GET", &json!([{ "sql": "SELECT age FROM p" }])).await?;
    let mut wrong = Wrong::default();
    for pattern in ["%n", "a%", "ann"] {
        let got = results(&app, "GET", &like(pattern)).await?.to_string();
        check!(wrong, got.contains("age") && !got.contains("email"), "{pattern}: {got}");
    }
    Ok(())
}

#[tokio::test]
async fn parameters_with_names_are_refused_and_cost_nothing() -> Result {
    let app = serve_with(Engine::Sqlite, PEOPLE, "[database]\nmax_connections = 1\necho_pool = true").await?;
    let opened = || app.log.lines().iter().filter(|line| line["message"] == "connection opened").count();
    send(&app, "GET", &json!([{ "sql": "SELECT 1" }])).await?;
    let before = opened();
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        for parameter in ["$0", "?0", ":a", "@a", "$a", "$1a", "$a::b(c)", "#a"] {
            for (op, params) in [("query", json!([])), ("query_json", json!([1]))] {
                let step = json!({ "sql": format!("SELECT {parameter}"), "op": op, "params": params });
                let got = attempt(&app, method, step).await?;
                check_eq!(wrong, kind(&got), "other", "{method} {parameter} {got}");
                let told = got["error"]["message"].as_str().unwrap_or_default();
                check!(wrong, told.contains("`?` or `?1`"), "{parameter}: {told}");
            }
        }
        let rows = json!([{ "answer": { "rows": { "sql": "SELECT $0" } } }]);
        check_eq!(wrong, send(&app, method, &rows).await?.status, 500, "{method:?}");
        for good in ["?", "?1", "$1"] {
            results(&app, method, &json!([{ "sql": format!("SELECT {good}"), "params": [1] }])).await?;
        }
    }
    assert_eq!(opened(), before, "no connection is lost");
    Ok(())
}

#[tokio::test]
async fn settings_of_a_full_text_table_do_not_outlive_a_rollback() -> Result {
    let tables = "CREATE VIRTUAL TABLE texts USING fts5(body); INSERT INTO texts VALUES ('hello world')";
    let app = serve_with(Engine::Sqlite, tables, "[database]\nmax_connections = 1").await?;
    let search = json!([{ "sql": "SELECT body FROM texts WHERE texts MATCH 'hello' ORDER BY rank" }]);
    let found = json!([[{ "t": "text", "v": "hello world" }]]);
    let settings = [
        "INSERT INTO texts(texts, rank) VALUES ('rank', 'nosuchfn()')",
        "INSERT INTO texts(texts, rank) VALUES ('automerge', 0)",
        "INSERT INTO texts(rank, texts) VALUES ('nosuchfn()', 'rank')",
    ];
    let mut wrong = Wrong::default();
    for setting in settings {
        for script in [
            json!([{ "sql": setting, "op": "execute" }, { "mark_rollback": true }]),
            json!([{ "savepoint": [{ "sql": setting, "op": "execute" }], "end": "rollback" }]),
        ] {
            check_eq!(wrong, results(&app, "POST", &search).await?[0]["rows"], found, "{setting:?} {script:?}: warm");
            send(&app, "POST", &script).await?;
            for method in ["POST", "GET"] {
                check_eq!(wrong, results(&app, method, &search).await?[0]["rows"], found, "{method} after {script}");
            }
        }
    }
    // Other special commands of FTS5 are still permitted.
    let maintenance = json!([
        { "sql": "INSERT INTO texts(texts) VALUES ('optimize')", "op": "execute" },
        { "sql": "INSERT INTO texts(texts) VALUES ('rebuild')", "op": "execute" },
    ]);
    results(&app, "POST", &maintenance).await?;
    assert_eq!(results(&app, "GET", &search).await?[0]["rows"], found);
    Ok(())
}
