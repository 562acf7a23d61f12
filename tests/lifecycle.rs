//! The life of a request, row by row: what happened, what the client got, and what is in the database, together.

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

/// Plays a script and looks at all that it led to. Where the controller gets a writer, the script first leaves the mark
/// `m`, which must be there afterwards if the request committed, and only then.
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

/// Whether the last binding of these steps is one that writes.
fn has_writer(steps: &str) -> bool {
    let binds = |step: &&str| matches!(*step, "start" | "start_read_only" | "clear");
    steps.trim_end_matches("clear").split(", ").filter(binds).last() == Some("start")
}

/// The same as [`expect`] for a further request to an application that has rows already: takes them away first.
async fn expect_next(app: &App, row: &str, request: &str, script: &[Json], status: u16, steps: &str) -> Result {
    app.execute("DELETE FROM marks").await?;
    expect(app, row, request, script, status, steps).await
}
