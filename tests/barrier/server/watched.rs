//! Set-up with the gate: an application with a hostile guest, and a second client that checks its database.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{
    super::super::{
        script::{attempt, in_time, kind, send},
        support::{App, Result, client::Connection, servers::Pair},
    },
    EngineData, Row, Stop, TIMEOUT,
};

const CONFIG: &str = r#"
    [server]
    max_body = "8MiB"
    [component.probe]
    path = "{guest:probe}"
    [[route]]
    path = "/{what}"
    component = "probe"
    [database]
    max_connections = 1
    acquire_timeout = "30s"
    max_rows = 1000
    max_result = "1MiB"
"#;

/// Application with one connection for each login, so that the next request uses the connection of a hostile statement.
pub struct Watched<'a> {
    data: &'a EngineData,
    app: App,
    owner: Connection,
    name: String,
    folder: String,
    hardened: bool,
    /// Fingerprint of the database, and state of the reader's and the writer's session. Both must not change.
    state: String,
    sessions: [Json; 2],
    turns: i64,
}

impl<'a> Watched<'a> {
    pub async fn start(data: &'a EngineData, pair: &Pair, hardened: bool) -> Result<Self> {
        let (name, urls, owner) = data.database(pair, hardened).await?;
        let timeout = format!("{TIMEOUT}ms");
        let mut env =
            vec![("CARYA_DATABASE__URL", urls.writer.as_str()), ("CARYA_DATABASE__STATEMENT_TIMEOUT", &timeout)];
        if hardened {
            env.extend([
                ("CARYA_DATABASE__READER_URL", urls.reader.as_str()),
                ("CARYA_DATABASE__ADMIN_URL", &urls.admin),
            ]);
        }
        let app = App::start_in(tempfile::tempdir()?, CONFIG, &[], &env).await?;
        let mut owner = owner.connect().await?;
        let folder = owner.texts(data.folder).await?.pop().ok_or("no folder")?;
        let mut watched = Self {
            data,
            app,
            owner,
            name,
            folder,
            hardened,
            state: String::new(),
            sessions: [Json::Null, Json::Null],
            turns: 0,
        };
        watched.sessions = [watched.session("GET").await?, watched.session("POST").await?];
        Ok(watched)
    }

    /// Runs all rows, then the statements of [`EngineData::leaving`]. Returns a description of each unexpected result.
    pub async fn try_all(&mut self, rows: &[Row]) -> Result<Vec<String>> {
        // Taken here and not in `start`: starting another set-up changes state of the whole server.
        self.state = self.fingerprint().await?;
        let set_up = if self.hardened { "hardened" } else { "superuser" };
        let mut wrong = Vec::new();
        for row in rows {
            let sql = row.sql.replace("{db}", &self.name);
            for (method, expected) in row.handles() {
                let tried = self.try_out(method, &sql, &row.params, expected).await;
                let what = tried.map_err(|error| format!("{set_up}: {method} {sql:.300}: {error}"))?;
                wrong.extend(
                    what.map(|what| format!("{set_up}: {method} {sql:.200}\n    expected {expected:?}, got {what}")),
                );
            }
        }
        for sql in self.data.leaving {
            let left = self.leave(sql).await?;
            wrong.extend(left.map(|what| format!("{set_up}: committed {sql}\n    got {what}")));
        }
        Ok(wrong)
    }

    /// Commits a statement that changes the session. Returns a description of the change if the next requests see it.
    async fn leave(&mut self, sql: &str) -> Result<Option<String>> {
        let turn = json!({ "sql": "UPDATE turns SET n = n + 1", "op": "execute" });
        match send(&self.app, "POST", &json!([turn, { "sql": sql }])).await?.status {
            200 => self.turns += 1,
            500 if self.hardened => {}
            status => return Ok(Some(format!("{status}"))),
        }
        self.damage().await
    }

    /// Runs a statement through one handle. Returns a description of every unexpected result.
    async fn try_out(&mut self, method: &str, sql: &str, params: &Json, expected: Stop) -> Result<Option<String>> {
        let hostile = json!({ "sql": sql, "params": params, "swallow": true });
        let got = attempt(&self.app, method, hostile.clone()).await?;
        if !self.is(&got, expected) {
            return Ok(Some(format!("{}: {got:.300}", kind(&got))));
        }
        // A statement that reached the server has begun a transaction, and its failure dooms it.
        if method == "POST" && kind(&got) != "ok" && matches!(expected, Stop::Server(_) | Stop::Host(_)) {
            // The row written before it is rolled back, even though the guest ignores the error.
            let marker = json!({ "sql": "INSERT INTO scratch VALUES ('before')", "op": "execute" });
            let answer = send(&self.app, "POST", &json!([marker, hostile])).await?;
            if answer.status < 500 {
                return Ok(Some(format!("swallowed: {} {}", answer.status, answer.text())));
            }
        }
        self.damage().await
    }

    /// Returns whether a result is the expected one. Only errors that the server reported have a code. If the machine is
    /// busy, a time limit may end a statement before another limit of the host, and the host's own before the server's;
    /// `Bare` checks that the server's limit holds.
    fn is(&self, got: &Json, expected: Stop) -> bool {
        let kind = kind(got);
        let of_server = !got["error"]["code"].is_null();
        let among = |kinds: &str| kinds.split('|').any(|expected| expected == kind);
        match expected {
            Stop::Gate(kinds) | Stop::Both(kinds) => among(kinds) && kind != "ok" && !of_server,
            Stop::Host(kinds) => kind == "timeout" || among(kinds) && kind != "ok" && !of_server,
            Stop::Server(kinds) => among(kinds) && (of_server || kind == "timeout" || kind == "ok" && !self.hardened),
            Stop::Runs => kind == "ok",
        }
    }

    /// Returns the state of a handle's session, as a guest can query it.
    async fn session(&self, method: &str) -> Result<Json> {
        let step = json!({ "sql": self.data.session, "op": "query_one" });
        Ok(in_time(&self.app, method, &json!([step])).await?[0]["row"].take())
    }

    /// Sends ordinary requests on the connections that the hostile statement used. Returns a description of every fault
    /// in their results, their sessions or the database.
    async fn damage(&mut self) -> Result<Option<String>> {
        let mut wrong = Vec::new();
        self.rest(&mut wrong).await?;
        let ask = json!({ "sql": self.data.session, "op": "query_one" });
        let smuggled = json!({ "sql": "SELECT invoker_writes()", "swallow": true });
        let turn = json!({ "sql": "UPDATE turns SET n = n + 1", "op": "execute" });
        let reading = in_time(&self.app, "GET", &json!([ask, smuggled])).await?;
        let writing = in_time(&self.app, "POST", &json!([ask, turn])).await?;
        if !["read-only", "forbidden"].contains(&kind(&reading[1]).as_str()) {
            wrong.push(format!("the next reader writes: {}", reading[1]));
        }
        for (row, kept) in [&reading[0]["row"], &writing[0]["row"]].into_iter().zip(&mut self.sessions) {
            let before = std::mem::replace(kept, row.clone());
            let (seen, before) = (row.as_array().into_iter().flatten(), before.as_array().into_iter().flatten());
            for (seen, before) in seen.zip(before).filter(|(seen, before)| seen != before) {
                wrong.push(format!("the session had {before} and has {seen}"));
            }
        }
        self.turns += 1;
        let turns = self.owner.number("SELECT n FROM turns").await?;
        if turns != self.turns {
            wrong.push(format!("the next request does not commit: {turns}"));
        }
        let now = self.fingerprint().await?;
        if now != self.state {
            let lines = now.lines().filter(|line| !self.state.lines().any(|before| before == *line));
            let gone = self.state.lines().filter(|line| !now.lines().any(|after| after == *line));
            let (come, gone): (Vec<_>, Vec<_>) = (lines.collect(), gone.collect());
            wrong.push(format!("of the database went {gone:?} and came {come:?}"));
            self.state = now;
        }
        Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
    }

    /// Waits until all sessions of guests are at rest. Reports in `wrong` each session that is still busy long after the
    /// statement timeout.
    async fn rest(&mut self, wrong: &mut Vec<String>) -> Result {
        let patient_until = Instant::now() + Duration::from_millis(TIMEOUT) + Duration::from_secs(10);
        loop {
            let busy = self.owner.texts(&self.data.unrest.replace("{db}", &self.name)).await?;
            if busy.is_empty() {
                return Ok(());
            }
            if Instant::now() > patient_until {
                wrong.push(format!("a session is busy: {busy:?}"));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn fingerprint(&mut self) -> Result<String> {
        let query = self.data.state.join(" UNION ALL ").replace("{db}", &self.name);
        let mut found = self.owner.texts(&query).await?;
        let database = format!("{}/{}", self.folder, self.name);
        for folder in ["/tmp", &self.folder, &database] {
            let Ok(files) = std::fs::read_dir(folder) else { continue };
            for file in files {
                let name = file?.file_name().to_string_lossy().into_owned();
                if name.contains("evil") && (folder != "/tmp" || name.contains(&self.name)) {
                    found.push(format!("{folder}/{name}"));
                }
            }
        }
        Ok(found.join("\n"))
    }
}
