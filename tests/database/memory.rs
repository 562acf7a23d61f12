//! Memory of SQLite: the limit for each connection, its effect on other connections, and the return of unused memory to
//! the system.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{
    script::{attempt, config, kind, results, send},
    support::{App, PATIENCE, Result, Wrong, check, check_eq},
};

/// Serves an application with such long timeouts that each statement exceeds its memory first, even on a busy machine.
async fn app(max_memory: &str, max_connections: usize) -> Result<App> {
    let extra = format!(
        "
        [server]
        max_body = '16MiB'
        request_timeout = '5m'
        [database]
        max_connections = {max_connections}
        max_memory = '{max_memory}'
        max_result = '4MiB'
        statement_timeout = '1m'
        acquire_timeout = '2m'"
    );
    let tables = "
        CREATE TABLE t (v TEXT); INSERT INTO t VALUES (1), (2);
        CREATE TABLE u (v TEXT UNIQUE, w TEXT NOT NULL);
        CREATE VIRTUAL TABLE words USING fts5 (body);
        CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1)";
    let files = [("migrations/0001_tables.sql", tables)];
    let env = [("CARYA_COMPONENT__PROBE__TIMEOUT", "2m")];
    let app = App::start_in(tempfile::tempdir()?, &format!("{}{extra}", config()), &files, &env).await?;
    results(&app, "POST", &json!([{ "sql": "SELECT count(*) FROM t" }])).await?;
    results(&app, "GET", &json!([{ "sql": "SELECT count(*) FROM t" }])).await?;
    Ok(app)
}

/// `WITH` clause with a table `c` that never ends.
const RUNAWAY: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)";

/// Returns queries that allocate memory without end, each in another part of SQLite, with their names.
fn bombs() -> Vec<(&'static str, String)> {
    let wide = |value: &str, count: usize| vec![value; count].join(", ");
    vec![
        ("a sort of narrow rows", format!("{RUNAWAY} SELECT max(n) FROM (SELECT n FROM c ORDER BY -n, n || 'x')")),
        ("a sort of wide rows", format!("{RUNAWAY} SELECT n, hex(zeroblob(100000)) AS v FROM c ORDER BY v")),
        (
            "a sort of large values",
            format!("{RUNAWAY} SELECT max(v) FROM (SELECT zeroblob(4000000) || n AS v FROM c ORDER BY v)"),
        ),
        ("DISTINCT", format!("{RUNAWAY} SELECT count(*) FROM (SELECT DISTINCT n || hex(zeroblob(1000)) FROM c)")),
        ("GROUP BY", format!("{RUNAWAY} SELECT count(*) FROM c GROUP BY n || hex(zeroblob(1000))")),
        ("UNION", format!("{RUNAWAY} SELECT count(*) FROM (SELECT n || hex(zeroblob(1000)) FROM c UNION SELECT 1)")),
        (
            "a recursive UNION",
            "WITH RECURSIVE c (n) AS (SELECT 1 UNION SELECT n + 1 FROM c) SELECT count(*) FROM c".into(),
        ),
        (
            "the queue of a recursion",
            "WITH RECURSIVE c (n, v) AS (SELECT 1, '' UNION ALL SELECT n + i, hex(zeroblob(1000)) FROM c, \
             (SELECT 1 AS i UNION ALL SELECT 2)) SELECT count(*) FROM c"
                .into(),
        ),
        (
            "a materialised CTE",
            format!(
                "{RUNAWAY}, m AS MATERIALIZED (SELECT n, hex(zeroblob(1000)) FROM c) SELECT count(*) FROM m a, m b"
            ),
        ),
        (
            "an automatic index",
            format!(
                "{RUNAWAY} SELECT count(*) FROM t LEFT JOIN (SELECT hex(zeroblob(n % 1000)) AS v FROM c) AS m ON m.v = t.v"
            ),
        ),
        (
            "a window",
            format!(
                "{RUNAWAY} SELECT sum(n) OVER (ORDER BY n ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) FROM c"
            ),
        ),
        (
            "JSON of a window",
            format!("{RUNAWAY} SELECT json_group_array(n || hex(zeroblob(1000))) OVER (ORDER BY 1) FROM c"),
        ),
        ("DISTINCT in an aggregate", format!("{RUNAWAY} SELECT count(DISTINCT n || hex(zeroblob(1000))) FROM c")),
        ("a wide row", format!("SELECT {}", wide("randomblob(4000000)", 60))),
        ("a wide row of zeros", format!("{RUNAWAY} SELECT {} FROM c", wide("zeroblob(4000000)", 200))),
        ("a list of values", format!("{RUNAWAY} SELECT 1 WHERE 'x' IN (SELECT n || hex(zeroblob(1000)) FROM c)")),
    ]
}

fn check_limited(wrong: &mut Wrong, got: &Json, what: &str) {
    check_eq!(wrong, kind(got), "limit", "{what}: {got}");
    let message = got["error"]["message"].as_str().unwrap_or_default();
    check!(wrong, message.contains("database.max_memory"), "{what}: {message}");
}

async fn assert_unaffected(app: &App, after: &str) -> Result {
    for method in ["GET", "POST"] {
        let read = results(app, method, &json!([{ "sql": "SELECT count(*) FROM t" }])).await;
        let read = read.map_err(|error| format!("{method} after {after}: {error}"))?;
        assert_eq!(read[0]["rows"][0][0]["v"], "2", "{method} after {after}");
    }
    Ok(())
}

/// Returns a figure of the process's memory, in bytes. `what` is `VmRSS` for the current resident memory, or `VmHWM`
/// for its maximum since the start.
fn memory(app: &App, what: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let value = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(value.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

#[tokio::test]
async fn a_statement_that_takes_too_much_memory_is_refused() -> Result {
    let app = app("16MiB", 1).await?;
    let before = memory(&app, "VmRSS")?;
    let mut wrong = Wrong::default();
    for (what, sql) in bombs() {
        for (method, op) in [("GET", "query"), ("POST", "execute"), ("GET", "query_one")] {
            let got = attempt(&app, method, json!({ "sql": sql, "op": op })).await?;
            check_limited(&mut wrong, &got, &format!("{method} {op} {what}"));
            assert_unaffected(&app, what).await?;
        }
    }
    // The reader and the writer may take 16 MiB each. The rest is memory that the C library has not returned yet.
    let more = memory(&app, "VmHWM")?.saturating_sub(before);
    assert!(more < 150 << 20, "{} MiB more", more >> 20);
    Ok(())
}

#[tokio::test]
async fn parameters_count() -> Result {
    let app = app("16MiB", 1).await?;
    let sql = format!("SELECT {}", vec!["?1"; 50].join(", "));
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let got = attempt(&app, method, json!({ "sql": sql, "params": ["x".repeat(3 << 20)] })).await?;
        check_limited(&mut wrong, &got, method);
        assert_unaffected(&app, method).await?;
    }
    Ok(())
}

/// The limit counts the memory of a statement, not the size of its changes, because SQLite writes changed pages to the
/// write-ahead log when its cache is full.
#[tokio::test]
async fn a_large_change_needs_little_memory() -> Result {
    let app = app("8MiB", 1).await?;
    let numbers = |count: usize| format!("{RUNAWAY} SELECT n, hex(randomblob(500)) FROM c LIMIT {count}");
    for sql in [
        format!("INSERT INTO u {}", numbers(30_000)),
        format!("INSERT INTO words SELECT column2 FROM (SELECT n AS column1, hex(randomblob(500)) AS column2 FROM ({}))", numbers(1000)),
        "INSERT INTO boxes SELECT value, value, value + 1 FROM json_each('[' || substr(hex(zeroblob(10000)), 1, 1) || ']')".into(),
        "DELETE FROM u".into(),
    ] {
        results(&app, "POST", &json!([{ "sql": sql, "op": "execute" }])).await?;
    }
    Ok(())
}

/// If a writing statement runs out of memory, the transaction ends. A rollback to a savepoint cannot save it, and the
/// host uses another connection for the next request.
#[tokio::test]
async fn a_change_that_takes_too_much_memory_writes_nothing() -> Result {
    let app = app("8MiB", 1).await?;
    let insert = json!({ "sql": "INSERT INTO u VALUES ('before', '')", "op": "execute" });
    let bomb = json!({ "sql": format!("INSERT INTO u {RUNAWAY} SELECT DISTINCT n, hex(zeroblob(1000)) FROM c"), "op": "execute", "swallow": true });
    let answer = send(&app, "POST", &json!([insert, bomb])).await?;
    assert_eq!(answer.status, 500, "{}", answer.text());
    let answer = send(&app, "POST", &json!([insert, { "savepoint": [bomb], "end": "rollback" }])).await?;
    assert_ne!(answer.status, 200, "{}", answer.text());
    assert_eq!(app.number("SELECT count(*) FROM u").await?, 0);
    assert_unaffected(&app, "the bomb").await?;
    results(&app, "POST", &json!([insert])).await?;
    Ok(())
}

/// Rows that the request has not received yet count as memory of the statement. The statement pauses before they exceed
/// the limit, so it never fails because of the number of its rows.
#[tokio::test]
async fn a_long_result_needs_little_memory() -> Result {
    let app = app("16MiB", 1).await?;
    let sql = format!("{RUNAWAY} SELECT hex(zeroblob(1000000)) FROM c LIMIT 300");
    for method in ["GET", "POST"] {
        results(&app, method, &json!([{ "sql": sql, "op": "query_one" }])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn other_connections_do_not_notice() -> Result {
    let app = app("64MiB", 4).await?;
    let bomb = json!({ "sql": bombs()[1].1 });
    let sort =
        format!("{RUNAWAY} SELECT max(v) FROM (SELECT n || hex(zeroblob(500)) AS v FROM c LIMIT 20000) ORDER BY v");
    let modest = json!([{ "sql": sort }]);
    let insert = json!([{ "sql": "INSERT INTO t VALUES (3)", "op": "execute" }]);
    let bombs = async {
        let bomb = async || -> Result {
            let mut wrong = Wrong::default();
            for _ in 0..3 {
                check_limited(&mut wrong, &attempt(&app, "GET", bomb.clone()).await?, "one of three");
            }
            Ok(())
        };
        tokio::try_join!(bomb(), bomb(), bomb())
    };
    let others = async {
        for _ in 0..20 {
            results(&app, "GET", &modest).await?;
            results(&app, "POST", &insert).await?;
        }
        Ok(())
    };
    tokio::try_join!(bombs, others)?;
    assert_eq!(app.number("SELECT count(*) FROM t WHERE v = 3").await?, 20);
    Ok(())
}

#[tokio::test]
async fn memory_is_returned_to_the_system() -> Result {
    let app = app("256MiB", 2).await?;
    let before = memory(&app, "VmRSS")?;
    let mut wrong = Wrong::default();
    for (what, sql) in [bombs().swap_remove(0), bombs().swap_remove(3)] {
        for (method, op) in [("GET", "query"), ("POST", "execute")] {
            check_limited(&mut wrong, &attempt(&app, method, json!({ "sql": sql, "op": op })).await?, what);
        }
    }
    assert!(memory(&app, "VmHWM")? - before > 200 << 20, "the statements took memory");
    let begun = Instant::now();
    loop {
        let more = memory(&app, "VmRSS")?.saturating_sub(before);
        if more < 32 << 20 {
            return Ok(());
        }
        assert!(begun.elapsed() < PATIENCE, "{} MiB more", more >> 20);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The connection caches compiled statements. A cache of large statements must not exceed the limit of the connection.
#[tokio::test]
async fn compiled_statements_do_not_pile_up() -> Result {
    let app = app("8MiB", 1).await?;
    let columns = vec![vec!["abs(v)"; 16].join("+"); 250].join(", ");
    for number in 0..150 {
        let sql = format!("SELECT {number}, {columns} FROM t");
        results(&app, "GET", &json!([{ "sql": sql }])).await.map_err(|error| format!("{number}: {error:.200}"))?;
    }
    Ok(())
}
