//! The lifecycle of a request, row by row. Each row checks the events, the response and the database together.

mod actions;
mod better;
mod doom;
mod ends;
mod failures;
mod pecan;

use serde_json::{Value as Json, json};

use crate::{
    script::{insert, marks, play},
    support::{App, Result},
};

/// Sends a script, and compares the status of the response, the events of the request and the marks in the database. If
/// the controller receives a writer, the script first writes the mark `m`. The mark must exist afterwards if and only
/// if the request committed.
async fn expect(app: &App, row: &str, request: &str, script: &[Json], status: u16, steps: &str) -> Result {
    let (method, path) = request.split_once(' ').ok_or("a request is METHOD PATH")?;
    let mut script = script.to_vec();
    if has_writer(steps) {
        script.insert(0, insert("m"));
    }
    let answer = play(app, method, path, &json!(script)).await?;
    let row = format!("{row}: {request}: {}", answer.text());
    assert_eq!((answer.status, answer.steps().as_str()), (status, steps), "{row}");
    let committed = steps.split(", ").any(|step| step == "commit");
    assert_eq!(marks(app).await?, if committed { "m" } else { "" }, "{row}");
    Ok(())
}

/// Returns whether the controller receives a writer, i.e. whether the last transaction in `steps` begins with `start`
/// and not with `start_read_only`.
fn has_writer(steps: &str) -> bool {
    let binds = |step: &&str| matches!(*step, "start" | "start_read_only" | "clear");
    steps.trim_end_matches("clear").split(", ").filter(binds).last() == Some("start")
}

/// Like [`expect`], for a further request to the same application: deletes all marks first.
async fn expect_next(app: &App, row: &str, request: &str, script: &[Json], status: u16, steps: &str) -> Result {
    app.execute("DELETE FROM marks").await?;
    expect(app, row, request, script, status, steps).await
}
