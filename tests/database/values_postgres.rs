//! Values of PostgreSQL's types through the contract: the value that a guest reads for each literal, and the same value
//! as a parameter.

mod table;

use serde_json::{Value as Json, json};

use self::table::{Is, TABLE, TYPES, other};
use super::values::{bytes, float, int, text};
use crate::{
    script::{self, attempt, kind, results},
    support::{App, Engine, Result, Wrong, check, check_eq, check_ne, on_each_engine},
};

/// Returns SQL that creates the types, and a table with one column of each type.
fn schema() -> String {
    let columns: Vec<_> = TABLE.iter().enumerate().map(|(at, (kind, ..))| format!(", c{at} {kind}")).collect();
    format!("{TYPES} CREATE TABLE t (id int PRIMARY KEY{});", columns.concat())
}

async fn serve(engine: Engine) -> Result<App> {
    // The random values of 1,000 rows take seconds on a busy machine.
    let env = [("CARYA_DATABASE__STATEMENT_TIMEOUT", "60s"), ("CARYA_COMPONENT__PROBE__TIMEOUT", "60s")];
    let files = [("migrations/0001_tables.sql", &*schema())];
    App::start_in(engine.folder().await?, &script::config(), &files, &env).await
}

async fn every_type_comes_out_in_the_servers_own_text(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let mut wrong = Wrong::default();
    for part in TABLE.chunks(40) {
        let literal = |(kind, literal, _): &(&str, &str, Is)| format!("'{}'::{kind}", literal.replace('\'', "''"));
        let sql = format!("SELECT {}", part.iter().map(literal).collect::<Vec<_>>().join(", "));
        let expected: Vec<Json> = part.iter().map(|(.., is)| is.json()).collect();
        for method in ["GET", "POST"] {
            let read = results(&app, method, &json!([{ "sql": sql }])).await?;
            check_eq!(wrong, read[0]["rows"][0], json!(expected), "{method:?}");
        }
    }
    Ok(())
}

async fn every_value_goes_into_a_column_of_its_type_and_back(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let mut script = Vec::new();
    for (at, (.., is)) in TABLE.iter().enumerate() {
        let sql = format!("INSERT INTO t (id, c{at}) VALUES (?, ?) RETURNING c{at}");
        script.push(json!({ "sql": sql, "params": [at, is.json()] }));
    }
    let returned = results(&app, "POST", &json!(script)).await?;
    let mut wrong = Wrong::default();
    for (at, (kind, literal, is)) in TABLE.iter().enumerate() {
        check_eq!(wrong, returned[at]["rows"][0][0], is.json(), "{kind} {literal}");
    }
    for (at, (kind, literal, is)) in TABLE.iter().enumerate() {
        let sql = format!("SELECT c{at} FROM t WHERE id = ?");
        let read = results(&app, "GET", &json!([{ "sql": sql, "params": [at] }])).await?;
        check_eq!(wrong, read[0]["rows"][0][0], is.json(), "{kind} {literal}");
    }
    Ok(())
}

async fn every_value_is_itself_without_an_inferred_type(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let mut wrong = Wrong::default();
    for part in TABLE.chunks(40) {
        let values: Vec<Json> = part.iter().map(|(.., is)| is.json()).collect();
        let sql = format!("SELECT {}", vec!["?"; values.len()].join(", "));
        let echoed = results(&app, "GET", &json!([{ "sql": sql, "params": values }])).await?;
        check_eq!(wrong, echoed[0]["rows"][0], json!(values), "{sql}");
    }
    Ok(())
}

async fn unsupported_types_are_errors_with_the_remedy(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let mut wrong = Wrong::default();
    for (expression, name) in [
        ("'(1,2)'::point", "point"),
        ("ROW(1, 'a')", "record"),
        ("ROW(1, 'a')::pair", "pair"),
        ("ARRAY['(1,2)'::point]", "point[]"),
        ("'a b'::tsvector", "tsvector"),
        ("'1.00'::money", "money"),
    ] {
        let refused = attempt(&app, "GET", json!({ "sql": format!("SELECT {expression} AS x") })).await?;
        check_eq!(wrong, kind(&refused), "other", "{expression:?} {name:?}");
        let message = refused["error"]["message"].to_string();
        check!(wrong, message.contains(name) && message.contains("x::text"), "{expression:?} {name:?}: {message}");
        let sql = format!("SELECT ({expression})::text AS x");
        check_eq!(
            wrong,
            kind(&attempt(&app, "GET", json!({ "sql": sql })).await?),
            "ok",
            "{expression:?} {name:?}: {sql}"
        );
    }
    // The driver cannot read a multirange, so the error comes from the driver.
    let refused = attempt(&app, "GET", json!({ "sql": "SELECT '{[1,2)}'::int4multirange" })).await?;
    assert_eq!(kind(&refused), "other");
    Ok(())
}

async fn values_are_sent_as_the_inferred_type(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let table = [
        ("SELECT ?::int4", int(7), int(7)),
        ("SELECT ?::numeric", int(7), other("NUMERIC", "7")),
        ("SELECT ?::numeric", float(0.1), other("NUMERIC", "0.1")),
        ("SELECT ?::text", int(7), text("7")),
        ("SELECT 1.5 > ?", int(1), json!({ "t": "boolean", "v": true })),
        ("SELECT ? + 1", float(2.0), int(3)),
        ("SELECT ?::bool", int(1), json!({ "t": "boolean", "v": true })),
        ("SELECT ?::jsonb", int(1), other("JSONB", "1")),
        ("SELECT ?::jsonb", text("[1]"), other("JSONB", "[1]")),
        ("SELECT ?::timestamptz", text("2024-01-01 00:00+02"), other("TIMESTAMPTZ", "2023-12-31 22:00:00+00")),
        ("SELECT 2 = ANY(?)", text("{1,2}"), json!({ "t": "boolean", "v": true })),
        ("SELECT ?::bytea", bytes(&[0, 255]), bytes(&[0, 255])),
        ("SELECT ?", other("DATETIME", "2024-01-01 00:00:00"), other("TIMESTAMP", "2024-01-01 00:00:00")),
        ("SELECT n FROM generate_series(1, 3) n LIMIT ?", int(1), int(1)),
        ("SELECT a.x FROM (SELECT 7 AS x) a WHERE a.x = ?", int(7), int(7)),
    ];
    let mut wrong = Wrong::default();
    for (sql, param, expected) in table {
        let read = results(&app, "GET", &json!([{ "sql": sql, "params": [param] }])).await?;
        check_eq!(wrong, read[0]["rows"][0][0], expected, "{sql} {param}");
    }
    Ok(())
}

async fn values_out_of_range_are_refused_and_never_converted(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let table = [
        ("SELECT ?::int2", int(40_000), Some("22003")),
        ("SELECT ?::int4", int(1 << 40), Some("22003")),
        ("SELECT ?::oid", int(-1), Some("22003")),
        ("SELECT ?::float4", float(1e300), Some("22003")),
        ("SELECT ?::int4", float(1.5), Some("22P02")),
        ("SELECT ?::bool", int(2), Some("22P02")),
        ("SELECT ?::uuid", text("no"), Some("22P02")),
        ("SELECT ?::date", text("2024-02-30"), Some("22008")),
        ("SELECT ?::\"Mood\"", text("sad"), Some("22P02")),
        ("SELECT ?::price", other("NUMERIC", "-1"), Some("23514")),
        ("SELECT ?::text", text("a\0"), Some("22021")),
        ("SELECT ?::uuid", bytes(&[1]), Some("42846")),
        ("SELECT ?", other("NUMERIC", "one"), Some("22P02")),
        ("SELECT ?", other("nosuchtype", "1"), Some("42704")),
        ("SELECT ?", other("int4) FROM secrets; --", "1"), None),
        ("SELECT ?", other("int4 OR true", "1"), None),
        ("SELECT ?", other("int4[](1)", "1"), None),
        ("SELECT ?", other("\"int4", "1"), None),
    ];
    let mut wrong = Wrong::default();
    for (sql, param, code) in table {
        let refused = attempt(&app, "GET", json!({ "sql": sql, "params": [param] })).await?;
        check_ne!(wrong, kind(&refused), "ok", "{sql} {param}");
        let is_data = code.is_some_and(|code| code.starts_with("22"));
        check_eq!(wrong, kind(&refused) == "data", is_data, "{sql} {param} {refused}");
        check_eq!(wrong, refused["error"]["code"].as_str(), code, "{sql} {param} {refused}");
    }
    Ok(())
}

async fn json_columns_are_json_in_rows_as_json(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let sql = r#"SELECT '{"b":  [1.50]}'::json AS a, '{"b": [1.50]}'::jsonb AS b, 1.10 AS c, '{1,2}'::int4[] AS d"#;
    let read = results(&app, "GET", &json!([{ "sql": sql, "op": "query_json" }])).await?;
    assert_eq!(read[0]["json"], r#"[{"a":{"b":  [1.50]},"b":{"b": [1.50]},"c":"1.10","d":"{1,2}"}]"#);
    Ok(())
}

async fn random_values_have_the_servers_own_text(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let expressions = [
        "round((random() - 0.5)::numeric * (10::numeric ^ (random() * 80 - 40)::int), (random() * 50)::int)",
        "trunc((random() * 1e15)::numeric * (random() * 1e15)::numeric, (random() * 30 - 15)::int)",
        "'4713-01-01 BC'::timestamptz + make_interval(secs => random() * 9.2e12)",
        "'0005-01-01 BC'::timestamp + make_interval(hours => (random() * 80000)::int)",
        "'4713-11-24 BC'::date + (random() * 2147483000)::int",
        "'1899-11-24'::date + (random() * 200000)::int",
        "make_interval((random() * 3 - 1.5)::int, (random() * 3 - 1.5)::int, 0, (random() * 3 - 1.5)::int, 0, 0,
            (random() * 3 - 1.5)::int)",
        "'00:00'::time + make_interval(secs => random() * 86400)",
        "set_masklen('0.0.0.0'::inet + (random() * 4294967295)::int8, (random() * 32)::int)",
        "(SELECT string_agg(CASE WHEN random() < 0.7 THEN '0' ELSE to_hex((random() * 65535)::int) END, ':')
            FROM generate_series(1, 8 + n * 0))::inet",
        "ARRAY[random() * 10 ^ (random() * 600 - 300)::int, (random() * 10)::int * 10.0::float8 ^ (random() * 50)::int]",
        "ARRAY[(random() * 10 ^ (random() * 60 - 30)::int)::float4, (2::float8 ^ (random() * 200 - 100)::int)::float4]",
        r#"(SELECT array_agg((SELECT string_agg(substr(E'a{}"\\, \t\nNULnul()[]', 1 + (random() * 19)::int, 1), '')
            FROM generate_series(0, (random() * 4)::int + m * 0))) FROM generate_series(1, 4 + n * 0) m)"#,
        r#"textrange((SELECT string_agg(substr(E'a{}"\\, \t\n()[]', 1 + (random() * 13)::int, 1), '')
            FROM generate_series(0, (random() * 4)::int + n * 0)), NULL, '(]')"#,
    ];
    let mut wrong = Wrong::default();
    for expression in expressions {
        // `format` calls the output function of the type, as the text of an array does. A cast may call another
        // function.
        let sql = format!(
            "SELECT x, format('%s', x) FROM (SELECT {expression} AS x FROM generate_series(1, 1000) n OFFSET 0) q"
        );
        let read = results(&app, "GET", &json!([{ "sql": sql }])).await?;
        let rows = read[0]["rows"].as_array().ok_or("no rows")?;
        check_eq!(wrong, rows.len(), 1000, "{expression:?}");
        for row in rows {
            check_eq!(wrong, row[0]["v"]["text"], row[1]["v"], "{expression}");
        }
        let few: Vec<&Json> = rows.iter().take(40).map(|row| &row[0]).collect();
        let sql = format!("SELECT {}", vec!["?"; few.len()].join(", "));
        let echoed = results(&app, "GET", &json!([{ "sql": sql, "params": few }])).await?;
        check_eq!(wrong, echoed[0]["rows"][0], json!(few), "{expression}");
    }
    Ok(())
}

async fn the_longest_intervals_are_no_infinity_before_version_17(engine: Engine) -> Result {
    let app = serve(engine).await?;
    let longest = "make_interval(months => -2147483648, days => -2147483648, hours => -2147483648) \
        + '-414564140 hours -54.775808 secs'::interval";
    let sql = format!("SELECT v, v::text, ARRAY[v]::text, ARRAY[v] FROM (SELECT {longest} AS v) AS longest");
    let read = results(&app, "GET", &json!([{ "sql": sql, "op": "query_one" }])).await?;
    let row = &read[0]["row"];
    assert_eq!(row[0]["v"]["text"], row[1]["v"], "{row}");
    assert_eq!(row[3]["v"]["text"], row[2]["v"], "{row}");
    Ok(())
}

on_each_engine! {
    postgres Postgres:
    every_type_comes_out_in_the_servers_own_text,
    every_value_goes_into_a_column_of_its_type_and_back,
    every_value_is_itself_without_an_inferred_type,
    unsupported_types_are_errors_with_the_remedy,
    values_are_sent_as_the_inferred_type,
    values_out_of_range_are_refused_and_never_converted,
    json_columns_are_json_in_rows_as_json,
    random_values_have_the_servers_own_text,
    the_longest_intervals_are_no_infinity_before_version_17
}
