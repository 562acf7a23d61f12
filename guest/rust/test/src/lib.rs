//! Client of `carya test` for tests in Rust. The tests run on the machine of the developer, not in a component: they send
//! requests to the application, which `carya test` serves on throw-away databases.
//!
//! ```no_run
//! use carya_guest_test::App;
//! use serde_json::json;
//!
//! // In a function with `#[test]`:
//! let app = App::new();
//! assert_eq!(app.post("/notes", "Pecans").status, 201);
//! assert_eq!(app.sql("SELECT text FROM notes", json!([])), json!([{ "text": "Pecans" }]));
//! ```
//!
//! Run the tests by `carya test -- cargo test`. Without it, [`App::new`] panics. So do the other functions if a request
//! cannot be sent, because a test cannot continue then.

use std::{cell::RefCell, env, thread, time::Duration};

use serde_json::{Value, json};
use ureq::{
    Agent, Body,
    http::{self, Request},
};

/// The application with databases of its own, so that tests can run in parallel. If the test panics, prints what happened
/// in the requests of this value.
#[derive(Debug)]
pub struct App {
    agent: Agent,
    url: String,
    /// Address of the control, and of its part for this lane.
    control: String,
    lane: String,
    /// Ids of the requests.
    requests: RefCell<Vec<String>>,
}

/// A response of the application.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// Id of the request, for [`App::trace`].
    pub id: String,
    headers: http::HeaderMap,
}

/// A fault of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The commit conflicts with another transaction. The host repeats the request.
    Conflict,
    /// The database refuses the commit.
    Failure,
    /// The changes are committed, and the connection is lost before the answer.
    LostAfterCommit,
    /// The connection is lost before the commit.
    LostBeforeCommit,
}

/// State of the replicas of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// They have all commits.
    Current,
    /// They receive no further commits, so reads on them see old data.
    Lagging,
    /// Their connections break, and further ones are refused.
    Gone,
}

impl App {
    /// Returns the application in a new lane. There are at most 16 lanes, so a value takes the lane of another one that was
    /// dropped in the same process.
    ///
    /// # Panics
    ///
    /// Panics outside of `carya test`.
    #[expect(clippy::new_without_default, reason = "a test should see where the application comes from")]
    #[track_caller]
    pub fn new() -> Self {
        let control =
            env::var("CARYA_TEST_CONTROL").expect("CARYA_TEST_CONTROL is not set; run the tests by `carya test`");
        let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        let lane = lanes::take(|| {
            let lane = send(&agent, "POST", &format!("{control}/lanes"), &[], "").expect_status(200).json();
            let url = lane["url"].as_str().expect("a lane has a URL").to_owned();
            (lane["lane"].to_string(), url)
        });
        let (number, url) = lane;
        let app = Self { agent, url, lane: format!("{control}/lanes/{number}"), control, requests: RefCell::default() };
        app.reset();
        app
    }

    /// Returns the address of the application, for other clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a GET request.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], "")
    }

    /// Sends a POST request with a text as its body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, &[], body)
    }

    /// Sends a request with JSON as its body.
    #[track_caller]
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Response {
        self.request(method, path, &[("content-type", "application/json")], &body.to_string())
    }

    /// Sends any request.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let response = send(&self.agent, method, &format!("{}{path}", self.url), headers, body);
        self.requests.borrow_mut().push(response.id.clone());
        response
    }

    /// Runs a statement as the owner of the default database, in a transaction of its own. Returns the rows as an array.
    /// `params` is an array with a value for each `?`.
    #[track_caller]
    pub fn sql(&self, sql: &str, params: Value) -> Value {
        self.control("sql", &json!({ "sql": sql, "params": params })).expect_status(200).json()
    }

    /// Replaces the databases by new ones with the migrations and the data of the model, and forgets faults, answers, the
    /// clock and the state of replicas.
    #[track_caller]
    pub fn reset(&self) {
        self.control("reset", &Value::Null).expect_status(204);
    }

    /// Makes the next commits fail.
    #[track_caller]
    pub fn fail_commits(&self, fault: Fault, times: usize) {
        let fault = match fault {
            Fault::Conflict => "conflict",
            Fault::Failure => "failure",
            Fault::LostAfterCommit => "lost-after-commit",
            Fault::LostBeforeCommit => "lost-before-commit",
        };
        self.control("commits", &json!({ "fault": fault, "times": times })).expect_status(204);
    }

    /// Sets the state of the replicas of the default database, until the next [`reset`](Self::reset).
    #[track_caller]
    pub fn set_replicas(&self, state: Replicas) {
        let state = match state {
            Replicas::Current => "current",
            Replicas::Lagging => "lagging",
            Replicas::Gone => "gone",
        };
        let body = json!({ "state": state }).to_string();
        send(&self.agent, "PUT", &format!("{}/replicas", self.lane), &[], &body).expect_status(204);
    }

    /// Sets the clock of `at-least-once` actions forward.
    #[track_caller]
    pub fn advance_clock(&self, by: Duration) {
        self.control("clock", &json!({ "advance_seconds": by.as_secs() })).expect_status(204);
    }

    /// Answers the HTTP requests of the components by a table from now on. `answers` is an array of objects such as
    /// `{"method": "POST", "url": "https://api.example.com/*", "status": 200, "body": {"ok": true}, "times": 1}`.
    #[track_caller]
    pub fn answer_http(&self, answers: &Value) {
        send(&self.agent, "PUT", &format!("{}/http", self.lane), &[], &answers.to_string()).expect_status(204);
    }

    /// Returns the HTTP requests of the components since the last [`answer_http`](Self::answer_http), as an array.
    #[track_caller]
    pub fn sent_http(&self) -> Value {
        send(&self.agent, "GET", &format!("{}/http", self.lane), &[], "").expect_status(200).json()
    }

    /// Returns the trace of a request: its events, statements, outcome and actions.
    #[track_caller]
    pub fn trace(&self, response: &Response) -> Value {
        send(&self.agent, "GET", &format!("{}/traces/{}", self.control, response.id), &[], "").expect_status(200).json()
    }

    #[track_caller]
    fn control(&self, what: &str, body: &Value) -> Response {
        send(&self.agent, "POST", &format!("{}/{what}", self.lane), &[], &body.to_string())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if thread::panicking() {
            for id in self.requests.borrow().iter() {
                let trace = self.agent.get(format!("{}/traces/{id}/text", self.control)).call();
                if let Ok(text) = trace.and_then(|answer| answer.into_body().read_to_string()) {
                    eprintln!("{text}");
                }
            }
        }
        let number = self.lane.rsplit('/').next().unwrap_or_default();
        lanes::give_back(number.to_owned(), self.url.clone());
    }
}

impl Response {
    /// Parses the body as JSON.
    ///
    /// # Panics
    ///
    /// Panics if the body is no JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("the body is no JSON: {error}: {}", self.body))
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the control of `carya test` refuses the request: {}", self.body);
        self
    }
}

/// The lanes of this process that no [`App`] uses.
mod lanes {
    use std::sync::Mutex;

    /// Number and address of each lane.
    static IDLE: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

    pub(crate) fn take(add: impl FnOnce() -> (String, String)) -> (String, String) {
        let idle = IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        idle.unwrap_or_else(add)
    }

    pub(crate) fn give_back(number: String, url: String) {
        IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((number, url));
    }
}

#[track_caller]
fn send(agent: &Agent, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = request.body(body.to_owned()).map_err(ureq::Error::from).and_then(|request| agent.run(request));
    let answer = sent.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    read(answer).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

fn read(answer: http::Response<Body>) -> Result<Response, ureq::Error> {
    let (head, body) = answer.into_parts();
    let id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let body = body.into_with_config().lossy_utf8(true).read_to_string()?;
    Ok(Response { status: head.status.as_u16(), body, id, headers: head.headers })
}
