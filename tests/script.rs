//! Scripts for the guest `probe`, as JSON, and the applications that play them. An application has the table `marks`,
//! into which requests write marks, or tables of the test's own.

use std::time::Instant;

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{App, Engine, PATIENCE, Response, Result, client::Connection};

const PROBE: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [model]
    migrations = "migrations"
"#;

/// Configuration with `probe` behind every path.
pub const ROUTE: &str = r#"
    [[route]]
    path = "/{what}"
    component = "probe"
"#;

const TABLE: (&str, &str) =
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)");

/// Starts an application with the component `probe`, the table `marks` and more configuration.
pub async fn start(engine: Engine, config: &str) -> Result<App> {
    start_with(engine, config, &[]).await
}

/// Like [`start`], with the tables that the SQL in `tables` creates.
pub async fn start_tables(engine: Engine, tables: &str, config: &str) -> Result<App> {
    App::start_on(engine, &format!("{PROBE}{config}"), &[("migrations/0001_tables.sql", tables)]).await
}

/// Like [`start`], with more environment variables.
pub async fn start_with(engine: Engine, config: &str, env: &[(&str, &str)]) -> Result<App> {
    App::start_in(engine.folder().await?, &format!("{PROBE}{config}"), &[TABLE], env).await
}

/// Like [`start`], in the folder of an application that has ended.
pub async fn start_again(folder: TempDir, config: &str) -> Result<App> {
    App::start_in(folder, &format!("{PROBE}{config}"), &[TABLE], &[]).await
}

/// Starts an application with `probe` behind every path, and with tables of the test's own.
pub async fn serve(engine: Engine, tables: &str) -> Result<App> {
    serve_with(engine, tables, "").await
}

/// Like [`serve`], with more configuration.
pub async fn serve_with(engine: Engine, tables: &str, extra: &str) -> Result<App> {
    start_tables(engine, tables, &format!("{ROUTE}{extra}")).await
}

/// Returns the configuration that [`serve`] uses.
pub fn config() -> String {
    format!("{PROBE}{ROUTE}")
}

/// Sends a script in the body of a request, with any method.
pub async fn play(app: &App, method: &str, path: &str, script: &Json) -> Result<Response> {
    app.send(method, path, HeaderMap::new(), script.to_string()).await
}

/// Like [`play`], if the path does not matter.
pub async fn send(app: &App, method: &str, script: &Json) -> Result<Response> {
    play(app, method, "/x", script).await
}

/// Sends a script that must succeed. Returns the results of its steps.
pub async fn results(app: &App, method: &str, script: &Json) -> Result<Json> {
    let answer = send(app, method, script).await?;
    if answer.status != 200 {
        let told = app.log.lines().into_iter().rfind(|line| line["level"] == "ERROR").unwrap_or_default();
        return Err(format!("{script}: {} {}, and at last it logged {told}", answer.status, answer.text()).into());
    }
    answer.json()
}

/// Like [`results`], for applications with a short `statement_timeout`: sends the script again if a statement timed
/// out, as happens on a busy machine.
pub async fn in_time(app: &App, method: &str, script: &Json) -> Result<Json> {
    let begun = Instant::now();
    loop {
        match results(app, method, script).await {
            Err(error) if error.to_string().contains("statement_timeout") && begun.elapsed() < PATIENCE => {}
            other => return other,
        }
    }
}

/// Runs one step and rolls it back. Returns its result; an error is the result `{"error":{..}}`.
pub async fn attempt(app: &App, method: &str, mut step: Json) -> Result<Json> {
    step["swallow"] = true.into();
    let script = if method == "GET" { json!([step]) } else { json!([step, { "mark_rollback": true }]) };
    Ok(results(app, method, &script).await?[0].take())
}

/// Returns the kind of error in a result, or `ok`.
pub fn kind(result: &Json) -> String {
    result["error"]["kind"].as_str().unwrap_or("ok").to_owned()
}

/// Returns all marks, as a second client sees them.
pub async fn marks(app: &App) -> Result<String> {
    Ok(app.texts("SELECT mark FROM marks ORDER BY mark").await?.join(" "))
}

/// Returns a second client in a transaction that has written the mark `other`. No other client can write marks until it
/// ends.
pub async fn lock(app: &App) -> Result<Connection> {
    let mut other = app.client()?.connect().await?;
    let begin = match app.engine {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN; LOCK TABLE marks IN EXCLUSIVE MODE",
        // The table is empty, so this locks the gap for all marks to come.
        Engine::MariaDb => "BEGIN; SELECT * FROM marks FOR UPDATE",
    };
    other.execute(begin).await?;
    other.execute("INSERT INTO marks VALUES ('other')").await?;
    Ok(other)
}

/// Returns the environment variable with which the host waits for locks as briefly as the engine allows. MariaDB counts
/// in seconds.
pub fn impatient(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Sqlite => ("CARYA_DATABASE__BUSY_TIMEOUT", "30ms"),
        _ => ("CARYA_DATABASE__LOCK_TIMEOUT", "30ms"),
    }
}

/// Returns a step that writes a mark.
pub fn insert(mark: &str) -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (?)", "op": "execute", "params": [mark] })
}

/// Returns a failing statement with an error that the controller returns.
pub fn broken() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute" })
}

/// Returns a failing statement with an error that the controller ignores.
pub fn swallowed() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute", "swallow": true })
}

/// `WITH` clause for the numbers 1 to 900. Not every engine allows an endless recursion.
pub const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)";

/// `FROM` list over [`NUMBERS`] with more rows than a test can read: 900^4.
pub const ENDLESS: &str = "n a, n b, n c, n d";

/// Returns a step that answers with a status.
pub fn answer(status: u16) -> Json {
    json!({ "answer": { "status": status } })
}

/// Returns a step with which the controller returns an error.
pub fn fail() -> Json {
    json!({ "fail": "as the script says" })
}

/// Returns a step that registers an action for the commit.
pub fn after_commit(name: &str) -> Json {
    json!({ "after_commit": name })
}

/// Returns a step that registers an action for the rollback.
pub fn after_rollback(name: &str) -> Json {
    json!({ "after_rollback": name })
}
