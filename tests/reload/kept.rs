//! State that passes from one generation to the next, e.g. components, connections and recorded actions, and settings
//! that require a restart.

use std::fs;

use serde_json::json;

use super::{CONFIG, FILES, QUIET, SERVED, Watched};
use crate::support::{App, Result, Wrong, check_eq, eventually, guest};

fn count_logged(app: &App, message: &str) -> usize {
    app.log.lines().iter().filter(|line| line["message"] == message).count()
}

#[tokio::test]
async fn a_component_that_has_not_changed_is_not_loaded_again() -> Result {
    let mut watched = Watched::start().await?;
    let loads = |watched: &Watched| count_logged(&watched.app, "loaded") + count_logged(&watched.app, "compiled");
    let before = loads(&watched);
    watched.put("templates/page.html", "page two")?;
    watched.served().await?;
    watched.put_config(&CONFIG.replace("# one", "# two"))?;
    watched.served().await?;
    assert_eq!(loads(&watched), before, "{:#?}", watched.app.log.lines());
    watched.put("hook.wasm", fs::read(guest("trace-hook"))?)?;
    watched.served().await?;
    assert_eq!(loads(&watched), before + 1);
    // A changed setting requires a new component. The host loads its unchanged code from the cache.
    watched.put_config(&CONFIG.replace("mark = \"one\"", "mark = \"two\""))?;
    watched.served().await?;
    assert_eq!(loads(&watched), before + 2);
    let answer = watched.play("GET", &json!([{ "echo": true, "config": ["mark"] }])).await?;
    assert_eq!(answer.json()?[0]["config"]["mark"], "two");
    Ok(())
}

#[tokio::test]
async fn database_connections_are_kept_while_their_section_is_unchanged() -> Result {
    let env = [
        ("CARYA_DATABASE__ECHO_POOL", "true"),
        ("CARYA_DATABASE__MAX_CONNECTIONS", "1"),
        ("CARYA_SERVER__METRICS", "127.0.0.1:0"),
    ];
    let mut watched = Watched::start_with(CONFIG, &FILES, &env).await?;
    let mark = |mark: &str| json!([{ "sql": "INSERT INTO marks VALUES (?)", "params": [mark] }]);
    assert_eq!(watched.play("POST", &mark("one")).await?.status, 200);
    watched.page().await?;
    let opened = count_logged(&watched.app, "connection opened");
    for text in ["page two", "page three"] {
        watched.put("templates/page.html", text)?;
        watched.served().await?;
        assert_eq!(watched.play("POST", &mark(text)).await?.status, 200);
    }
    assert_eq!(count_logged(&watched.app, "connection opened"), opened, "{:#?}", watched.app.log.lines());

    // If the section `[database]` changes, the host opens the database again. It closes the old pool when the old
    // generation ends.
    let other = CONFIG.replace("[templates]", "[database]\nmax_rows = 7\n[templates]");
    watched.put_config(&other)?;
    watched.served().await?;
    assert!(count_logged(&watched.app, "connection opened") > opened);
    eventually("the old generation ends", async || Ok(watched.app.metric("carya_generations").await? == 1)).await?;
    assert_eq!(watched.play("POST", &mark("four")).await?.status, 200);
    assert_eq!(watched.app.number("SELECT count(*) FROM marks").await?, 4);
    // The process has only the threads of one writer and one reader, as after a start, so the threads of the old pool
    // have ended. Open files would prove nothing, because SQLite keeps the file descriptors of closed connections.
    let pid = watched.app.pid();
    let open = || -> Result<usize> {
        let threads = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
        let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        Ok(names.filter(|name| name.starts_with("sqlx-sqlite")).count())
    };
    assert!(open()? >= 2, "the threads have other names");
    eventually("the threads of the old pool end", async || Ok(open()? <= 2)).await
}

#[tokio::test]
async fn an_action_that_failed_is_delivered_by_the_next_generation() -> Result {
    let mut watched = Watched::start().await?;
    let action = json!([{ "after_commit": "fail-once", "payload": "kept", "delivery": "at-least-once" }]);
    assert_eq!(watched.play("POST", &action).await?.status, 200);
    watched.next("an action failed").await?;
    watched.put("templates/page.html", "page two")?;
    watched.served().await?;
    watched.put("templates/page.html", "page three")?;
    watched.served().await?;
    watched.next("action fail-once kept").await?;
    let recorded = "SELECT count(*) FROM carya_outbox";
    eventually("the action is delivered", async || Ok(watched.app.number(recorded).await? == 0)).await
}

#[tokio::test]
async fn a_hangup_reloads_without_watching() -> Result {
    let folder = tempfile::tempdir()?;
    fs::copy(guest("timing"), folder.path().join("hook.wasm"))?;
    let app = App::start_in(folder, CONFIG, &FILES, &[QUIET]).await?;
    let mut watched = Watched { app, seen: 0 };
    let before = watched.page().await?;
    watched.put("templates/page.html", "page two")?;
    assert_eq!(watched.page().await?, before);
    watched.app.signal("HUP").await?;
    let id = watched.served().await?;
    assert_eq!((watched.page().await?.generation, watched.page().await?.text), (id.clone(), "page two".to_owned()));
    // An explicit reload takes place even if no file has changed.
    watched.app.signal("HUP").await?;
    assert_eq!(watched.served().await?, id);
    watched.put("templates/page.html", "{{")?;
    watched.app.signal("HUP").await?;
    assert!(watched.refused().await?.contains("page.html"));
    assert_eq!(watched.page().await?.text, "page two");
    Ok(())
}

/// The harness sets `debug` and the URL of the database by environment variables.
#[tokio::test]
async fn variables_override_the_file_after_a_reload_too() -> Result {
    let env = [("CARYA_SERVER__MAX_BODY", "100")];
    let mut watched = Watched::start_with(CONFIG, &FILES, &env).await?;
    let more =
        "debug = false\n[server]\nmax_body = \"1MiB\"\nmax_response = 50\n[database]\nurl = \"sqlite://no.sqlite\"\n";
    watched.put_config(&format!("{more}{CONFIG}"))?;
    let id = watched.served().await?;
    assert_eq!(watched.app.post("/x", "x".repeat(101)).await?.status, 413);
    let page = watched.page().await?;
    assert_eq!(page.generation, id);
    assert!(!watched.path().join("no.sqlite").exists());
    // Keys that only the file sets take effect.
    let long = watched.play("GET", &json!([{ "answer": { "text": "x".repeat(51) } }])).await?;
    assert_eq!(long.status, 500, "{}", long.text());
    Ok(())
}

#[tokio::test]
async fn reports_keys_that_need_a_restart() -> Result {
    let mut watched = Watched::start().await?;
    let keys = "[server]\nmax_concurrent_requests = 9\ndrain_timeout = \"1s\"\nheader_timeout = \"9s\"\nmax_body = 99999\n\
         [log]\nmax_per_request = 9999\n";
    watched.put_config(&format!("{keys}{CONFIG}"))?;
    let mut wrong = Wrong::default();
    for key in ["header_timeout", "drain_timeout", "max_concurrent_requests", "[log]"] {
        let line = watched.next("which takes effect at the next start").await?;
        check_eq!(
            wrong,
            (&line["level"], line["message"].as_str().unwrap_or_default().contains(key)),
            (&"WARN".into(), true),
            "{key:?}"
        );
    }
    let line = watched.app.log.next(&mut watched.seen, &[SERVED, "next start"]).await?;
    assert_eq!(line["message"], SERVED);
    Ok(())
}

#[tokio::test]
async fn database_connections_older_than_a_migration_are_not_lent_again() -> Result {
    let env = [("CARYA_DATABASE__ECHO_POOL", "true"), ("CARYA_DATABASE__MAX_CONNECTIONS", "1")];
    let mut watched = Watched::start_with(CONFIG, &FILES, &env).await?;
    let read = json!([{ "sql": "SELECT * FROM marks", "op": "query_json" }]);
    let write = json!([{ "sql": "INSERT INTO marks (mark) VALUES ('a') RETURNING *", "op": "query_json" }, { "mark_rollback": true }]);
    let ask = async |watched: &Watched| -> Result {
        for (method, script) in [("GET", &read), ("POST", &write)] {
            let answer = watched.play(method, script).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        Ok(())
    };
    ask(&watched).await?;
    let opened = count_logged(&watched.app, "connection opened");
    for (migration, renewed) in [("ALTER TABLE marks ADD COLUMN n INTEGER DEFAULT 7", 2), ("SELECT 1", 4)] {
        watched.put(&format!("migrations/000{renewed}_more.sql"), migration)?;
        watched.served().await?;
        ask(&watched).await?;
        ask(&watched).await?;
        assert_eq!(count_logged(&watched.app, "connection opened"), opened + renewed, "a reader and a writer");
    }
    watched.put("templates/page.html", "page two")?;
    watched.served().await?;
    ask(&watched).await?;
    assert_eq!(count_logged(&watched.app, "connection opened"), opened + 4, "another swap keeps them");
    Ok(())
}
