//! Components that export `wasi:http/incoming-handler` and were not made for this host, as controllers.

mod access;
mod foreign;
mod instances;
mod powers;
mod responses;

use crate::support::{App, Response, Result};

const TABLE: (&str, &str) =
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)");

/// The guest `handler` behind routes of every access mode, and as hooks outside and inside the transaction.
const CONFIG: &str = r#"
    [component.it]
    path = "{guest:handler}"
    timeout = "20s"
    [component.hasty]
    path = "{guest:handler}"
    timeout = "500ms"
    [component.out]
    path = "{guest:handler}"
    [component.in]
    path = "{guest:handler}"
    [model]
    migrations = "migrations"
    [[route]]
    path = "/plain"
    component = "it"
    transaction = "none"
    [[route]]
    path = "/hasty"
    component = "hasty"
    [[route]]
    path = "/hooked"
    component = "it"
    hooks = [{ component = "out", priority = 0 }, { component = "in", priority = 1000 }]
    [[route]]
    path = "/{what}"
    component = "it"
"#;

/// Step that writes a row.
const INSERT: &str = "sql INSERT INTO marks VALUES ('m')";

async fn start(more: &str, env: &[(&str, &str)]) -> Result<App> {
    App::start_in(tempfile::tempdir()?, &format!("{more}{CONFIG}"), &[TABLE], env).await
}

/// Runs a script in the guest.
async fn run(app: &App, method: &str, path: &str, script: &str) -> Result<Response> {
    Response::read(app.request(method, path).query(&[("do", script)]).send().await?).await
}

/// Returns the number of rows, and deletes them.
async fn take_rows(app: &App) -> Result<i64> {
    let rows = app.number("SELECT count(*) FROM marks").await?;
    app.execute("DELETE FROM marks").await?;
    Ok(rows)
}
