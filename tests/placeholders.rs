//! Placeholders: a statement with `?` does the same on every engine.

use serde_json::{Value as Json, json};

use crate::{
    script::{attempt, config, kind, results},
    support::{App, Engine, Result, Wrong, check, check_eq},
};

const TABLES: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, size INTEGER);
    INSERT INTO things VALUES (1, 'one?', 10), (2, 'two', 20), (3, 'three', NULL)";

/// Returns queries, each with its parameters and the names that it finds.
fn queries() -> Vec<(&'static str, Json, &'static str)> {
    vec![
        ("SELECT name FROM things WHERE id = ?", json!([2]), "two"),
        ("SELECT name FROM things WHERE id > ? AND id < ? ORDER BY id", json!([1, 4]), "two three"),
        // Numbered placeholders, in any order and more than once. A plain `?` has the number after the highest one so
        // far.
        ("SELECT name FROM things WHERE id = ?1 OR size = ?1 * 20 ORDER BY id", json!([1]), "one? two"),
        ("SELECT name FROM things WHERE name = ?2 AND id = ?1", json!([2, "two"]), "two"),
        ("SELECT name FROM things WHERE id = ?2 AND name = ? AND size = ?1", json!([20, 2, "two"]), "two"),
        ("SELECT name FROM things WHERE id = ?2 AND size = ?1 AND ? = name", json!([20, 2, "two"]), "two"),
        ("SELECT name FROM things WHERE id = $2 AND size = $1", json!([20, 2]), "two"),
        // Question marks that are no placeholders.
        ("SELECT name FROM things WHERE name = 'one?' AND id = ?", json!([1]), "one?"),
        ("SELECT name FROM things WHERE name <> 'it''s ?' AND id = ?", json!([1]), "one?"),
        ("SELECT name AS \"what?\" FROM things WHERE id = ?", json!([1]), "one?"),
        ("SELECT name FROM things -- is it ?\nWHERE id = ?", json!([2]), "two"),
        ("SELECT name FROM things /* is it ? */ WHERE id = ? -- ?", json!([2]), "two"),
        ("SELECT name FROM things WHERE name LIKE ? || '%' AND name LIKE '%?'", json!(["o"]), "one?"),
        ("SELECT name FROM things WHERE id IN (?,?,?) ORDER BY id DESC", json!([3, 1, 9]), "three one?"),
        ("SELECT name FROM things WHERE(?)=id OR(?=id)ORDER BY id", json!([3, 2]), "two three"),
        ("SELECT name FROM things WHERE id = COALESCE(?, id) AND name = ?", json!([null, "three"]), "three"),
        ("SELECT name FROM things WHERE name = ?", json!(["what? it's \"?\" -- $1"]), ""),
        ("SELECT name FROM things ORDER BY id LIMIT ? OFFSET ?", json!([1, 2]), "three"),
        ("WITH big AS (SELECT * FROM things WHERE size > ?) SELECT name FROM big WHERE id < ?", json!([5, 2]), "one?"),
        ("SELECT CASE WHEN id = ? THEN name ELSE '?' END FROM things WHERE id < ? ORDER BY id", json!([2, 3]), "? two"),
    ]
}

async fn the_same_statements(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = App::start_on(engine, &config(), &[("migrations/0001_things.sql", TABLES)]).await?;
    let mut wrong = Wrong::default();
    for (sql, params, expected) in queries() {
        for method in ["GET", "POST"] {
            let script = json!([{ "sql": sql, "params": params }]);
            let found = results(&app, method, &script).await.map_err(|error| format!("{engine}: {error}"))?;
            let rows = found[0]["rows"].as_array().ok_or("no rows")?;
            let names: Vec<_> = rows.iter().filter_map(|row| row[0]["v"].as_str()).collect();
            check_eq!(wrong, names.join(" "), expected, "{engine}: {sql}");
        }
    }
    // The host refuses too few or too many parameters before it sends the statement.
    for (sql, params) in [
        ("SELECT name FROM things WHERE id = ? AND size = ?", json!([1])),
        ("SELECT name FROM things WHERE id = ?2", json!([1])),
        ("SELECT name FROM things WHERE name = '?'", json!(["x"])),
    ] {
        let refused = attempt(&app, "POST", json!({ "sql": sql, "params": params })).await?;
        check_eq!(wrong, kind(&refused), "other", "{engine}: {sql}: {refused}");
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        check!(wrong, message.starts_with("the statement has "), "{engine}: {sql}: {message}");
    }
    // Servers parse this text in different ways, so the host refuses it and reports the missing space.
    if engine != Engine::Sqlite {
        let refused = attempt(&app, "POST", json!({ "sql": "SELECT 1 WHERE 1=?OR 1=2", "params": [1] })).await?;
        assert_eq!(refused["error"]["message"], "a space is missing before or after a parameter", "{engine}");
    }
    // Statements that change rows.
    let change = json!([
        { "sql": "INSERT INTO things (id, name, size) VALUES (?, ?, ?)", "op": "execute", "params": [4, "four?", null] },
        { "sql": "UPDATE things SET size = ?2, name = '?' WHERE id = ?1", "op": "execute", "params": [4, 40] },
        { "sql": "DELETE FROM things WHERE size = ? AND name = ?", "op": "execute", "params": [40, "?"] },
    ]);
    let done = results(&app, "POST", &change).await?;
    for step in 0..3 {
        assert_eq!(done[step]["rows_affected"], 1, "{engine}: {step}");
    }
    Ok(())
}

#[tokio::test]
async fn statements_on_sqlite() -> Result {
    the_same_statements(Engine::Sqlite).await
}

#[tokio::test]
async fn statements_on_postgres() -> Result {
    the_same_statements(Engine::Postgres).await
}

#[tokio::test]
async fn statements_on_mariadb() -> Result {
    the_same_statements(Engine::MariaDb).await
}

/// The host treats the `?` in operators of PostgreSQL as a placeholder. Guests must call the function of the operator
/// instead.
#[tokio::test]
async fn operators_of_jsonb_have_functions() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let app = App::start_on(Engine::Postgres, &config(), &[("migrations/0001_things.sql", TABLES)]).await?;
    let mut wrong = Wrong::default();
    for (sql, params) in [
        ("SELECT jsonb_exists(?::jsonb, ?)", json!(["{\"a\": 1}", "a"])),
        ("SELECT jsonb_exists_any('{\"a\": 1}', ARRAY['b', ?])", json!(["a"])),
        ("SELECT jsonb_exists_all('{\"a\": 1, \"b?\": 2}', ARRAY['b?', ?])", json!(["a"])),
        ("SELECT jsonb_path_exists('{\"a\": [1, 2]}', '$.a[*] ? (@ > 1)')", json!([])),
    ] {
        let found = results(&app, "GET", &json!([{ "sql": sql, "op": "query_one", "params": params }])).await?;
        check_eq!(wrong, found[0]["row"][0]["v"], true, "{sql}");
    }
    let refused = attempt(&app, "GET", json!({ "sql": "SELECT '{\"a\": 1}'::jsonb ? 'a'" })).await?;
    assert_eq!(kind(&refused), "other", "{refused}");
    Ok(())
}
