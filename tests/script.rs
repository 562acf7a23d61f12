//! Scripts for the guest `probe`, as JSON, and the application that most of them are played in: one table, `marks`,
//! in which a request leaves the marks that it managed to write.

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{Answer, App, Result};

const PROBE: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [model]
    migrations = "migrations"
"#;

const TABLE: (&str, &str) = ("migrations/0001_marks.sql", "CREATE TABLE marks (mark TEXT PRIMARY KEY NOT NULL)");

/// An application with the component `probe`, the table, and what else the configuration says.
pub(crate) async fn start(config: &str) -> Result<App> {
    start_with(config, &[]).await
}

/// The same on tables of one's own, given as SQL.
pub(crate) async fn start_on(tables: &str, config: &str) -> Result<App> {
    App::start(&format!("{PROBE}{config}"), &[("migrations/0001_tables.sql", tables)]).await
}

/// The same with more environment variables.
pub(crate) async fn start_with(config: &str, env: &[(&str, &str)]) -> Result<App> {
    App::start_in(tempfile::tempdir()?, &format!("{PROBE}{config}"), &[TABLE], env).await
}

/// The same once more, in the folder of one that has ended.
pub(crate) async fn start_again(folder: TempDir, config: &str) -> Result<App> {
    App::start_in(folder, &format!("{PROBE}{config}"), &[TABLE], &[]).await
}

/// Has a script played, whatever the method.
pub(crate) async fn play(app: &App, method: &str, path: &str, script: &Json) -> Result<Answer> {
    app.send(method, path, HeaderMap::new(), script.to_string()).await
}

/// The marks that are there, as another client sees them.
pub(crate) async fn marks(app: &App) -> Result<String> {
    Ok(app.texts("SELECT mark FROM marks ORDER BY mark").await?.join(" "))
}

/// Writes a mark.
pub(crate) fn insert(mark: &str) -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (?)", "op": "execute", "params": [mark] })
}

/// A statement that fails, and whose error the controller returns.
pub(crate) fn broken() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute" })
}

/// A statement that fails, and whose error the controller ignores.
pub(crate) fn swallowed() -> Json {
    json!({ "sql": "INSERT INTO marks VALUES (NULL)", "op": "execute", "swallow": true })
}

/// Answers with a status.
pub(crate) fn answer(status: u16) -> Json {
    json!({ "answer": { "status": status } })
}

/// Returns an error.
pub(crate) fn fail() -> Json {
    json!({ "fail": "as the script says" })
}

/// Registers an action for the commit.
pub(crate) fn after_commit(name: &str) -> Json {
    json!({ "after_commit": name })
}

/// Registers an action for the rollback.
pub(crate) fn after_rollback(name: &str) -> Json {
    json!({ "after_rollback": name })
}
