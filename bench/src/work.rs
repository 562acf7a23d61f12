//! Workloads of the benchmark: the requests, and the expected responses.

use std::fmt::Write;

use crate::databases::Engine;

/// A workload: one kind of request, and the number of connections that send it concurrently.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Name in the result tables, e.g. `GET one row`.
    pub(crate) name: String,
    /// Engine of the database. `None` if the requests use no database.
    pub(crate) engine: Option<Engine>,
    pub(crate) method: &'static str,
    /// Paths of the requests, used in turn.
    pub(crate) paths: Vec<String>,
    pub(crate) body: Option<String>,
    pub(crate) status: u16,
    pub(crate) answer: Answer,
    pub(crate) connections: u32,
    /// SQL query that returns the number of committed writes. `None` if the requests write nothing.
    pub(crate) trace: Option<&'static str>,
}

/// Expected body of a response.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Text(&'static str),
    /// The same JSON value, in any formatting.
    Json(String),
    /// A pattern for Lua's `string.find`.
    Pattern(&'static str),
}

/// Default number of connections.
pub(crate) const CONNECTIONS: u32 = 32;

/// Returns all workloads, in the order of the result tables.
pub(crate) fn all() -> Vec<Work> {
    let mut works = vec![get("hello", "/hello", Answer::Text("hello"))];
    works.push(get("hello behind two hooks", "/hooks", Answer::Text("hello")));
    for connections in [1, 8, 128, 512] {
        let name = format!("hello, {connections} connection{}", if connections == 1 { "" } else { "s" });
        works.push(Work { connections, ..get(&name, "/hello", Answer::Text("hello")) });
    }
    for (name, size) in [("echo 1 kB of JSON", 1_000), ("echo 64 kB of JSON", 64_000)] {
        let body = document(size);
        works.push(Work { answer: Answer::Json(body.clone()), ..post(name, "/echo", Some(body), 200) });
    }
    works.extend(Engine::ALL.into_iter().flat_map(on));
    works
}

/// Returns the workloads that use a database, for one [`Engine`].
fn on(engine: Engine) -> Vec<Work> {
    let created = Answer::Pattern("^{\"id\": ?%d+}$");
    let order = Some(r#"{"item_id":42,"quantity":3}"#.to_owned());
    let hundred: Vec<String> = (1..=100).map(item).collect();
    let hundred = Answer::Json(format!("[{}]", hundred.join(",")));
    let works = [
        get("GET one row", "/items/42", Answer::Json(item(42))),
        get("GET 100 rows through the guest", "/rows/guest", hundred.clone()),
        get("GET 100 rows by query-json", "/rows/json", hundred.clone()),
        get("GET 100 rows streamed", "/rows/streamed", hundred),
        Work {
            answer: created,
            trace: Some("SELECT count(*) FROM orders"),
            ..post("POST one row", "/orders", order, 201)
        },
        Work {
            answer: Answer::Pattern("^{\"n\": ?%d+}$"),
            trace: Some("SELECT n FROM counters"),
            // With four connections, one request in two thousand fails even after all retries, because all requests
            // update the same row.
            connections: 2,
            ..post("POST with conflicts", "/counter", None, 200)
        },
    ];
    works.map(|work| Work { engine: Some(engine), ..work }).into()
}

fn get(name: &str, path: &str, answer: Answer) -> Work {
    Work {
        name: name.to_owned(),
        engine: None,
        method: "GET",
        paths: vec![path.to_owned()],
        body: None,
        status: 200,
        answer,
        connections: CONNECTIONS,
        trace: None,
    }
}

fn post(name: &str, path: &str, body: Option<String>, status: u16) -> Work {
    Work { method: "POST", body, status, ..get(name, path, Answer::Text("")) }
}

/// Returns the JSON object of the item that the scripts in `bench/sql/` insert with this id.
fn item(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"Pecans, roasted, bag {id}","price_cents":{},"stock":40}}"#, 690 + id)
}

/// Returns a JSON array of objects. Its text has at most `size` bytes.
fn document(size: usize) -> String {
    let mut text = String::from("[");
    for line in 0.. {
        let object = format!(
            r#"{{"id":{line},"name":"Pecans, roasted","price":{}.5,"stock":[1,2,3],"tags":{{"fresh":true,"of":null}}}},"#,
            line * 3
        );
        if text.len() + object.len() > size {
            break;
        }
        let _ = write!(text, "{object}");
    }
    text.pop();
    text + "]"
}

impl Work {
    /// Returns the name of the workload and its engine. This text identifies the workload in the results.
    pub(crate) fn id(&self) -> String {
        self.engine.map_or_else(|| self.name.clone(), |engine| format!("{}, {engine}", self.name))
    }
}
