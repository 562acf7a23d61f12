//! Values as parameters and in results, and results of all shapes.

use serde_json::json;

use super::case::{Case, JAVASCRIPT, QUICKJS};
use crate::support::Engine;

const ONE_NUMBER_TYPE: &str = "JavaScript has one type of numbers";
const INEXACT: &str = "QuickJS receives integers as numbers, which are not exact beyond 2^53";

pub fn cases(engine: Engine) -> Vec<Case> {
    let mut cases = values(engine);
    cases.extend(results(engine));
    cases.extend(rows(engine));
    cases
}

/// Stores a value and reads it in the same statement.
fn round_trip(column: &str, param: &str, shown: Option<&str>) -> Case {
    let sql = format!("INSERT INTO cells ({column}) VALUES (?) RETURNING {column}");
    let expected = json!({ "affected": 1, "columns": [column], "rows": [[shown]] });
    Case::statement("POST", "run", &sql, &[param]).returns(200, expected.to_string())
}

fn values(engine: Engine) -> Vec<Case> {
    let all_bytes: String = (0..=255).map(|byte| format!("{byte:02x}")).collect();
    let (all_bytes, long) = (format!("bytes {all_bytes}"), format!("text {}", "🌰".repeat(1000)));
    let mut cases = Vec::new();
    for (column, values) in [
        ("whole", &["int 0", "int -1", "int 9007199254740991", "int -9007199254740991"][..]),
        // 0.1, the smallest and the largest number.
        ("fraction", &["float 3fb999999999999a", "float 0000000000000001"]),
        ("words", &["text ", "text 🌰\u{10ffff}e\u{301}", "text \u{1}\u{7f}\u{2028}\"\\/\n", "text  a ", &long]),
        ("raw", &["bytes ", "bytes 00", "bytes ff", &all_bytes]),
        ("flag", &["true", "false"]),
        ("day", &["text 2026-02-28"]),
    ] {
        cases.push(round_trip(column, "null", None));
        cases.extend(values.iter().map(|value| round_trip(column, value, Some(value))));
    }
    for number in ["int 9007199254740993", "int 9223372036854775807", "int -9223372036854775808"] {
        cases.push(round_trip("whole", number, Some(number)).except(QUICKJS, 500, "", INEXACT));
        // As a parameter, an integer is exact on QuickJS too.
        let sql = "INSERT INTO cells (whole) VALUES (?) RETURNING CAST(whole AS CHAR(20)) AS digits";
        let digits = format!(r#""digits"],"rows":[["text {}"#, number.trim_start_matches("int "));
        cases.push(Case::statement("POST", "run", sql, &[number]).contains(200, &[&digits]));
    }
    for (bits, whole) in [("4014000000000000", "5"), ("7fefffffffffffff", "1.7976931348623157e+308")] {
        let found = format!(r#"{{"affected":1,"columns":["fraction"],"rows":[["int {whole}"]]}}"#);
        let number = format!("float {bits}");
        cases.push(round_trip("fraction", &number, Some(&number)).except(JAVASCRIPT, 200, found, ONE_NUMBER_TYPE));
    }
    let special = |bits: &str| round_trip("fraction", &format!("float {bits}"), Some(&format!("float {bits}")));
    let refused = |bits: &str| {
        let sql = "INSERT INTO cells (fraction) VALUES (?)";
        Case::statement("POST", "run", sql, &[&format!("float {bits}")]).contains(409, &[r#""kind":"data""#])
    };
    let (minus_zero, nan, infinities) =
        ("8000000000000000", "7ff8000000000000", ["7ff0000000000000", "fff0000000000000"]);
    // SQLite and MariaDB store -0.0 as 0.0.
    cases.push(match engine {
        Engine::Postgres => special(minus_zero),
        _ => round_trip("fraction", &format!("float {minus_zero}"), Some("float 0000000000000000")).except(
            JAVASCRIPT,
            200,
            r#"{"affected":1,"columns":["fraction"],"rows":[["int 0"]]}"#,
            ONE_NUMBER_TYPE,
        ),
    });
    cases.push(if engine == Engine::Postgres { special(nan) } else { refused(nan) });
    cases.extend(infinities.map(|bits| if engine == Engine::MariaDb { refused(bits) } else { special(bits) }));
    cases.push(match engine {
        Engine::Postgres => Case::statement("POST", "run", "INSERT INTO cells (words) VALUES (?)", &["text a\0b"])
            .contains(409, &[r#""kind":"data""#]),
        _ => round_trip("words", "text a\0b", Some("text a\0b")),
    });
    cases
}

/// Values of other types, which are texts in all languages.
fn results(engine: Engine) -> Vec<Case> {
    let sql = "INSERT INTO cells (exact, moment, clock) VALUES (?, ?, ?) RETURNING exact, moment, clock";
    let params = ["text 12345678901234567890.1234567890", "text 2026-11-30 19:20:21.123456", "text 19:20:21"];
    let row = match engine {
        // SQLite stores a decimal number as a float.
        Engine::Sqlite => json!(["float 43e56a95319d63e1", params[1], params[2]]),
        _ => json!(params),
    };
    let expected = json!({ "affected": 1, "columns": ["exact", "moment", "clock"], "rows": [row] });
    let others = Case::statement("POST", "run", sql, &params).returns(200, expected.to_string());
    let others = match engine {
        Engine::Sqlite => others.except(JAVASCRIPT, 200, r#"{"affected":1,"columns":["exact""#, ONE_NUMBER_TYPE),
        _ => others,
    };
    let many: Vec<String> = (1..=100).map(|number| format!("{number} AS c{number}")).collect();
    let names: Vec<String> = (1..=100).map(|number| format!("c{number}")).collect();
    let numbers: Vec<String> = (1..=100).map(|number| format!("int {number}")).collect();
    let empty = "SELECT whole, words FROM cells WHERE whole = 4711";
    let read = |how: &str, sql: &str| Case::statement("GET", how, sql, &[]);
    vec![
        others,
        read("run", empty).returns(200, r#"{"affected":0,"columns":["whole","words"],"rows":[]}"#),
        read("json", empty).returns(200, "[]"),
        read("first", empty).returns(204, ""),
        read("typed", "SELECT id, name, weight FROM notes").returns(200, "[]"),
        read("rows", empty).returns(200, "[]"),
        read("csv", empty).returns(200, "whole,words\r\n"),
        Case::statement("POST", "run", "DELETE FROM notes", &[])
            .returns(200, r#"{"affected":0,"columns":[],"rows":[]}"#),
        Case::statement("POST", "execute", "DELETE FROM notes", &[]).returns(200, r#"{"affected":0}"#),
        Case::statement("POST", "execute", "INSERT INTO notes (name) VALUES (?), (?2)", &["text a", "text b"])
            .returns(200, r#"{"affected":2}"#)
            .leaves(&["a", "b"]),
        read("run", "SELECT 1 AS a, 2 AS a, 3 AS \"__proto__\"".replace('"', quote(engine)).as_str())
            .returns(200, r#"{"affected":0,"columns":["a","a","__proto__"],"rows":[["int 1","int 2","int 3"]]}"#),
        read("json", "SELECT 1 AS a, 2 AS a").returns(200, r#"[{"a":1,"a":2}]"#),
        read("run", &format!("SELECT {}", many.join(", ")))
            .returns(200, json!({ "affected": 0, "columns": names, "rows": [numbers] }).to_string()),
    ]
}

fn quote(engine: Engine) -> &'static str {
    if engine == Engine::MariaDb { "`" } else { "\"" }
}

/// Rows as values of the language, and large results.
fn rows(engine: Engine) -> Vec<Case> {
    let insert = "INSERT INTO notes (name, weight) VALUES ('a', NULL), ('🌰', 7)";
    let select = "SELECT id, name, weight FROM notes ORDER BY id";
    // The tests delete notes, so the keys of these begin with 1000.
    let keyed = match engine {
        Engine::Postgres => "INSERT INTO notes (id, name, weight) OVERRIDING SYSTEM VALUE VALUES",
        _ => "INSERT INTO notes (id, name, weight) VALUES",
    };
    let keyed = format!("{keyed} (1000, 'a', NULL), (1001, '🌰', 7)");
    let read = |how: &str| Case::statement("GET", how, select, &[]);
    let digit =
        format!("(SELECT 0 AS d{})", (1..10).map(|digit| format!(" UNION ALL SELECT {digit}")).collect::<String>());
    let series = |count: u32| {
        format!(
            "SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1 AS i \
             FROM {digit} AS a, {digit} AS b, {digit} AS c, {digit} AS e, {digit} AS f ORDER BY i LIMIT {count}"
        )
    };
    let large = |how: &str| Case::statement("GET", how, &series(10_000), &[]);
    let numbers: Vec<[String; 1]> = (1..=10_000).map(|number| [format!("int {number}")]).collect();
    let objects: Vec<_> = (1..=10_000).map(|number| json!({ "i": number })).collect();
    let lines: String = (1..=10_000).map(|number| format!("{number}\r\n")).collect();
    vec![
        Case::statement("POST", "execute", insert, &[]).returns(200, r#"{"affected":2}"#).leaves(&["a", "🌰"]),
        Case::statement("POST", "execute", &keyed, &[]).returns(200, r#"{"affected":2}"#),
        read("typed").returns(200, r#"[["1000","a",null],["1001","🌰","7"]]"#),
        read("json").returns(200, r#"[{"id":1000,"name":"a","weight":null},{"id":1001,"name":"🌰","weight":7}]"#),
        read("first").returns(200, r#"{"id":1000,"name":"a","weight":null}"#),
        read("rows").returns(200, r#"[{"id":1000,"name":"a","weight":null},{"id":1001,"name":"🌰","weight":7}]"#),
        read("csv").returns(200, "id,name,weight\r\n1000,a,\r\n1001,🌰,7\r\n"),
        Case::statement("POST", "execute", "DELETE FROM notes", &[]).returns(200, r#"{"affected":2}"#).leaves(&[]),
        large("run").returns(200, json!({ "affected": 0, "columns": ["i"], "rows": numbers }).to_string()),
        large("json").returns(200, json!(objects).to_string()),
        large("rows").returns(200, json!(objects).to_string()),
        large("csv").returns(200, format!("i\r\n{lines}")),
        Case::statement("GET", "run", &series(10_001), &[]).contains(409, &[r#""kind":"limit""#]),
    ]
}
