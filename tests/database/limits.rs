//! Limits on sizes, counts and times. A statement that exceeds a limit fails with an error of the kind `limit` or
//! `timeout`. Later requests on the same connection succeed.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{
    script::{ENDLESS, NUMBERS, attempt, kind, results, send, serve_with},
    support::{App, Engine, Result, Wrong, check, check_eq, check_ne, on_each_engine},
};

/// Returns an SQL expression for a text of `size` bytes.
fn text(engine: Engine, size: usize) -> String {
    match engine {
        Engine::Sqlite => format!("hex(zeroblob({}))", size / 2),
        _ => format!("repeat('x', {size})"),
    }
}

async fn app(engine: Engine) -> Result<App> {
    let extra = "
        [server]
        max_body = '16MiB'
        [database]
        max_connections = 1
        max_rows = 100
        max_result = '64KiB'
        statement_timeout = '1s'";
    let text = if engine == Engine::MariaDb { "LONGTEXT" } else { "TEXT" };
    serve_with(engine, &format!("CREATE TABLE t (v {text}); INSERT INTO t VALUES (1), (2)"), extra).await
}

/// Asserts that the next requests on the same connection still work.
async fn assert_unaffected(app: &App, after: &str) -> Result {
    let script = json!([{ "sql": "SELECT count(*) FROM t" }]);
    for method in ["GET", "POST"] {
        let read = results(app, method, &script).await.map_err(|error| format!("{method} after {after}: {error}"))?;
        assert_eq!(read[0]["rows"][0][0]["v"], "2", "{method} after {after}");
    }
    Ok(())
}

async fn a_query_over_a_limit_fails_with_limit_or_timeout(engine: Engine) -> Result {
    let app = app(engine).await?;
    let rows = |count: usize| format!("{NUMBERS} SELECT i FROM n LIMIT {count}");
    let all = |size: usize| json!(vec![1; size]);
    let among = |size: usize| format!("SELECT 1 WHERE 1 IN (?{})", ", ?".repeat(size - 1));
    let padded = |size: usize| format!("SELECT 1 /*{}*/", "x".repeat(size - 13));
    let table: Vec<(&str, Json, &str)> = vec![
        ("100 rows", json!({ "sql": rows(100) }), "ok"),
        ("101 rows", json!({ "sql": rows(101) }), "limit"),
        ("101 rows for JSON", json!({ "sql": rows(101), "op": "query_json" }), "limit"),
        ("a large row", json!({ "sql": format!("SELECT {}", text(engine, 60_000)) }), "ok"),
        ("a row that is too large", json!({ "sql": format!("SELECT {}", text(engine, 70_000)) }), "limit"),
        (
            "rows that are too large",
            json!({ "sql": format!("{NUMBERS} SELECT {} FROM n LIMIT 70", text(engine, 1000)) }),
            "limit",
        ),
        ("too much JSON", json!({ "sql": format!("SELECT {}", text(engine, 70_000)), "op": "query_json" }), "limit"),
        ("a statement of 32 KiB", json!({ "sql": padded(32 << 10) }), "ok"),
        ("a statement of 32 KiB and a byte", json!({ "sql": padded((32 << 10) + 1) }), "limit"),
        ("1000 parameters", json!({ "sql": among(1000), "params": all(1000) }), "ok"),
        ("1001 parameters", json!({ "sql": among(1001), "params": all(1001) }), "limit"),
        ("large parameters", json!({ "sql": "SELECT length(?)", "params": ["x".repeat(4 << 20)] }), "ok"),
        (
            "parameters too large",
            json!({ "sql": "SELECT ?, ?", "params": ["x".repeat(3 << 20), "x".repeat(2 << 20)] }),
            "limit",
        ),
        ("a runaway", json!({ "sql": format!("{NUMBERS} SELECT max(a.i) FROM {ENDLESS}") }), "timeout"),
        (
            "an endless search for one row",
            json!({ "sql": format!("{NUMBERS} SELECT a.i FROM {ENDLESS} WHERE a.i + b.i + c.i + d.i < 0"), "op": "query_one" }),
            "timeout",
        ),
    ];
    let mut wrong = Wrong::default();
    for (what, step, expected) in table {
        for method in ["GET", "POST"] {
            let got = attempt(&app, method, step.clone()).await?;
            check_eq!(wrong, kind(&got), expected, "{method} {what}: {:.300}", got.to_string());
            assert_unaffected(&app, what).await?;
        }
    }
    Ok(())
}

async fn a_write_over_a_limit_fails_with_limit_or_timeout(engine: Engine) -> Result {
    let app = app(engine).await?;
    let table = [
        (json!({ "sql": format!("INSERT INTO t {NUMBERS} SELECT a.i FROM {ENDLESS}"), "op": "execute" }), "timeout"),
        (
            json!({ "sql": format!("UPDATE t SET v = ({NUMBERS} SELECT max(a.i) FROM {ENDLESS})"), "op": "execute" }),
            "timeout",
        ),
        (json!({ "sql": format!("INSERT INTO t {NUMBERS} SELECT i FROM n LIMIT 200 RETURNING v") }), "limit"),
    ];
    let mut wrong = Wrong::default();
    for (step, expected) in table {
        let got = attempt(&app, "POST", step.clone()).await?;
        check_eq!(wrong, kind(&got), expected, "{step}: {got}");
        assert_unaffected(&app, &step.to_string()).await?;
    }
    Ok(())
}

/// A statement that exceeds a limit dooms the transaction: the host rolls back the transaction even if the guest
/// ignores the error. After a rollback to a savepoint before the statement, the transaction is no longer doomed.
async fn exceeding_a_limit_dooms_until_rollback_to_a_savepoint(engine: Engine) -> Result {
    let app = app(engine).await?;
    let steps = [
        format!("{NUMBERS} SELECT i FROM n LIMIT 200"),
        format!("{NUMBERS} SELECT max(a.i) FROM {ENDLESS}"),
        format!("INSERT INTO t {NUMBERS} SELECT i FROM n LIMIT 200 RETURNING v"),
    ];
    let marker = json!({ "sql": "INSERT INTO t VALUES ('kept')", "op": "execute" });
    let mut wrong = Wrong::default();
    for sql in steps {
        let failing = json!({ "sql": sql, "swallow": true });
        check_eq!(wrong, send(&app, "POST", &json!([marker, failing])).await?.status, 500, "{sql}");
        assert_unaffected(&app, &sql).await?;
        let undone = json!([marker, { "savepoint": [failing], "end": "rollback" }, { "sql": "SELECT 1" }]);
        results(&app, "POST", &undone).await.map_err(|error| format!("{sql}: {error}"))?;
        check_eq!(wrong, app.number("SELECT count(*) FROM t WHERE v = 'kept'").await?, 1, "{sql}");
        app.execute("DELETE FROM t WHERE v = 'kept'").await?;
        assert_unaffected(&app, &sql).await?;
    }
    Ok(())
}

on_each_engine! {
    a_query_over_a_limit_fails_with_limit_or_timeout,
    a_write_over_a_limit_fails_with_limit_or_timeout,
    exceeding_a_limit_dooms_until_rollback_to_a_savepoint,
}

/// `WITH` clause with a table `c` that never ends. SQLite has no limit for recursions.
const RUNAWAY: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)";

/// On SQLite, the limit for the size of a value also applies to intermediate values of a statement.
#[tokio::test]
async fn a_value_over_the_size_limit_fails_with_limit() -> Result {
    let app = app(Engine::Sqlite).await?;
    let mut wrong = Wrong::default();
    for (method, sql) in [
        ("GET", "SELECT length(zeroblob(5000000))"),
        ("POST", "SELECT length(zeroblob(5000000))"),
        ("POST", "INSERT INTO t VALUES (zeroblob(5000000))"),
    ] {
        let got = attempt(&app, method, json!({ "sql": sql })).await?;
        check_eq!(wrong, kind(&got), "limit", "{sql}: {got}");
        assert_unaffected(&app, sql).await?;
    }
    Ok(())
}

/// A statement that returns a text that is not valid UTF-8 fails and dooms the transaction. After a rollback to a
/// savepoint before the statement, the transaction is no longer doomed.
#[tokio::test]
async fn invalid_utf8_dooms_until_rollback_to_a_savepoint() -> Result {
    let app = app(Engine::Sqlite).await?;
    let failing = json!({ "sql": "SELECT CAST(x'ff' AS TEXT) FROM t", "swallow": true });
    assert_eq!(send(&app, "POST", &json!([failing])).await?.status, 500);
    results(&app, "POST", &json!([{ "savepoint": [failing], "end": "rollback" }, { "sql": "SELECT 1" }])).await?;
    Ok(())
}

/// The host cannot return the first row of the statement. The search for a second row never ends, so the host must stop
/// the statement.
#[tokio::test]
async fn stops_an_endless_statement_after_a_row_that_fails() -> Result {
    let app = app(Engine::Sqlite).await?;
    let rest = format!("UNION ALL SELECT n FROM ({RUNAWAY} SELECT n FROM c) WHERE n < 0");
    let mut wrong = Wrong::default();
    for (op, first) in [("query", "CAST(x'ff' AS TEXT)"), ("query_json", "9e999"), ("query", "zeroblob(70000)")] {
        for method in ["GET", "POST"] {
            let begun = Instant::now();
            let sql = format!("SELECT {first} {rest}");
            let got = attempt(&app, method, json!({ "sql": sql, "op": op })).await?;
            check_ne!(wrong, kind(&got), "ok", "{op:?} {method:?}");
            assert_unaffected(&app, &sql).await?;
            check!(wrong, begun.elapsed() < Duration::from_secs(2), "{op:?} {method:?}: {sql}: {:?}", begun.elapsed());
        }
    }
    Ok(())
}
