//! Tests of the barrier with hostile statements, sent through both the reader and the writer. This file and
//! [`statements`] cover SQLite, the other modules cover the servers.
//!
//! After each statement a second client checks that database and files are unchanged, and ordinary requests check that
//! the connections which the statement used still work.

mod functions;
mod mariadb;
mod postgres;
mod server;
mod settings;
mod statements;

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use sqlx::{Row, SqliteConnection};

use super::{
    script::{attempt, in_time, kind, results, send, serve_with},
    support::{App, Engine, Result, Wrong, check, check_ne, eventually},
};

const SCHEMA: &str = "
    CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    INSERT INTO items VALUES (1, 'a'), (2, 'b');
    CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, item REFERENCES items (id));
    INSERT INTO counted VALUES (1, 1);
    CREATE TABLE harsh (n UNIQUE ON CONFLICT ROLLBACK);
    INSERT INTO harsh VALUES (1);
    CREATE TABLE traps (what TEXT);
    CREATE TRIGGER trap BEFORE INSERT ON traps BEGIN SELECT RAISE(ROLLBACK, 'trapped'); END;
    CREATE VIEW names AS SELECT name FROM items;
    CREATE TRIGGER rename INSTEAD OF INSERT ON names BEGIN UPDATE items SET name = NEW.name; END;
    CREATE VIRTUAL TABLE texts USING fts5(body);
    INSERT INTO texts VALUES ('hello world');
    CREATE TABLE scratch (what TEXT)";

/// An application with a hostile guest, and a second client that checks its database.
struct Watched {
    app: App,
    database: SqliteConnection,
    /// Fingerprint of database and folder before the first statement.
    before: String,
    /// Numbers of statements: refused by the gate or a limit of the host, stopped by the engine, and completed.
    counts: [usize; 3],
}

impl Watched {
    /// Starts the application with one connection for each handle, so that the next request uses the same connection.
    async fn new() -> Result<Self> {
        let limits = "[database]\nmax_connections = 1\nmax_rows = 1000\nstatement_timeout = '400ms'";
        let app = serve_with(Engine::Sqlite, SCHEMA, limits).await?;
        let database = app.database().await?;
        let mut watched = Self { app, database, before: String::new(), counts: [0; 3] };
        watched.before = watched.fingerprint().await?;
        Ok(watched)
    }

    async fn fingerprint(&mut self) -> Result<String> {
        let queries = [
            "SELECT id || name FROM items ORDER BY id",
            "SELECT id || '-' || item FROM counted",
            "SELECT 'h' || n FROM harsh UNION ALL SELECT what FROM traps UNION ALL SELECT what FROM scratch",
            "SELECT 's' || seq FROM sqlite_sequence",
            "SELECT body FROM texts",
            "SELECT type || name || tbl_name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1",
            "SELECT id || component || name || payload || attempts || due_at FROM carya_outbox ORDER BY seq",
            "SELECT version || description || hex(checksum) FROM _sqlx_migrations",
            "SELECT 'user_version' || user_version FROM pragma_user_version",
            "SELECT 'application_id' || application_id FROM pragma_application_id",
            "SELECT journal_mode FROM pragma_journal_mode",
            "SELECT integrity_check FROM pragma_integrity_check",
        ];
        let mut found = Vec::new();
        for query in queries {
            for row in sqlx::query(query).fetch_all(&mut self.database).await? {
                found.push(row.try_get::<String, _>(0)?);
            }
        }
        let files = std::fs::read_dir(self.app.folder.path())?;
        let files: std::io::Result<BTreeSet<_>> = files.map(|file| Ok(file?.file_name())).collect();
        found.push(format!("{:?}", files?));
        Ok(found.join("\n"))
    }

    /// Sends ordinary requests on the connections that the hostile statement used. Returns a description of every fault
    /// in their results or in the database.
    async fn damage(&mut self) -> Result<Option<String>> {
        let mut wrong = Vec::new();
        let read = json!({ "sql": "SELECT group_concat(id || name) FROM items", "op": "query_one" });
        let write = json!({ "sql": "INSERT INTO scratch VALUES ('next')", "op": "execute" });
        let unmake = json!({ "sql": "DELETE FROM scratch", "op": "execute" });
        let orphan = json!({ "sql": "INSERT INTO counted VALUES (9, 9)", "op": "execute" });
        let smuggled = json!({ "sql": "WITH x AS (SELECT 1) INSERT INTO scratch SELECT 'x' FROM x" });
        let seen = in_time(&self.app, "GET", &json!([read])).await?;
        let seen_writing = in_time(&self.app, "POST", &json!([read, write])).await?;
        for seen in [&seen[0], &seen_writing[0]] {
            if seen["row"][0]["v"] != "1a,2b" {
                wrong.push(format!("the next request reads {seen}"));
            }
        }
        if sqlx::query("SELECT * FROM scratch").fetch_all(&mut self.database).await?.len() != 1 {
            wrong.push("the next request does not commit".to_owned());
        }
        in_time(&self.app, "POST", &json!([unmake])).await?;
        for (method, step, expected) in [("GET", smuggled, "read-only"), ("POST", orphan, "constraint")] {
            let got = kind(&attempt(&self.app, method, step).await?);
            if got != expected {
                wrong.push(format!("the next {method} request gets {got} instead of {expected}"));
            }
        }
        let now = self.fingerprint().await?;
        if now != self.before {
            wrong.push(format!("the database was\n{}\nand is\n{now}", self.before));
        }
        Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
    }

    /// Runs a statement through one handle. Returns a description of every unexpected result.
    async fn try_out(&mut self, method: &str, sql: &str, params: &Json, expected: &str) -> Result<Option<String>> {
        let hostile = json!({ "sql": sql, "params": params, "swallow": true });
        let got = attempt(&self.app, method, hostile.clone()).await?;
        if !expected.split('|').any(|expected| expected == kind(&got)) {
            return Ok(Some(format!("{}: {got:.300}", kind(&got))));
        }
        // Only errors that the engine reports have a code.
        let by = if kind(&got) == "ok" { 2 } else { usize::from(!got["error"]["code"].is_null()) };
        self.counts[by] += 1;
        let may_run = expected.split('|').any(|expected| expected == "ok");
        if method == "POST" && !may_run {
            // The failed statement dooms the transaction: the row written before it is rolled back, even though the
            // guest ignores the error.
            let marker = json!({ "sql": "INSERT INTO scratch VALUES ('before')", "op": "execute" });
            let answer = send(&self.app, "POST", &json!([marker, hostile])).await?;
            if answer.status < 500 {
                return Ok(Some(format!("swallowed: {} {}", answer.status, answer.text())));
            }
        }
        self.damage().await
    }
}

#[tokio::test]
async fn hostile_statements_stay_inside() -> Result {
    let mut watched = Watched::new().await?;
    let mut wrong = Vec::new();
    for statements::Case { sql, reader, writer } in statements::all() {
        for (method, expected) in [("GET", reader), ("POST", writer)] {
            let tried = watched.try_out(method, &sql, &json!([]), expected).await;
            let what = tried.map_err(|error| format!("{method} {sql:.300}: {error}"))?;
            wrong.extend(what.map(|what| format!("{method} {sql:.200}\n    expected {expected}, got {what}")));
        }
    }
    let [gate, engine, nobody] = watched.counts;
    println!("SQLite: {gate} stopped by the gate and the host's limits, {engine} by the engine, {nobody} do no harm");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The driver caches compiled statements by their text. If a guest sends the text of one of the host's own statements,
/// it must not run the cached statement, which was compiled with the permissions of the host.
#[tokio::test]
async fn the_hosts_own_statements_are_not_lent_to_guests() -> Result {
    let mut watched = Watched::new().await?;
    // The actions `fail` and `done` make the host send all of its outbox statements, so that they are cached.
    for action in ["fail", "done"] {
        let step = json!({ "after_commit": action, "delivery": "at-least-once" });
        results(&watched.app, "POST", &json!([step])).await?;
    }
    watched.app.log.wait_for("an action failed").await?;
    watched.app.log.wait_for("action done").await?;
    let left = async || Ok(watched.app.number("SELECT count(*) FROM carya_outbox").await? == 1);
    eventually("the other action is deleted", left).await?;
    sqlx::query("UPDATE carya_outbox SET due_at = due_at + 3600000").execute(&mut watched.database).await?;
    watched.before = watched.fingerprint().await?;
    assert!(watched.before.contains("probefail1"), "{}", watched.before);
    let source = concat!(
        include_str!("../host/src/outbox.rs"),
        include_str!("../host/src/outbox/functions.rs"),
        include_str!("../host/src/outbox/lease.rs"),
    );
    let literals = source.split('"').skip(1).step_by(2);
    let statements = literals.map(|text| {
        // A line that ends in a backslash continues without the white space after it.
        let lines = text.split("\\\n").enumerate();
        let text: String = lines.map(|(n, line)| if n > 0 { line.trim_start() } else { line }).collect();
        let columns = "id, component, name, payload, request, previous, depth, attempts, due_at, registered_at";
        let names = [("{table}", "carya_outbox"), ("{}", "carya_outbox"), ("{NEW}", "new"), ("{COLUMNS}", columns)];
        names.into_iter().fold(text, |text, (name, value)| text.replace(name, value))
    });
    let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    let is_sent = |text: &String| {
        verbs.iter().any(|verb| text.starts_with(verb)) && text.contains("carya_outbox") && !text.contains('{')
    };
    let texts: Vec<String> = statements.filter(is_sent).collect();
    assert!(texts.len() >= 5, "{texts:?}");
    let mut wrong = Vec::new();
    for sql in &texts {
        let params = json!(vec![7; sql.matches('?').count()]);
        for (method, expected) in [("GET", "read-only|forbidden"), ("POST", "forbidden")] {
            let what = watched.try_out(method, sql, &params, expected).await?;
            wrong.extend(what.map(|what| format!("{method} {sql}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The requests send more distinct statements than the driver caches. The barrier must stop every hostile one.
#[tokio::test]
async fn the_barrier_holds_after_many_statements() -> Result {
    let mut watched = Watched::new().await?;
    let distinct = |n: i32| json!({ "sql": format!("SELECT id FROM items WHERE id = -{n}") });
    let hidden = |n: i32| json!({ "sql": format!("SELECT {n} FROM carya_outbox"), "swallow": true });
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        let got = results(&watched.app, method, &json!((0..250).map(distinct).collect::<Vec<_>>())).await?;
        check!(
            wrong,
            got.as_array().is_some_and(|all| all.iter().all(|one| one["columns"][0]["name"] == "id")),
            "{method:?}: {got}"
        );
        for n in 0..120 {
            check_ne!(wrong, kind(&attempt(&watched.app, method, hidden(n)).await?), "ok", "{method} {n}");
        }
    }
    assert_eq!(watched.damage().await?, None);
    Ok(())
}
