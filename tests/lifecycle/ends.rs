//! Transactions whose begin, commit or rollback fails in the database: the rows PX-10, PX-11 and PX-12.

use serde_json::json;

use super::{expect, expect_next};
use crate::{
    script::{after_commit, after_rollback, impatient, insert, lock, marks, play, start, start_tables, start_with},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;

/// Starts an application with a deferred constraint: at the commit the database rejects a note without its mark.
async fn with_late_constraint(engine: Engine, config: &str) -> Result<App> {
    let table = "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL);
        CREATE TABLE notes (mark VARCHAR(100) REFERENCES marks (mark) DEFERRABLE INITIALLY DEFERRED)";
    start_tables(engine, table, &format!("{ROUTE}{config}")).await
}

async fn px_10_the_commit_fails(engine: Engine) -> Result {
    let app = with_late_constraint(engine, "").await?;
    let note = json!({ "sql": "INSERT INTO notes VALUES ('nowhere')", "op": "execute" });
    let script = [note, after_commit("no"), after_rollback("three")];
    expect(&app, "PX-10", "POST /", &script, 500, "start, rollback, three, clear").await?;
    assert_eq!(app.number("SELECT count(*) FROM notes").await?, 0);
    let line = app.log.wait_for("the commit failed").await?;
    assert_eq!(line["fault"], "database", "{line}");
    let cause = if engine == Engine::Sqlite { "(constraint, code 787)" } else { "(constraint, code 23503)" };
    assert!(line["message"].as_str().is_some_and(|message| message.contains(cause)), "{line}");
    expect(&app, "PX-10, the next", "POST /", &[], 200, "start, inside, commit, clear").await
}

#[tokio::test]
async fn px_11_the_rollback_fails() -> Result {
    // The workers of the outbox would open connections too.
    let env = [("CARYA_DATABASE__ECHO_POOL", "true"), ("CARYA_DATABASE__OUTBOX_WORKERS", "0")];
    let app = start_with(Engine::Sqlite, ROUTE, &env).await?;
    let opened = || {
        let lines = app.log.lines();
        lines.iter().filter(|line| line["message"] == "connection opened").count()
    };
    // `INSERT OR ROLLBACK` ends the transaction without the host's involvement.
    let end = |swallow: bool| json!({ "sql": "INSERT OR ROLLBACK INTO marks VALUES (NULL)", "op": "execute", "swallow": swallow });
    let mut wrong = Wrong::default();
    for script in [
        vec![end(false)],
        vec![end(true)],
        vec![end(true), insert("outside")],
        vec![json!({ "savepoint": [end(true)], "end": "rollback", "swallow": true })],
        vec![json!({ "savepoint": [end(true)], "end": "rollback", "swallow": true }), insert("outside")],
        vec![json!({ "savepoint": [end(true)], "end": "drop" }), insert("outside")],
    ] {
        let before = opened();
        let script = [vec![insert("m"), after_rollback("three")], script].concat();
        let answer = play(&app, "POST", "/", &json!(script)).await?;
        check_eq!(wrong, answer.steps(), "start, rollback, three, clear", "PX-11 {script:?}");
        check!(wrong, answer.status >= 500, "PX-11 {script:?}: {}", answer.text());
        check_eq!(wrong, marks(&app).await?, "", "PX-11 {script:?}");
        expect_next(&app, "PX-11, the next", "POST /", &[], 200, "start, inside, commit, clear").await?;
        app.execute("DELETE FROM marks").await?;
        check_eq!(wrong, opened(), before + 1, "PX-11 {script:?}: the connection was lent again");
    }
    Ok(())
}

#[tokio::test]
async fn px_11_the_first_error_stays_the_answer() -> Result {
    let app = start(Engine::Sqlite, ROUTE).await?;
    let end = json!({ "sql": "INSERT OR ROLLBACK INTO marks VALUES (NULL)", "op": "execute" });
    expect(&app, "PX-11", "POST /", &[end], 500, "start, rollback, clear").await?;
    app.log.wait_for("NOT NULL constraint failed").await?;
    Ok(())
}

/// When a server terminates a session, it rolls back the session's transaction.
async fn px_11_the_connection_is_lost(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[("CARYA_TRANSACTION__RETRIES", "0")]).await?;
    let rests = [vec![], vec![json!({ "sql": "SELECT 1" })], vec![json!({ "sql": "SELECT 1", "swallow": true })]];
    let mut wrong = Wrong::default();
    for (number, rest) in rests.into_iter().enumerate() {
        let said = format!("{number} has begun");
        let (is_last, has_begun) = (rest.is_empty(), json!({ "log": said }));
        let script = [vec![insert("m"), after_rollback("three"), has_begun, json!({ "sleep_ms": 300 })], rest].concat();
        let cut = async {
            app.log.wait_for(&said).await?;
            end_sessions(&app).await
        };
        let script = json!(script);
        let (answer, ()) = tokio::try_join!(play(&app, "POST", "/", &script), cut)?;
        // On MariaDB, the outcome is unknown if the connection is lost at the COMMIT. On PostgreSQL the host can query
        // it.
        let is_in_doubt = is_last && engine == Engine::MariaDb;
        let steps = if is_in_doubt { "start, in_doubt, clear" } else { "start, rollback, three, clear" };
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (503, steps), "{number:?}: PX-11 {script}");
        // A client must not repeat a request blindly if the database may have committed its change.
        let after = if is_in_doubt { "" } else { "1" };
        check_eq!(wrong, answer.header("retry-after"), after, "{number:?}: PX-11 {script}");
        check_eq!(wrong, marks(&app).await?, "", "{number:?}: PX-11 {script}");
        expect_next(&app, "PX-11, the next", "POST /", &[], 200, "start, inside, commit, clear").await?;
        app.execute("DELETE FROM marks").await?;
    }
    Ok(())
}

/// Makes the server terminate all sessions in this database; on PostgreSQL only sessions with an open transaction.
async fn end_sessions(app: &App) -> Result {
    let mut other = app.client()?.connect().await?;
    let sessions = match app.engine {
        Engine::MariaDb => {
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        }
        _ => {
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'idle in transaction'"
        }
    };
    for session in other.texts(sessions).await? {
        match app.engine {
            Engine::MariaDb => other.execute(&format!("KILL {session}")).await?,
            _ => other.execute(&format!("SELECT pg_terminate_backend({session})")).await?,
        }
    }
    Ok(())
}

async fn px_12_another_process_holds_the_lock(engine: Engine) -> Result {
    let env = [impatient(engine), ("CARYA_TRANSACTION__RETRIES", "0")];
    let app = start_with(engine, ROUTE, &env).await?;
    let mut other = lock(&app).await?;
    let swallowed = json!({ "sql": "INSERT INTO marks VALUES ('m')", "swallow": true });
    let mut wrong = Wrong::default();
    for script in [json!([insert("m")]), json!([swallowed])] {
        let answer = play(&app, "POST", "/", &script).await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (503, "start, rollback, clear"), "PX-12 {script}");
        check_eq!(wrong, answer.header("retry-after"), "1", "PX-12 {script}");
        check!(wrong, answer.events().contains(&"begin".to_owned()), "PX-12 {script}");
    }
    expect(&app, "PX-12, reading", "GET /", &[json!({ "sql": "SELECT 1" })], 200, "start_read_only, inside, clear")
        .await?;
    other.execute("ROLLBACK").await?;
    expect(&app, "PX-12, later", "POST /", &[], 200, "start, inside, commit, clear").await
}

async fn px_12_no_connection_becomes_free_in_time(engine: Engine) -> Result {
    let app = start_with(
        engine,
        ROUTE,
        &[("CARYA_DATABASE__ACQUIRE_TIMEOUT", "1s"), ("CARYA_DATABASE__MAX_CONNECTIONS", "1")],
    )
    .await?;
    let slow = json!([insert("slow"), { "log": "I have the writer" }, { "sleep_ms": 3000 }]);
    let waiting = async {
        app.log.wait_for("I have the writer").await?;
        play(&app, "POST", "/", &json!([insert("m")])).await
    };
    let (slow, answer) = tokio::try_join!(play(&app, "POST", "/", &slow), waiting)?;
    assert_eq!((answer.status, answer.steps().as_str()), (503, "start, rollback, clear"), "PX-12");
    assert_eq!(answer.header("retry-after"), "1", "PX-12");
    assert_eq!((slow.status, marks(&app).await?.as_str()), (200, "slow"), "PX-12: the one who had it");
    Ok(())
}

async fn px_12_a_request_without_statements_needs_no_connection(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[impatient(engine)]).await?;
    let _other = lock(&app).await?;
    let answer = play(&app, "POST", "/", &json!([after_commit("one")])).await?;
    assert_eq!(answer.events().join(", "), "start, controller:probe, commit, after_commit:one, clear", "PX-12");
    assert_eq!(answer.status, 200, "PX-12");
    Ok(())
}

async fn px_10_hooks_outside_see_a_failed_commit(engine: Engine) -> Result {
    let hook = r#"
        [component.hook]
        path = "{guest:trace-hook}"
        settings = { on_error = "tell", after = "header" }
        [[hook]]
        component = "hook"
        priority = 1
    "#;
    let app = with_late_constraint(engine, hook).await?;
    let script = json!([{ "sql": "INSERT INTO notes VALUES ('nowhere')", "op": "execute" }]);
    let answer = play(&app, "POST", "/", &script).await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "500 Fault::Database hook:none"), "PX-10");
    assert_eq!(answer.header("x-after"), "hook:none", "PX-10");
    let steps = "on_route:hook, start, before:hook, rollback, clear, on_error:hook, after:hook";
    assert_eq!(answer.steps(), steps, "PX-10");
    assert_eq!(app.number("SELECT count(*) FROM notes").await?, 0, "PX-10");
    Ok(())
}

on_each_engine! {
    px_12_another_process_holds_the_lock,
    px_12_no_connection_becomes_free_in_time,
    px_12_a_request_without_statements_needs_no_connection,
}

// MariaDB checks all constraints immediately, so no constraint can fail at the commit.
on_each_engine! { late_sqlite Sqlite: px_10_the_commit_fails, px_10_hooks_outside_see_a_failed_commit }
on_each_engine! { late_postgres Postgres: px_10_the_commit_fails, px_10_hooks_outside_see_a_failed_commit }

on_each_engine! { lost_postgres Postgres: px_11_the_connection_is_lost }
on_each_engine! { lost_mariadb MariaDb: px_11_the_connection_is_lost }
