//! Scripts for the guest `probe`, as JSON, and the applications that they are played in: one table, `marks`, in which
//! a request leaves the marks that it managed to write, or tables of a test's own.

use std::time::Instant;

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{Answer, App, Engine, PATIENCE, Result, client::Connection};

const PROBE: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [model]
    migrations = "migrations"
"#;

const ROUTE: &str = r#"
    [[route]]
    path = "/{what}"
    component = "probe"
"#;

const TABLE: (&str, &str) =
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)");

/// An application with the component `probe`, the table, and what else the configuration says.
pub async fn start(config: &str) -> Result<App> {
    start_with(config, &[]).await
}

/// The same on tables of one's own, given as SQL.
pub async fn start_on(tables: &str, config: &str) -> Result<App> {
    App::start(&format!("{PROBE}{config}"), &[("migrations/0001_tables.sql", tables)]).await
}

/// The same with more environment variables.
pub async fn start_with(config: &str, env: &[(&str, &str)]) -> Result<App> {
    App::start_in(tempfile::tempdir()?, &format!("{PROBE}{config}"), &[TABLE], env).await
}

/// The same once more, in the folder of one that has ended.
pub async fn start_again(folder: TempDir, config: &str) -> Result<App> {
    App::start_in(folder, &format!("{PROBE}{config}"), &[TABLE], &[]).await
}

/// An application with `probe` behind every path, on tables of one's own.
pub async fn serve(tables: &str) -> Result<App> {
    serve_with(tables, "").await
}

/// The same with more configuration.
pub async fn serve_with(tables: &str, extra: &str) -> Result<App> {
    start_on(tables, &format!("{ROUTE}{extra}")).await
}

/// What [`serve`] serves.
pub fn config() -> String {
    format!("{PROBE}{ROUTE}")
}

/// Has a script played, whatever the method.
pub async fn play(app: &App, method: &str, path: &str, script: &Json) -> Result<Answer> {
    app.send(method, path, HeaderMap::new(), script.to_string()).await
}

/// The same where the path does not matter.
pub async fn send(app: &App, method: &str, script: &Json) -> Result<Answer> {
    play(app, method, "/x", script).await
}

/// Sends a script that is expected to end well, and returns the results of its steps.
pub async fn results(app: &App, method: &str, script: &Json) -> Result<Json> {
    let answer = send(app, method, script).await?;
    if answer.status != 200 {
        let told = app.log.lines().into_iter().rfind(|line| line["level"] == "ERROR").unwrap_or_default();
        return Err(format!("{script}: {} {}, and at last it logged {told}", answer.status, answer.text()).into());
    }
    answer.json()
}

/// The same where statements have little time, which a busy machine may not give them: sends it again if that was all.
pub async fn in_time(app: &App, method: &str, script: &Json) -> Result<Json> {
    let begun = Instant::now();
    loop {
        match results(app, method, script).await {
            Err(error) if error.to_string().contains("statement_timeout") && begun.elapsed() < PATIENCE => {}
            other => return other,
        }
    }
}

/// The result of one step, whatever it does: what fails comes back as `{"error":{..}}`, what it wrote is rolled back.
pub async fn attempt(app: &App, method: &str, mut step: Json) -> Result<Json> {
    step["swallow"] = true.into();
    let script = if method == "GET" { json!([step]) } else { json!([step, { "mark_rollback": true }]) };
    Ok(results(app, method, &script).await?[0].take())
}

/// How a result failed: its kind, or `ok`.
pub fn kind(result: &Json) -> String {
    result["error"]["kind"].as_str().unwrap_or("ok").to_owned()
}

/// The marks that are there, as another client sees them.
pub async fn marks(app: &App) -> Result<String> {
    Ok(app.texts("SELECT mark FROM marks ORDER BY mark").await?.join(" "))
}

/// Another client in a transaction that has written the mark `other`; nobody else writes marks until it ends.
pub async fn lock(app: &App) -> Result<Connection> {
    let mut other = app.client()?.connect().await?;
    let begin = match Engine::current() {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN; LOCK TABLE marks IN EXCLUSIVE MODE",
        // With no mark there yet, this locks the place of every one to come.
        Engine::MariaDb => "BEGIN; SELECT * FROM marks FOR UPDATE",
    };
    other.execute(begin).await?;
    other.execute("INSERT INTO marks VALUES ('other')").await?;
    Ok(other)
}

/// The environment that has the host wait for others' locks as briefly as the engine can. MariaDB counts in seconds.
pub fn impatient() -> (&'static str, &'static str) {
    match Engine::current() {
        Engine::Sqlite => ("CARYA_DATABASE__BUSY_TIMEOUT", "30ms"),
        _ => ("CARYA_DATABASE__LOCK_TIMEOUT", "30ms"),
    }
}

/// Writes a mark.
pub fn insert(mark: &str) -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (?)", "op": "execute", "params": [mark] })
}

/// A statement that fails, and whose error the controller returns.
pub fn broken() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute" })
}

/// A statement that fails, and whose error the controller ignores.
pub fn swallowed() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute", "swallow": true })
}

/// Numbers to 900: not every engine counts for ever.
pub const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)";

/// Rows of [`NUMBERS`] that nobody lives to see the last of.
pub const ENDLESS: &str = "n a, n b, n c, n d";

/// Answers with a status.
pub fn answer(status: u16) -> Json {
    json!({ "answer": { "status": status } })
}

/// Returns an error.
pub fn fail() -> Json {
    json!({ "fail": "as the script says" })
}

/// Registers an action for the commit.
pub fn after_commit(name: &str) -> Json {
    json!({ "after_commit": name })
}

/// Registers an action for the rollback.
pub fn after_rollback(name: &str) -> Json {
    json!({ "after_rollback": name })
}
