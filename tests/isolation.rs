//! Isolation levels of routes: whether a request sees the commits of concurrent transactions. SQLite has one level for
//! all routes: it allows one writer at a time, and a reader sees a snapshot of the database from when it began.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{
    script::play,
    support::{App, Engine, PATIENCE, Result, Wrong, check_eq},
};

/// Isolation levels. Each has a route, `/LEVEL`. The route `/none` does not set `isolation`.
const LEVELS: [&str; 4] = ["read-committed", "repeatable-read", "serializable", "none"];

const TABLES: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY);
    CREATE TABLE gate (id INTEGER PRIMARY KEY);
    CREATE TABLE doctors (id INTEGER PRIMARY KEY, on_call INTEGER NOT NULL);
    INSERT INTO doctors VALUES (1, 1), (2, 1)";

async fn serve(engine: Engine) -> Result<App> {
    let patience = if engine == Engine::Sqlite { "" } else { "lock_timeout = \"30s\"" };
    let mut config = format!(
        r#"
        [component.probe]
        path = "{{guest:probe}}"
        timeout = "30s"
        [model]
        migrations = "migrations"
        [database]
        statement_timeout = "30s"
        acquire_timeout = "30s"
        {patience}
        [transaction]
        retries = 10
        "#
    );
    for level in LEVELS {
        config += &format!("[[route]]\npath = \"/{level}\"\ncomponent = \"probe\"\n");
        if level != "none" {
            config += &format!("isolation = \"{level}\"\n");
        }
    }
    App::start_on(engine, &config, &[("migrations/0001_tables.sql", TABLES)]).await
}

/// Waits until guests have logged the message `what` at least `times` times.
async fn until_logged(app: &App, what: &str, times: usize) -> Result {
    let waiting = async {
        while app.log.lines().iter().filter(|line| line["message"] == what).count() < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| format!("{what:?} was not logged {times} times"))?)
}

/// Returns the script step that makes a guest wait for another client: a query of the locked table `gate`. On SQLite,
/// where no lock blocks a reader, the step sleeps.
fn wait(engine: Engine) -> Json {
    match engine {
        Engine::Sqlite => json!({ "sleep_ms": 1000 }),
        Engine::Postgres | Engine::MariaDb => json!({ "sql": "SELECT id FROM gate" }),
    }
}

/// Runs `meanwhile` while a second client holds a lock on the table `gate`, which blocks guests at the step of
/// [`wait`]. SQLite needs no lock, because its guests sleep.
async fn behind_the_gate(app: &App, engine: Engine, meanwhile: impl AsyncFnOnce() -> Result) -> Result {
    let (lock, unlock) = match engine {
        Engine::Sqlite => return meanwhile().await,
        Engine::Postgres => ("BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE", "ROLLBACK"),
        Engine::MariaDb => ("LOCK TABLES gate WRITE", "UNLOCK TABLES"),
    };
    let mut keeper = app.client()?.connect().await?;
    keeper.execute(lock).await?;
    meanwhile().await?;
    keeper.execute(unlock).await
}

/// Runs the same query twice in one request, and commits a row from another client in between. Returns whether the
/// second query sees the row.
async fn sees_a_commit_in_between(app: &App, engine: Engine, method: &str, level: &str, id: u32) -> Result<bool> {
    let count = || json!({ "sql": "SELECT count(*) FROM items", "op": "query_one" });
    let looked = format!("looked {id}");
    let script = json!([count(), { "log": looked }, wait(engine), { "log": format!("looks again {id}") }, count()]);
    let path = format!("/{level}");
    let (asked, waits) = tokio::sync::oneshot::channel();
    let request = async {
        waits.await?;
        play(app, method, &path, &script).await
    };
    let other = behind_the_gate(app, engine, async || {
        let _ = asked.send(());
        until_logged(app, &looked, 1).await?;
        app.execute(&format!("INSERT INTO items VALUES ({id})")).await?;
        let again = format!("looks again {id}");
        let late = app.log.lines().iter().any(|line| line["message"] == *again);
        if late { Err(format!("{engine}: the guest did not wait").into()) } else { Ok(()) }
    });
    let (answer, ()) = tokio::try_join!(request, other)?;
    assert_eq!(answer.status, 200, "{engine} {method} {level}: {}", answer.text());
    let seen = answer.json()?;
    Ok(seen[0] != seen[4])
}

/// Checks [`sees_a_commit_in_between`] for each row: a method, an isolation level, and the expected result.
async fn levels(engine: Engine, rows: &[(&str, &str, bool)]) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = serve(engine).await?;
    let mut wrong = Wrong::default();
    for (id, (method, level, expected)) in (1..).zip(rows) {
        let seen = sees_a_commit_in_between(&app, engine, method, level, id).await?;
        check_eq!(wrong, seen, *expected, "{engine}: {method} {level}");
    }
    Ok(())
}

#[tokio::test]
async fn readers_on_sqlite_see_one_snapshot() -> Result {
    levels(Engine::Sqlite, &LEVELS.map(|level| ("GET", level, false))).await
}

#[tokio::test]
async fn commits_are_seen_by_level_on_postgres() -> Result {
    let rows = ["GET", "POST"].map(|method| {
        [
            (method, "read-committed", true),
            (method, "repeatable-read", false),
            (method, "serializable", false),
            // The default level of the server.
            (method, "none", true),
        ]
    });
    levels(Engine::Postgres, rows.as_flattened()).await
}

#[tokio::test]
async fn commits_are_seen_by_level_on_mariadb() -> Result {
    // `serializable` is left out: it locks the rows that the first query reads, so the other client could not commit
    // before the second query.
    let rows = ["GET", "POST"].map(|method| {
        [
            (method, "read-committed", true),
            (method, "repeatable-read", false),
            // The default level of the server.
            (method, "none", false),
        ]
    });
    levels(Engine::MariaDb, rows.as_flattened()).await
}

/// Sends two concurrent requests that each take one doctor off call, if two doctors were on call when the request read
/// them. Returns the number of doctors that are still on call, and the number of retries.
async fn write_skew(app: &App, engine: Engine, level: &str) -> Result<(i64, usize)> {
    app.execute("UPDATE doctors SET on_call = 1").await?;
    let path = format!("/{level}");
    let asked = format!("asked {level}");
    let leave = |doctor: u32| {
        let mut script = vec![
            json!({ "sql": "SELECT count(*) FROM doctors WHERE on_call = 1", "op": "query_one" }),
            json!({ "log": asked }),
            json!({
                "sql": "UPDATE doctors SET on_call = on_call - 1 WHERE id = ? AND ? > 1",
                "op": "execute", "params": [doctor, { "found": 0 }]
            }),
        ];
        if engine != Engine::Sqlite {
            script.insert(2, wait(engine));
        }
        let (path, script) = (path.clone(), Json::from(script));
        async move {
            let answer = play(app, "POST", &path, &script).await?;
            assert_eq!(answer.status, 200, "{engine} {path}: {}", answer.text());
            Result::Ok(answer.events().iter().filter(|event| *event == "retry").count())
        }
    };
    let (asks, waits) = tokio::sync::oneshot::channel();
    let both = async {
        waits.await?;
        tokio::try_join!(leave(1), leave(2))
    };
    let other = behind_the_gate(app, engine, async || {
        let _ = asks.send(());
        // On SQLite writers run one after the other, so the second request queries after the first one has ended.
        until_logged(app, &asked, 2).await
    });
    let ((one, two), ()) = tokio::try_join!(both, other)?;
    Ok((app.number("SELECT count(*) FROM doctors WHERE on_call = 1").await?, one + two))
}

#[tokio::test]
async fn write_skew_is_impossible_on_sqlite() -> Result {
    let app = serve(Engine::Sqlite).await?;
    let mut wrong = Wrong::default();
    for level in LEVELS {
        check_eq!(wrong, write_skew(&app, Engine::Sqlite, level).await?, (1, 0), "{level}");
    }
    Ok(())
}

/// Checks that only `serializable` prevents write skew. The server fails one of the transactions, and the host runs its
/// request again, which then sees the commit of the other request.
async fn only_serializable_refuses_write_skew(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = serve(engine).await?;
    let mut wrong = Wrong::default();
    for level in ["read-committed", "repeatable-read"] {
        check_eq!(wrong, write_skew(&app, engine, level).await?, (0, 0), "{engine}: {level}");
    }
    let (stay, retries) = write_skew(&app, engine, "serializable").await?;
    assert!(stay == 1 && retries > 0, "{engine}: {stay} doctors on call after {retries} retries");
    Ok(())
}

#[tokio::test]
async fn write_skew_is_refused_on_postgres() -> Result {
    only_serializable_refuses_write_skew(Engine::Postgres).await
}

#[tokio::test]
async fn write_skew_is_refused_on_mariadb() -> Result {
    only_serializable_refuses_write_skew(Engine::MariaDb).await
}
