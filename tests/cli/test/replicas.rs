//! `carya test` with replicas: they are current, lag or vanish on demand.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Running, servers};
use crate::support::{Engine, Result, Wrong, check, check_eq, on_each_server};

const POSITION: &str = "x-carya-position";

/// Returns a migration with a generated column, a function, and a view with a name before that of the view that it uses.
fn migration(engine: Engine) -> (&'static str, &'static str) {
    macro_rules! tables {
        ($body:literal) => {
            concat!(
                "CREATE TABLE notes (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) STORED);
                 CREATE FUNCTION half(x integer) RETURNS integer ",
                $body,
                "; CREATE VIEW some_notes AS SELECT id, half(twice) AS number FROM notes WHERE twice > 0;
                 CREATE VIEW all_notes AS SELECT id, number FROM some_notes"
            )
        };
    }
    let tables = match engine {
        Engine::MariaDb => tables!("DETERMINISTIC RETURN x DIV 2"),
        _ => tables!("IMMUTABLE RETURN x / 2"),
    };
    ("migrations/0001_notes.sql", tables)
}

fn config(url: &str) -> String {
    format!(
        r#"
        [database]
        url = "{url}"
        replicas = ["{url}"]
        [model]
        migrations = "migrations"
        [component.probe]
        path = "{{guest:probe}}"
        [[route]]
        path = "/replica"
        component = "probe"
        [[route]]
        path = "/primary"
        component = "probe"
        primary = true
        "#
    )
}

impl Running {
    async fn set_replicas(&self, body: Value) -> Result<(u16, String)> {
        self.put_control("/lanes/0/replicas", body.to_string()).await
    }

    /// Sends a script to the guest `probe`. Returns the status, the headers and the text of the response.
    async fn play(
        &self,
        method: &str,
        path: &str,
        headers: HeaderMap,
        script: &Value,
    ) -> Result<(u16, HeaderMap, String)> {
        let url = format!("{}{path}", self.url);
        let request = self.client.request(method.parse()?, url).headers(headers).body(script.to_string());
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok((status, headers, answer.text().await?))
    }

    /// Adds a note. Returns the position of the commit, as headers for reads.
    async fn add_note(&self, id: usize) -> Result<HeaderMap> {
        let script = json!([{ "sql": format!("INSERT INTO notes (id) VALUES ({id})"), "op": "execute" }]);
        let (status, headers, text) = self.play("POST", "/replica", HeaderMap::new(), &script).await?;
        assert_eq!(status, 200, "{text}");
        let position = headers.get(POSITION).ok_or("the response has no position")?.clone();
        Ok(HeaderMap::from_iter([(POSITION.try_into()?, position)]))
    }

    /// Returns the sum of the numbers of the notes that a read sees.
    async fn sum(&self, path: &str, headers: HeaderMap) -> Result<i64> {
        let sql = "SELECT CAST(coalesce(sum(number), 0) AS char(9)) FROM all_notes";
        let script = json!([{ "sql": sql, "op": "query_one" }]);
        let (status, _, text) = self.play("GET", path, headers, &script).await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let sum = answer[0]["row"][0]["v"].as_str().ok_or_else(|| format!("{status}: {text}"))?;
        Ok(sum.trim().parse()?)
    }

    /// Returns the sums that a read sees without a position, with a position, and on the primary.
    async fn sums(&self, position: &HeaderMap) -> Result<[i64; 3]> {
        Ok([
            self.sum("/replica", HeaderMap::new()).await?,
            self.sum("/replica", position.clone()).await?,
            self.sum("/primary", HeaderMap::new()).await?,
        ])
    }
}

async fn start(engine: Engine) -> Result<Running> {
    servers::start(engine, config, migration(engine)).await
}

async fn a_replica_lags_on_demand(engine: Engine) -> Result {
    let tests = start(engine).await?;
    let mut wrong = Wrong::default();
    let done = (204, String::new());
    let first = tests.add_note(1).await?;
    check_eq!(wrong, tests.sums(&first).await?, [1, 1, 1], "at first");
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?, done, "lagging");
    check_eq!(wrong, tests.sums(&first).await?, [1, 1, 1], "before a write");
    let second = tests.add_note(10).await?;
    check_eq!(wrong, tests.sums(&second).await?, [1, 11, 11], "after a write");
    check_eq!(wrong, tests.sums(&first).await?, [1, 1, 11], "the replica has the first write");
    // Longer than two checks of the replica.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    check_eq!(wrong, tests.sums(&second).await?, [1, 11, 11], "later");
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?, done, "again");
    let third = tests.add_note(100).await?;
    check_eq!(wrong, tests.sums(&third).await?, [11, 111, 111], "lagging again");
    check_eq!(wrong, tests.sums(&second).await?, [11, 11, 111], "the replica has the second write");
    check_eq!(wrong, tests.set_replicas(json!({"state": "current"})).await?, done, "current");
    check_eq!(wrong, tests.sums(&third).await?, [111, 111, 111], "current");
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?, done, "before the reset");
    check_eq!(wrong, tests.control("/lanes/0/reset", "").await?, done, "reset");
    let fourth = tests.add_note(1000).await?;
    check_eq!(wrong, tests.sums(&fourth).await?, [1000, 1000, 1000], "after the reset");
    let function = if engine == Engine::MariaDb { "database" } else { "current_database" };
    let (_, database) = tests.control("/lanes/0/sql", format!(r#"{{"sql": "SELECT {function}() AS name"}}"#)).await?;
    let (_, name) = database.split_once("carya_test_").ok_or("no name")?;
    let (run, _) = name.split_once('_').ok_or("no run")?;
    let ended = tests.end(0).await?;
    check_eq!(wrong, ended.code, Some(0), "the end");
    // The checks of the replica end before its pool is closed.
    check!(wrong, !ended.err.contains("closed"), "{}", ended.err);
    let left = servers::throw_away(engine).await?;
    check!(wrong, !left.iter().any(|name| name.contains(run)), "{run} in {left:?}");
    Ok(())
}

/// A statement of a lagging replica that fails must not end its old data.
async fn a_replica_still_lags_after_errors_and_changes_of_the_schema(engine: Engine) -> Result {
    let tests = start(engine).await?;
    let mut wrong = Wrong::default();
    tests.add_note(1).await?;
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?.0, 204, "lagging");
    let position = tests.add_note(10).await?;
    let broken = json!([{ "sql": "SELECT nothing FROM notes" }]);
    for _ in 0..2 {
        let (status, ..) = tests.play("GET", "/replica", HeaderMap::new(), &broken).await?;
        check_eq!(wrong, status, 500, "a broken statement");
        check_eq!(wrong, tests.sums(&position).await?, [1, 11, 11], "after a broken statement");
    }
    let table = r#"{"sql": "CREATE TABLE extra (id integer PRIMARY KEY)"}"#;
    check_eq!(wrong, tests.control("/lanes/0/sql", table).await?.0, 200, "a new table");
    check_eq!(wrong, tests.sums(&position).await?, [1, 11, 11], "after a change of the schema");
    let reads = (0..12).map(|_| tests.sums(&position));
    let many = futures_util::future::try_join_all(reads).await?;
    check!(wrong, many.iter().all(|sums| *sums == [1, 11, 11]), "{many:?}");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}

async fn a_replica_vanishes_on_demand(engine: Engine) -> Result {
    let tests = start(engine).await?;
    let mut wrong = Wrong::default();
    let position = tests.add_note(1).await?;
    let read = json!({ "sql": "SELECT id FROM notes" });
    let script = json!([read, { "sleep_ms": 1500 }, read]);
    let vanishing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tests.set_replicas(json!({"state": "gone"})).await
    };
    let (broken, gone) = tokio::try_join!(tests.play("GET", "/replica", HeaderMap::new(), &script), vanishing)?;
    check_eq!(wrong, gone, (204, String::new()), "gone");
    check_eq!(wrong, broken.0, 503, "a read on the replica: {}", broken.2);
    for _ in 0..3 {
        check_eq!(wrong, tests.sums(&position).await?, [1, 1, 1], "without the replica");
    }
    let position = tests.add_note(10).await?;
    check_eq!(wrong, tests.sums(&position).await?, [11, 11, 11], "after a write");
    // The replica is usable at once.
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?.0, 204, "lagging");
    let position = tests.add_note(100).await?;
    check_eq!(wrong, tests.sums(&position).await?, [11, 111, 111], "lagging");
    check_eq!(wrong, tests.set_replicas(json!({"state": "gone"})).await?.0, 204, "gone again");
    check_eq!(wrong, tests.sums(&position).await?, [111, 111, 111], "gone again");
    check_eq!(wrong, tests.control("/lanes/0/reset", "").await?.0, 204, "reset");
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?.0, 204, "after the reset");
    let position = tests.add_note(1000).await?;
    check_eq!(wrong, tests.sums(&position).await?, [0, 1000, 1000], "after the reset");
    let ended = tests.end(0).await?;
    check_eq!(wrong, ended.code, Some(0), "the end");
    check!(wrong, ended.err.contains("the test has made the replica vanish"), "{}", ended.err);
    Ok(())
}

on_each_server!(
    a_replica_lags_on_demand,
    a_replica_still_lags_after_errors_and_changes_of_the_schema,
    a_replica_vanishes_on_demand,
);

async fn a_private_server_has_simulated_replicas(engine: Engine) -> Result {
    let (product, url) = match engine {
        Engine::MariaDb => ("mariadb", "mysql://ann:secret@127.0.0.1:1/shop"),
        _ => ("postgres", "postgres://ann:secret@127.0.0.1:1/shop"),
    };
    let tests = Running::start_with(&config(url), migration(engine), &["--start", product], &[]).await?;
    let mut wrong = Wrong::default();
    check_eq!(wrong, tests.set_replicas(json!({"state": "lagging"})).await?, (204, String::new()), "lagging");
    let position = tests.add_note(1).await?;
    check_eq!(wrong, tests.sums(&position).await?, [0, 1, 1], "after a write");
    let ended = tests.end(0).await?;
    check_eq!(wrong, ended.code, Some(0), "the end");
    // The checks of the replica end before its pool is closed.
    check!(wrong, !ended.err.contains("closed"), "{}", ended.err);
    Ok(())
}

mod private {
    use super::{a_private_server_has_simulated_replicas, on_each_server};

    on_each_server!(a_private_server_has_simulated_replicas);
}

#[tokio::test]
async fn the_control_refuses_replicas_that_do_not_exist() -> Result {
    let mut wrong = Wrong::default();
    let sqlite = Running::start(&[]).await?;
    for (body, expected) in [
        (json!({"state": "lagging"}), "database \"default\": an SQLite file has no replicas"),
        (json!({"state": "away"}), "the states are current, lagging and gone"),
        (json!({"state": "gone", "database": "third"}), "there is no database \"third\""),
    ] {
        let (status, text) = sqlite.set_replicas(body).await?;
        check!(wrong, status == 400 && text.contains(expected), "{status} {text}");
    }
    check_eq!(wrong, sqlite.end(0).await?.code, Some(0), "the end on SQLite");
    if Engine::Postgres.is_installed() {
        let tests = servers::running(Engine::Postgres).await?;
        let (status, text) = tests.set_replicas(json!({"state": "gone"})).await?;
        check!(wrong, status == 400 && text.contains("add the key `replicas`"), "{status} {text}");
        check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end on PostgreSQL");
    }
    Ok(())
}
