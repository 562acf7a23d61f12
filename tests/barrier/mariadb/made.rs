//! Generated long statements for MariaDB, and statements with parameters.

use serde_json::{Value as Json, json};

use super::super::server::{
    Row,
    Stop::{self, Gate, Host, Runs, Server},
};

fn long() -> Vec<(String, Stop)> {
    let many = |what: &str, count: usize, between: &str| vec![what; count].join(between);
    let nested = |open: &str, core: &str, close: &str, depth: usize| {
        format!("SELECT {}{core}{}", open.repeat(depth), close.repeat(depth))
    };
    vec![
        // Endless or oversized results.
        ("SELECT seq FROM seq_1_to_1000000000".to_owned(), Host("limit")),
        ("SELECT a.seq, b.seq FROM seq_1_to_1000000000 a, seq_1_to_1000000000 b".to_owned(), Host("limit")),
        ("SELECT REPEAT('x', 100000) FROM seq_1_to_20".to_owned(), Host("limit")),
        ("SELECT REPEAT('x', 3000000)".to_owned(), Host("limit")),
        (format!("SELECT {}", many("REPEAT('x', 100000)", 100, ",")), Host("limit")),
        (format!("SELECT {}", many("1", 4000, ",")), Runs),
        // Deeply nested or long statements.
        (nested("(", "1", ")", 500), Runs),
        (nested("(", "1", ")", 15_000), Runs),
        (nested("NOT ", "1", "", 7000), Runs),
        (nested("abs(", "1", ")", 5000), Server("limit|other")),
        (nested("(SELECT ", "1", ")", 500), Server("other|limit")),
        (nested("CASE WHEN 1 THEN ", "1", " END", 1500), Server("limit|other")),
        (format!("SELECT {}", many("1", 15_000, "+")), Server("limit|other")),
        (format!("SELECT JSON_EXTRACT('{}', '$')", "[".repeat(30_000)), Runs),
        (format!("SELECT 'a' REGEXP '{}'", "(".repeat(20_000)), Server("other|limit")),
        (format!("SELECT 1 FROM items WHERE id IN ({})", many("1", 15_000, ",")), Runs),
        (many("SELECT 1", 100, " UNION ALL "), Runs),
        (format!("SELECT 1 FROM {}", many("items", 70, " JOIN ")), Server("other")),
        (format!("SELECT * FROM {}", "x".repeat(20_000)), Server("other")),
        (format!("SELECT '{}'", "x".repeat(40_000)), Gate("limit")),
    ]
}

fn with_parameters() -> Vec<(&'static str, Json, Stop)> {
    let other = |name: &str, text: &str| json!({ "t": "other", "v": { "type_name": name, "text": text } });
    let nan = json!({ "t": "float64", "v": "NaN" });
    vec![
        ("SELECT 1", json!([1]), Gate("other")),
        ("SELECT ?, ?", json!([1]), Gate("other")),
        ("SELECT ?2", json!([1]), Gate("other")),
        ("SELECT ?99999999999999999999", json!([1]), Gate("other")),
        ("SELECT ?1001", json!(vec![1; 1001]), Gate("limit")),
        // The server loses parameters inside `VALUES`.
        ("VALUES (?)", json!([1]), Gate("forbidden")),
        ("VALUES (1, ?), (?, 2)", json!([1, 2]), Gate("forbidden")),
        ("SELECT * FROM (VALUES (?)) x", json!([1]), Gate("forbidden")),
        ("WITH x AS (VALUES (?)) SELECT * FROM x", json!([1]), Gate("forbidden")),
        ("SELECT ?", json!(["x".repeat(5_000_000)]), Gate("limit")),
        ("SELECT ?", json!(["x".repeat(2_000_000)]), Host("limit")),
        ("SELECT ?", json!(["\0"]), Runs),
        ("SELECT ?", json!(["\\'; COMMIT; --"]), Runs),
        ("SELECT name FROM items WHERE name = ?", json!(["' OR 1 = 1 --"]), Runs),
        ("SELECT ?", json!([nan]), Gate("data")),
        ("SELECT ?", json!([other("DECIMAL", "1); COMMIT")]), Gate("data")),
        ("SELECT ?", json!([other("BIGINT UNSIGNED", "-1")]), Gate("data")),
        ("SELECT ?", json!([other("evil'; COMMIT", "1")]), Runs),
        ("SELECT ?", json!([{ "t": "bytes", "v": "00ff" }]), Runs),
        ("SELECT * FROM items LIMIT ?", json!(["x"]), Runs),
        ("SELECT JSON_VALID(?)", json!(["[".repeat(100_000)]), Runs),
        ("SELECT length(REPEAT(?, 1000000000))", json!(["xx"]), Runs),
    ]
}

pub fn rows() -> Vec<Row> {
    let row = |sql: String, params: Json, stop: Stop| Row { sql, params, reader: stop, writer: Some(stop) };
    let long = long().into_iter().map(|(sql, stop)| row(sql, json!([]), stop));
    long.chain(with_parameters().into_iter().map(|(sql, params, stop)| row(sql.to_owned(), params, stop))).collect()
}
