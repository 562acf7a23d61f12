//! The rows that a client receives.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{length, many, rows, start};
use crate::{
    script::{self, play},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
};

/// Limits that each tested stream exceeds.
const LIMITS: &str = "[database]\nmax_rows = 1000\nmax_result = \"64KiB\"\n[server]\nmax_response = \"64KiB\"\n";

/// Returns the values of the first column.
fn numbers(format: &str, text: &str) -> Result<BTreeSet<i64>> {
    let number = |row: &Json| row["i"].as_i64().ok_or("no number");
    Ok(match format {
        "json" => serde_json::from_str::<Vec<Json>>(text)?.iter().map(number).collect::<std::result::Result<_, _>>()?,
        "ndjson" => text.lines().map(|line| Ok(number(&serde_json::from_str(line)?)?)).collect::<Result<_>>()?,
        _ => {
            let lines = text.strip_prefix("i,name\r\n").ok_or("no header")?.split_terminator("\r\n");
            lines.map(|line| Ok(line.split(',').next().unwrap_or_default().parse()?)).collect::<Result<_>>()?
        }
    })
}

async fn all_rows_arrive_in_each_format(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    let mut wrong = Wrong::default();
    for format in ["json", "ndjson", "csv"] {
        let answer = play(&app, "GET", "/x", &rows(&many(20), format)).await?;
        check_eq!(wrong, answer.status, 200, "{format}: {}", answer.text());
        check_eq!(wrong, answer.header("transfer-encoding"), "chunked", "{format}");
        check_eq!(wrong, answer.header("content-length"), "", "{format}");
        let found = numbers(format, &answer.text())?;
        check_eq!(wrong, (found.len(), found.first(), found.last()), (20_000, Some(&0), Some(&19_999)), "{format}");
    }
    Ok(())
}

async fn small_results_have_a_length(engine: Engine) -> Result {
    let app = start(engine, "").await?;
    let mut wrong = Wrong::default();
    let (none, one) = (
        "SELECT n AS i, 'x' AS name FROM thousand WHERE n < 0",
        "SELECT n AS i, 'x' AS name FROM thousand WHERE n = 7",
    );
    for (sql, format, expected) in [
        (none, "json", "[]"),
        (none, "ndjson", ""),
        (none, "csv", "i,name\r\n"),
        (one, "json", r#"[{"i":7,"name":"x"}]"#),
        (one, "csv", "i,name\r\n7,x\r\n"),
    ] {
        // The first response teaches the host that the result is small.
        for attempt in 1..=3 {
            let answer = play(&app, "GET", "/x", &rows(sql, format)).await?;
            let length = expected.len().to_string();
            check_eq!(wrong, (answer.status, &*answer.text()), (200, expected), "{attempt}: {format}: {sql}");
            check_eq!(wrong, answer.header("content-length"), length, "{attempt}: {format}: {sql}");
            check!(wrong, !answer.events().contains(&"stream".to_owned()), "{attempt}: {:?}", answer.events());
        }
    }
    Ok(())
}

/// Returns a script for the rows of one of two sizes.
fn sized(is_large: bool) -> Json {
    let sql = many(10) + " AND (?1 = 1 AND a.n < 5 OR ?1 = 0 AND a.n < 1 AND b.n < 10)";
    json!([{ "answer": { "rows": { "sql": sql, "params": [i32::from(is_large)], "format": "csv" } } }])
}

async fn a_statement_with_a_growing_result_is_streamed(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    let mut wrong = Wrong::default();
    for (attempt, is_large) in [false, false, true, true, false].into_iter().enumerate() {
        let answer = play(&app, "GET", "/x", &sized(is_large)).await?;
        let expected = if is_large { 5001 } else { 11 };
        check_eq!(
            wrong,
            (answer.status, answer.text().lines().count()),
            (200, expected),
            "{attempt}: {}",
            answer.text()
        );
        // The host has learned that the result is small, reads it in one go, and has to run the request again.
        let retries = answer.events().iter().filter(|event| *event == "retry").count();
        check_eq!(wrong, retries, usize::from(attempt == 2), "{attempt}: {:?}", answer.events());
    }
    Ok(())
}

async fn parameters_and_earlier_statements_work(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    let sql = many(1000) + " AND a.n >= ? AND a.n < ?";
    let script = json!([
        { "sql": "SELECT count(*) FROM thousand" },
        { "answer": { "rows": { "sql": sql, "params": [10, 15], "format": "csv" } } },
    ]);
    for _ in 0..2 {
        let answer = play(&app, "GET", "/x", &script).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = numbers("csv", &answer.text())?;
        assert_eq!((found.len(), found.first(), found.last()), (5000, Some(&10_000), Some(&14_999)));
    }
    Ok(())
}

async fn a_request_that_writes_is_not_streamed(engine: Engine) -> Result {
    let app = start(engine, LIMITS).await?;
    assert_eq!(play(&app, "POST", "/x", &rows(&many(20), "csv")).await?.status, 500);
    app.log.wait_for("more than 1000 rows").await?;
    let small = play(&app, "POST", "/x", &rows("SELECT n FROM thousand WHERE n = 7", "csv")).await?;
    assert_eq!((small.status, &*small.text()), (200, "n\r\n7\r\n"));
    Ok(())
}

async fn memory_stays_constant(engine: Engine) -> Result {
    // On a busy machine, a piece of the rows takes longer than the default of `statement_timeout`.
    let app = start(engine, "[database]\nstatement_timeout = '60s'").await?;
    // Warm the caches.
    length(super::begin(&app, &many(100)).await?).await?;
    let before = peak(&app)?;
    let sql = many(1000) + " UNION ALL " + &many(1000);
    let received = length(super::begin(&app, &sql).await?).await?;
    assert!(received > 50_000_000, "{received}");
    let answer = app.request("GET", "/x").body(wide(engine).to_string()).send().await?;
    let received = length(answer).await?;
    assert!(received > 200_000_000, "{received}");
    let grown = peak(&app)? - before;
    assert!(grown < 48 << 20, "the memory grew by {grown} bytes");
    Ok(())
}

/// Returns a script for 2000 rows of 100 kB each.
fn wide(engine: Engine) -> Json {
    let cast = if engine == Engine::Postgres { "::text" } else { "" };
    let sql = format!("SELECT ?1{cast} AS wide FROM thousand a CROSS JOIN thousand b WHERE a.n < 2");
    json!([{ "answer": { "rows": { "sql": sql, "params": ["1234567890".repeat(10_000)], "format": "json" } } }])
}

/// Returns the largest amount of memory that the host has used, in bytes.
fn peak(app: &App) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}

/// A cursor of PostgreSQL has to return types that the driver looks up.
async fn types_of_the_application_are_streamed() -> Result {
    let Some(_) = crate::support::servers::postgres().await? else { return Ok(()) };
    let tables = "CREATE TYPE mood AS ENUM ('happy', 'sad');
        CREATE TABLE people (id int PRIMARY KEY, mood mood, tags text[], price numeric(10, 2));
        INSERT INTO people SELECT i, 'sad', ARRAY['a', 'b'], 1.5 FROM generate_series(1, 5000) AS i";
    let app = script::serve_with(Engine::Postgres, tables, LIMITS).await?;
    for _ in 0..2 {
        let answer = play(&app, "GET", "/x", &rows("SELECT * FROM people ORDER BY id", "csv")).await?;
        let text = answer.text();
        assert_eq!(text.lines().nth(1), Some("1,sad,\"{a,b}\",1.50"), "{}", answer.status);
        assert_eq!(text.lines().last(), Some("5000,sad,\"{a,b}\",1.50"));
    }
    Ok(())
}

mod postgres_types {
    #[tokio::test]
    async fn types_of_the_application_are_streamed() -> crate::support::Result {
        super::types_of_the_application_are_streamed().await
    }
}

on_each_engine!(
    all_rows_arrive_in_each_format,
    small_results_have_a_length,
    a_statement_with_a_growing_result_is_streamed,
    parameters_and_earlier_statements_work,
    a_request_that_writes_is_not_streamed,
    memory_stays_constant,
);
