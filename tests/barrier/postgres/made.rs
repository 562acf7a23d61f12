//! Generated long statements for PostgreSQL, and statements with parameters.

use serde_json::{Value as Json, json};

use super::super::server::{
    Row,
    Stop::{self, Both, Gate, Host, Runs, Server},
};

const COUNTS: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)";

fn long() -> Vec<(String, Stop)> {
    let many = |what: &str, count: usize, between: &str| vec![what; count].join(between);
    let nested = |open: &str, core: &str, close: &str, depth: usize| {
        format!("SELECT {}{core}{}", open.repeat(depth), close.repeat(depth))
    };
    let eight = "(VALUES (1),(2),(3),(4),(5),(6),(7),(8))";
    let tables: Vec<String> = (0..12).map(|n| format!("{eight} t{n} (a)")).collect();
    let tables = tables.join(", ");
    vec![
        // Endless or oversized results.
        (format!("{COUNTS} SELECT n FROM c"), Host("limit")),
        ("SELECT generate_series(1, 1000000000)".to_owned(), Host("limit")),
        (format!("SELECT * FROM {tables}"), Host("limit")),
        ("SELECT repeat('x', 100000) FROM generate_series(1, 20)".to_owned(), Host("limit")),
        ("SELECT repeat('x', 3000000)".to_owned(), Host("limit")),
        ("SELECT repeat('x', 2000000000)".to_owned(), Server("limit|other|timeout")),
        ("SELECT array_fill(1, ARRAY[100000, 100000])".to_owned(), Server("limit|other|timeout")),
        (format!("SELECT {}", many("1", 1700, ",")), Server("limit|timeout")),
        (format!("SELECT {}", many("1", 1600, ",")), Runs),
        // Deeply nested or long statements.
        (nested("(", "1", ")", 5000), Runs),
        (nested("abs(", "1", ")", 6000), Server("limit|other|timeout")),
        (nested("CASE WHEN true THEN ", "1", " END", 1200), Runs),
        (nested("(SELECT ", "1", ")", 2500), Server("limit|other|timeout")),
        (nested("ARRAY[", "1", "]", 4000), Server("limit|other|timeout")),
        (format!("SELECT {}", many("1", 10_000, "+")), Server("limit|timeout")),
        (format!("SELECT '{}'::jsonb", "[".repeat(30_000)), Server("limit|other|timeout")),
        (format!("SELECT '{}1{}'::int[]", "{".repeat(9), "}".repeat(9)), Server("limit|other|timeout")),
        (format!("SELECT 'a' ~ '{}'", "(".repeat(20_000)), Server("data|limit")),
        (format!("SELECT 1 WHERE 1 IN ({})", many("1", 15_000, ",")), Runs),
        (many("SELECT 1", 200, " UNION ALL "), Runs),
        (format!("SELECT 1 AS {}", "x".repeat(20_000)), Runs),
        (format!("SELECT * FROM {}", "x".repeat(20_000)), Server("other")),
        (format!("SELECT count(*) FROM {tables}, {eight} u"), Server("timeout")),
        (format!("SELECT '{}'", "x".repeat(40_000)), Gate("limit")),
        // Types without a value in the contract, and types that the driver cannot read.
        ("SELECT ARRAY['[1,5)'::int4range], '$.a'::jsonpath::text, '{2024-01-01}'::date[], '(0,1)'::tid, '1'::xid8, '1 2'::int2vector::text".to_owned(), Runs),
        ("SELECT 1::regclass".to_owned(), Host("other")),
        ("SELECT i, ARRAY[i], ROW(i, ROW(1)) FROM items i".to_owned(), Host("other")),
        ("SELECT record_out(ROW(1))".to_owned(), Host("other")),
        ("SELECT point(1, 2), '<(1,2),3>'::circle".to_owned(), Host("other")),
        ("SELECT relacl FROM pg_class".to_owned(), Server("other")),
        ("SELECT '{[1,3), [5,7)}'::int4multirange".to_owned(), Both("other")),
    ]
}

fn with_parameters() -> Vec<(&'static str, Json, Stop)> {
    let other = |name: &str, text: &str| json!({ "t": "other", "v": { "type_name": name, "text": text } });
    let nan = json!({ "t": "float64", "v": "NaN" });
    vec![
        ("SELECT $1, 1", json!([]), Both("other")),
        ("SELECT 1", json!([1]), Gate("other")),
        ("SELECT ?, ?", json!([1]), Gate("other")),
        ("SELECT $2", json!([1]), Gate("other")),
        ("SELECT $99999999999999999999", json!([1]), Gate("other")),
        ("SELECT ?1001", json!(vec![1; 1001]), Gate("limit")),
        ("SELECT $1::text", json!(["x".repeat(5_000_000)]), Gate("limit")),
        ("SELECT $1::text", json!(["x".repeat(2_000_000)]), Host("limit")),
        ("SELECT $1::text", json!(["\0"]), Server("data")),
        ("SELECT $1::text", json!(["'; COMMIT; --"]), Runs),
        ("SELECT name FROM items WHERE id = $1", json!(["1; DROP TABLE items"]), Server("data")),
        ("SELECT $1::int", json!([9_999_999_999_i64]), Server("data")),
        ("SELECT $1::int", json!([nan]), Server("data")),
        ("SELECT $1", json!([other("int4); DROP TABLE items; --", "1")]), Gate("other")),
        ("SELECT $1", json!([other("int4; COMMIT", "1")]), Gate("other")),
        ("SELECT $1", json!([other("int4) FROM carya.carya_outbox --", "1")]), Gate("other")),
        ("SELECT $1", json!([other("regclass", "items")]), Host("other")),
        ("SELECT $1", json!([other("no_such_type", "1")]), Server("other")),
        ("SELECT $1", json!([{ "t": "bytes", "v": "00ff" }]), Runs),
        ("SELECT $1::jsonb", json!(["[".repeat(100_000)]), Server("limit|other|timeout")),
        ("SELECT repeat($1, 1000000000)", json!(["xx"]), Server("limit|other|timeout")),
    ]
}

pub fn rows() -> Vec<Row> {
    let row = |sql: String, params: Json, stop: Stop| Row { sql, params, reader: stop, writer: Some(stop) };
    let long = long().into_iter().map(|(sql, stop)| row(sql, json!([]), stop));
    long.chain(with_parameters().into_iter().map(|(sql, params, stop)| row(sql.to_owned(), params, stop))).collect()
}
