//! The guest `probe` behind every path, its scripts, and what they bring back.

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};

use super::support::{Answer, App, Result};

/// A served `probe` with a schema.
pub async fn serve(schema: &str) -> Result<App> {
    serve_with(schema, "").await
}

/// The same with more configuration.
pub async fn serve_with(schema: &str, extra: &str) -> Result<App> {
    App::start(&config(extra), &[("migrations/0001_schema.sql", schema)]).await
}

pub fn config(extra: &str) -> String {
    format!(
        r#"
        [component.probe]
        path = "{{guest:probe}}"
        [model]
        migrations = "migrations"
        [[route]]
        path = "/{{what}}"
        component = "probe"
        {extra}
        "#
    )
}

/// Sends a script, an array of steps.
pub async fn send(app: &App, method: &str, script: &Json) -> Result<Answer> {
    app.send(method, "/x", HeaderMap::new(), script.to_string()).await
}

/// Sends a script that is expected to end well, and returns the results of its steps.
pub async fn results(app: &App, method: &str, script: &Json) -> Result<Json> {
    let answer = send(app, method, script).await?;
    if answer.status != 200 {
        return Err(format!("{script}: {} {}", answer.status, answer.text()).into());
    }
    answer.json()
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
