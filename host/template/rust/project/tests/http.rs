//! Tests of the application over HTTP. `make test` runs them by `carya test`, which serves the application on throw-away
//! databases.

use std::{env, error::Error};

use serde_json::{Value, json};
use ureq::Agent;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The application with a database of its own, so that tests can run in parallel.
struct App {
    agent: Agent,
    url: String,
    /// Runs SQL in the database.
    sql: String,
}

impl App {
    fn new() -> Result<Self> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let control = env::var("CARYA_TEST_CONTROL").map_err(|_| "run `make test`")?;
        let lane = agent.post(format!("{control}/lanes")).send_empty()?;
        let lane: Value = serde_json::from_str(&lane.into_body().read_to_string()?)?;
        let url = lane["url"].as_str().ok_or("no url")?.to_owned();
        let sql = format!("{control}/lanes/{}/sql", lane["lane"]);
        Ok(Self { agent, url, sql })
    }

    fn get(&self, path: &str) -> Result<(u16, Value)> {
        let answer = self.agent.get(format!("{}{path}", self.url)).call()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().read_to_string()?;
        Ok((status, serde_json::from_str(&body)?))
    }

    fn post(&self, path: &str, body: &str) -> Result<u16> {
        let answer = self.agent.post(format!("{}{path}", self.url)).send(body)?;
        Ok(answer.status().as_u16())
    }

    fn rows(&self, sql: &str) -> Result<Value> {
        let body = json!({ "sql": sql }).to_string();
        let answer = self.agent.post(&self.sql).send(body)?;
        Ok(serde_json::from_str(&answer.into_body().read_to_string()?)?)
    }
}

#[test]
fn lists_notes() -> Result {
    let app = App::new()?;
    app.rows("INSERT INTO notes (text) VALUES ('Pecans')")?;
    let (status, notes) = app.get("/notes")?;
    assert_eq!((status, &notes[0]["text"]), (200, &json!("Pecans")));
    Ok(())
}

#[test]
fn adds_a_note() -> Result {
    let app = App::new()?;
    assert_eq!(app.post("/notes", "Pecans")?, 201);
    assert_eq!(
        app.rows("SELECT text FROM notes")?,
        json!([{ "text": "Pecans" }])
    );
    Ok(())
}

#[test]
fn a_refused_note_leaves_no_row() -> Result {
    let app = App::new()?;
    assert_eq!(app.post("/notes", " ")?, 422);
    assert_eq!(app.rows("SELECT text FROM notes")?, json!([]));
    Ok(())
}
