//! Values through the contract: as parameters, as stored values and as results.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value as Json, json};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{
    script::{attempt, kind, results, serve, serve_with},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_server},
};

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";

pub fn int(value: i64) -> Json {
    json!({ "t": "int64", "v": value.to_string() })
}

pub fn float(value: f64) -> Json {
    json!({ "t": "float64", "v": value.to_string() })
}

pub fn text(value: impl Into<String>) -> Json {
    json!({ "t": "text", "v": value.into() })
}

pub fn bytes(value: &[u8]) -> Json {
    json!({ "t": "bytes", "v": value.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
}

/// Returns a value as SQLite returns it. SQLite has neither booleans nor its own types for other values.
fn stored(value: &Json) -> Json {
    match value["t"].as_str() {
        Some("boolean") => int(i64::from(value["v"] == true)),
        Some("other") => text(value["v"]["text"].as_str().unwrap_or_default()),
        _ => value.clone(),
    }
}

/// Sends values as parameters of a query, of INSERT statements, and of an INSERT with RETURNING, and reads the inserted
/// rows in a later request. All results must be equal to the values.
async fn round_trip(app: &App, values: &[Json]) -> Result {
    let expected: Vec<Json> = values.iter().map(stored).collect();
    let marks = vec!["?"; values.len()].join(", ");
    let echoed = results(app, "GET", &json!([{ "sql": format!("SELECT {marks}"), "params": values }])).await?;
    assert_eq!(echoed[0]["rows"][0], json!(expected));
    let one_each: Vec<_> = values.iter().map(|value| json!([value])).collect();
    let insert = json!([
        { "sql": "DELETE FROM t", "op": "execute" },
        { "sql": "INSERT INTO t (v) VALUES (?)", "op": "batch", "params": one_each },
        { "sql": "INSERT INTO t (v) VALUES (?) RETURNING v", "params": one_each[0] },
    ]);
    let inserted = results(app, "POST", &insert).await?;
    assert_eq!(inserted[1]["rows_affected"], values.len());
    assert_eq!(inserted[2]["rows"][0][0], expected[0]);
    let read = results(app, "GET", &json!([{ "sql": "SELECT v FROM t ORDER BY id" }])).await?;
    let read = read[0]["rows"].as_array().ok_or("no rows")?;
    let read: Vec<_> = read.iter().take(values.len()).map(|row| row[0].clone()).collect();
    assert_eq!(read, expected);
    Ok(())
}

#[tokio::test]
async fn every_value_comes_back_as_it_was() -> Result {
    let app = serve_with(Engine::Sqlite, SCHEMA, "[server]\nmax_body = '16MiB'").await?;
    let values = [
        json!({ "t": "null" }),
        json!({ "t": "boolean", "v": true }),
        json!({ "t": "boolean", "v": false }),
        int(0),
        int(i64::MIN),
        int(i64::MAX),
        float(0.0),
        float(-0.0),
        float(0.1),
        float(1e300),
        float(f64::MIN_POSITIVE / 4.0),
        float(f64::MAX),
        float(f64::INFINITY),
        float(f64::NEG_INFINITY),
        text(""),
        text("a\0b\0"),
        text("it's \"😀\" é\u{301} \u{feff}\u{10ffff}\r\n"),
        text("x".repeat(1_000_000)),
        bytes(&[]),
        bytes(&[0, 255, 128, 0]),
        bytes(&vec![7; 500_000]),
        json!({ "t": "other", "v": { "type_name": "NUMERIC", "text": "1.10" } }),
        json!({ "t": "other", "v": { "type_name": "UUID", "text": "67e55044-10b1-426f-9247-bb680e5fe0c8" } }),
    ];
    round_trip(&app, &values).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn random_values_come_back_as_they_were() -> Result {
    let app = serve(Engine::Sqlite, SCHEMA).await?;
    let value = prop_oneof![
        Just(json!({ "t": "null" })),
        any::<bool>().prop_map(|value| json!({ "t": "boolean", "v": value })),
        any::<i64>().prop_map(int),
        any::<f64>().prop_filter("SQLite has no NaN", |value| !value.is_nan()).prop_map(float),
        any::<String>().prop_map(text),
        vec(any::<u8>(), 0..50).prop_map(|value| bytes(&value)),
    ];
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(value, 1..20), |values| {
        let sent = block_in_place(|| Handle::current().block_on(round_trip(&app, &values)));
        sent.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    outcome.map_err(|error| error.to_string().into())
}

#[tokio::test]
async fn columns_declared_as_boolean_are_booleans() -> Result {
    let app = serve(
        Engine::Sqlite,
        "CREATE TABLE t (b BOOLEAN, n INTEGER);
        INSERT INTO t VALUES (1, 1), (0, 0), (NULL, 1), (2, 1), ('yes', 1), (1.5, 1)",
    )
    .await?;
    let read = results(&app, "GET", &json!([{ "sql": "SELECT b, n, b + 0 FROM t LIMIT 3" }])).await?;
    let (yes, no, nothing) =
        (json!({ "t": "boolean", "v": true }), json!({ "t": "boolean", "v": false }), json!({ "t": "null" }));
    assert_eq!(read[0]["rows"], json!([[yes, int(1), int(1)], [no, int(0), int(0)], [nothing, int(1), nothing]]));
    let read = results(&app, "GET", &json!([{ "sql": "SELECT b FROM t LIMIT 3 OFFSET 3" }])).await?;
    assert_eq!(read[0]["rows"], json!([[int(2)], [text("yes")], [float(1.5)]]), "what is no boolean stays what it is");
    Ok(())
}

#[tokio::test]
async fn nan_is_refused_and_not_made_null() -> Result {
    let app = serve(Engine::Sqlite, SCHEMA).await?;
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let step = json!({ "sql": "SELECT ?", "params": [{ "t": "float64", "v": "NaN" }] });
        let result = attempt(&app, method, step).await?;
        check_eq!(wrong, kind(&result), "data", "{method:?}");
        check!(wrong, result["error"]["message"].to_string().contains("NaN"), "{method:?}: {result}");
    }
    Ok(())
}

#[tokio::test]
async fn text_that_is_not_utf8_is_an_error_that_names_its_column() -> Result {
    let app = serve(
        Engine::Sqlite,
        "CREATE TABLE t (id, broken TEXT); INSERT INTO t VALUES (1, CAST(x'6180' AS TEXT)), (2, 'fine')",
    )
    .await?;
    let mut wrong = Wrong::default();
    for op in ["query", "query_one", "query_json"] {
        for method in ["GET", "POST"] {
            let result = attempt(&app, method, json!({ "sql": "SELECT * FROM t", "op": op })).await?;
            check_eq!(wrong, kind(&result), "data", "{op}");
            check!(wrong, result["error"]["message"].to_string().contains("broken"), "{op:?} {method:?}: {result}");
        }
    }
    let read = results(&app, "GET", &json!([{ "sql": "SELECT CAST(broken AS BLOB) FROM t WHERE id = 1" }])).await?;
    assert_eq!(read[0]["rows"][0][0], bytes(&[0x61, 0x80]));
    Ok(())
}

#[tokio::test]
async fn a_parser_reads_rows_as_json_back() -> Result {
    let app = serve(Engine::Sqlite, SCHEMA).await?;
    let hard: String = (0..0x250).filter_map(char::from_u32).chain("\u{2028}😀</script>".chars()).collect();
    let sql = r#"SELECT 1 AS "q""\", ?1 AS a, x'00ff' AS b, NULL AS c, 0.1 AS d, -9223372036854775808 AS e
        UNION ALL SELECT 2, '', x'', 1e300, -0.0, 9223372036854775807"#;
    let expected = json!([
        { "q\"\\": 1, "a": hard, "b": "AP8=", "c": null, "d": 0.1, "e": i64::MIN },
        { "q\"\\": 2, "a": "", "b": "", "c": 1e300, "d": 0.0, "e": i64::MAX },
    ]);
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let step = json!({ "sql": sql, "op": "query_json", "params": [hard] });
        let text = results(&app, method, &json!([step])).await?;
        let parsed: Json = serde_json::from_str(text[0]["json"].as_str().ok_or("no text")?)?;
        check_eq!(wrong, parsed, expected, "{method:?}");
        let none = results(&app, method, &json!([{ "sql": "SELECT 1 WHERE 0", "op": "query_json" }])).await?;
        check_eq!(wrong, none[0]["json"], "[]", "{method:?}");
        let infinite = attempt(&app, method, json!({ "sql": "SELECT 9e999 AS big", "op": "query_json" })).await?;
        check_eq!(wrong, kind(&infinite), "data", "{method:?}");
    }
    let body = json!([{ "answer": { "rows": { "sql": sql, "params": [hard] } } }]);
    assert_eq!(results(&app, "GET", &body).await?, expected, "and so is a body of rows");
    Ok(())
}

/// A single-precision number is written in JSON with the shortest digits that identify it in single precision, although
/// guests receive it as a `float64`.
async fn single_precision_numbers_are_short_in_json(engine: Engine) -> Result {
    let numbers = ["0.1", "16777216", "3.4028e38", "-1.5e-37", "0.3"];
    let float = if engine == Engine::Postgres { "real" } else { "FLOAT" };
    let insert = numbers.map(|number| format!("({number})")).join(", ");
    let app = serve(engine, &format!("CREATE TABLE t (v {float}); INSERT INTO t VALUES {insert}")).await?;
    let read = results(&app, "GET", &json!([{ "sql": "SELECT v FROM t", "op": "query_json" }])).await?;
    let json = read[0]["json"].as_str().ok_or("no JSON")?;
    let rows: Vec<String> = json.trim_matches(['[', ']']).split(',').map(str::to_owned).collect();
    let expected = ["0.1", "16777216.0", "3.4028e+38", "-1.5e-37", "0.3"].map(|number| format!("{{\"v\":{number}}}"));
    assert_eq!(rows, expected);
    Ok(())
}

on_each_server!(single_precision_numbers_are_short_in_json);
