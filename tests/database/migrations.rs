//! Migrations of a database server while its connections are in use: no request fails because a statement was prepared
//! before the schema changed.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value as Json, json};

use crate::{
    script::{config, results, send},
    support::{App, Engine, Result},
};

const TABLES: &str = "CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE t (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, n integer, m mood, k integer, s varchar(20));
    INSERT INTO t (n, m, k, s) VALUES (1, 'sad', 1, 'one')";

/// Replaces the enum by a new type with the same values, as a migration does to remove a value.
const NEW_ENUM: &str = "ALTER TYPE mood RENAME TO old_mood; CREATE TYPE mood AS ENUM ('sad', 'glad');
    ALTER TABLE t ALTER COLUMN m TYPE mood USING m::text::mood; DROP TYPE old_mood";

fn insert(n: i64, k: &str) -> Json {
    let params = json!([n, "glad", k, "one"]);
    json!([{ "sql": "INSERT INTO t (n, m, k, s) VALUES (?, ?, ?, ?)", "op": "execute", "params": params }])
}

fn reads() -> [Json; 3] {
    [
        json!([{ "sql": "SELECT * FROM t ORDER BY id LIMIT 2" }]),
        json!([{ "sql": "SELECT * FROM t WHERE m = ? LIMIT 2", "op": "query_json", "params": ["sad"] }]),
        json!([{ "answer": { "rows": { "sql": "SELECT m, n FROM t WHERE m <> ? LIMIT 1", "params": ["sad"] } } }]),
    ]
}

/// Serves an application with timeouts that suffice for many concurrent connections on a busy machine.
async fn serve(settings: &str) -> Result<App> {
    let env = [
        ("CARYA_COMPONENT__PROBE__TIMEOUT", "60s"),
        ("CARYA_SERVER__REQUEST_TIMEOUT", "90s"),
        ("CARYA_DATABASE__ACQUIRE_TIMEOUT", "30s"),
        ("CARYA_DATABASE__STATEMENT_TIMEOUT", "20s"),
        ("CARYA_DATABASE__LOCK_TIMEOUT", "20s"),
    ];
    let config = format!("{}{settings}", config());
    App::start_in(Engine::Postgres.folder().await?, &config, &[("migrations/0001_tables.sql", TABLES)], &env).await
}

/// Sends so many concurrent requests that all connections of the pool prepare all statements.
async fn warm(app: &App) -> Result {
    let client = async |round| {
        for read in reads() {
            assert_eq!(send(app, "GET", &read).await?.status, 200);
        }
        results(app, "POST", &insert(round, "1")).await
    };
    try_join_all((0..32).map(client)).await.map(drop)
}

/// Sends all scripts from many clients at once. Returns the responses that were not 200.
async fn failures(app: &App, n: i64, k: &str) -> Result<Vec<String>> {
    let clients = join_all((0..32).map(async |_| -> Result<Vec<String>> {
        let mut failed = Vec::new();
        for read in reads() {
            let answer = send(app, "GET", &read).await?;
            if answer.status != 200 {
                failed.push(format!("GET {}: {}", answer.status, answer.text()));
            }
        }
        let answer = send(app, "POST", &insert(n, k)).await?;
        if answer.status != 200 {
            failed.push(format!("POST {}: {}", answer.status, answer.text()));
        }
        Ok(failed)
    }));
    let all: Vec<Vec<String>> = clients.await.into_iter().collect::<Result<_>>()?;
    Ok(all.concat())
}

/// The SQL of each migration, and the values of `n` and `k` to insert after it.
const MIGRATIONS: [(&str, i64, &str); 10] = [
    ("ALTER TABLE t ADD COLUMN a integer DEFAULT 7", 1, "1"),
    ("ALTER TABLE t ALTER COLUMN n TYPE bigint", 5_000_000_000, "1"),
    (NEW_ENUM, 5_000_000_000, "1"),
    ("ALTER TABLE t DROP COLUMN a", 5_000_000_000, "1"),
    ("ALTER TABLE t ALTER COLUMN s TYPE text", 5_000_000_000, "1"),
    ("ALTER TABLE t ALTER COLUMN k TYPE text USING k::text", 5_000_000_000, "abc"),
    (NEW_ENUM, 5_000_000_000, "abc"),
    ("ALTER TABLE t ADD COLUMN b uuid", 5_000_000_000, "abc"),
    ("ALTER TABLE t ALTER COLUMN n TYPE numeric(20, 2)", 5_000_000_000, "abc"),
    ("ALTER TABLE t ADD COLUMN c mood DEFAULT 'sad'", 5_000_000_000, "abc"),
];

#[tokio::test]
async fn no_request_fails_after_a_migration_without_retries() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let settings = "[database]\nmax_connections = 16\n[transaction]\nretries = 0";
    let app = serve(settings).await?;
    warm(&app).await?;
    for (migration, n, k) in MIGRATIONS {
        app.execute(migration).await?;
        let failed = failures(&app, n, k).await?;
        assert!(
            failed.is_empty(),
            "{migration}: {failed:#?} {:#?}",
            app.log.lines().iter().rfind(|line| line["level"] == "ERROR")
        );
    }
    // A statement that is wrong on every connection fails as before, and costs one attempt.
    let wrong = json!([{ "sql": "INSERT INTO t (n) VALUES (?)", "op": "execute", "params": ["abc"] }]);
    let answer = send(&app, "POST", &wrong).await?;
    assert_eq!((answer.status, answer.events().contains(&"retry".to_owned())), (500, false));
    Ok(())
}

#[tokio::test]
async fn no_request_fails_while_migrations_run() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let settings = "[database]\nmax_connections = 16";
    let app = serve(settings).await?;
    warm(&app).await?;
    let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = async |_| -> Result<Vec<String>> {
        let mut failed = Vec::new();
        while !is_over.load(Relaxed) {
            for (method, script) in reads().map(|read| ("GET", read)).into_iter().chain([("POST", insert(1, "1"))]) {
                let answer = send(&app, method, &script).await?;
                sent.fetch_add(1, Relaxed);
                if answer.status != 200 {
                    failed.push(format!("{method} {}: {}", answer.status, answer.text()));
                }
            }
        }
        Ok(failed)
    };
    let migrating = async {
        for (migration, ..) in MIGRATIONS {
            app.execute(migration).await?;
            let before = sent.load(Relaxed);
            while sent.load(Relaxed) < before + 64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        is_over.store(true, Relaxed);
        Result::Ok(())
    };
    let (clients, migrated) = tokio::join!(join_all((0..16).map(client)), migrating);
    migrated?;
    let failed: Vec<Vec<String>> = clients.into_iter().collect::<Result<_>>()?;
    assert!(failed.concat().is_empty(), "of {}: {:#?}", sent.into_inner(), failed.concat());
    Ok(())
}
