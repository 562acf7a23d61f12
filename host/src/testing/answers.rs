//! Answers to the outbound requests of one lane, and the requests that were answered.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::ensure;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// Maximum number of recorded requests.
const MAX_REQUESTS: usize = 1000;

/// The answers of a lane.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    answers: Vec<Answer>,
    requests: Vec<Captured>,
}

/// An answer of a test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// `None`: all methods.
    method: Option<String>,
    /// URL with its query. A `*` at its end stands for any end.
    url: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text, or JSON that is not a text.
    #[serde(default)]
    body: serde_json::Value,
    /// Number of requests to answer. `None`: all.
    times: Option<usize>,
    /// Time before the answer, in milliseconds.
    #[serde(default)]
    delay_ms: u64,
}

fn ok() -> u16 {
    200
}

/// A request that a guest has sent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Captured {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    /// The body as text. Bytes that are not UTF-8 are replaced.
    pub(super) body: String,
    /// Whether the table had an answer.
    pub(super) answered: bool,
}

/// The response to a request.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: String,
    pub(super) delay: Duration,
}

impl Answers {
    /// Replaces the answers, and forgets the requests.
    pub(super) fn replace(&self, answers: Vec<Answer>) -> anyhow::Result<()> {
        for (index, answer) in answers.iter().enumerate() {
            let number = index + 1;
            ensure!(
                ["http://", "https://"].iter().any(|scheme| answer.url.starts_with(scheme)),
                "answer {number}: `url` must begin with http:// or https://"
            );
            ensure!((200..=599).contains(&answer.status), "answer {number}: `status` must be between 200 and 599");
            for (name, value) in &answer.headers {
                let is_valid = HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
                ensure!(is_valid, "answer {number}: the header {name:?} is not valid");
            }
        }
        *self.lock() = Table { answers, requests: Vec::new() };
        Ok(())
    }

    /// Forgets the answers and the requests.
    pub(super) fn clear(&self) {
        *self.lock() = Table::default();
    }

    /// Returns the requests so far.
    pub(super) fn requests(&self) -> Vec<Captured> {
        self.lock().requests.clone()
    }

    /// Records a request, and returns its response: that of the first answer for its method and its URL.
    pub(super) fn answer(&self, mut request: Captured) -> Response {
        let Table { answers, requests } = &mut *self.lock();
        let found = answers.iter_mut().find(|answer| answer.is_for(&request));
        request.answered = found.is_some();
        let response = match found {
            Some(answer) => {
                answer.times = answer.times.map(|times| times - 1);
                answer.response()
            }
            None => Response {
                status: StatusCode::NOT_IMPLEMENTED,
                headers: Vec::new(),
                body: format!("no answer of the test is for {} {}\n", request.method, request.url),
                delay: Duration::ZERO,
            },
        };
        if requests.len() < MAX_REQUESTS {
            requests.push(request);
        }
        response
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Answer {
    fn is_for(&self, request: &Captured) -> bool {
        self.times != Some(0)
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && match self.url.strip_suffix('*') {
                Some(start) => request.url.starts_with(start),
                None => self.url == request.url,
            }
    }

    fn response(&self) -> Response {
        let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.parse().ok()?));
        let mut headers: Vec<(HeaderName, HeaderValue)> = self.headers.iter().filter_map(header).collect();
        let body = match &self.body {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            json => {
                if !headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE) {
                    headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
                }
                json.to_string()
            }
        };
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        Response { status, headers, body, delay: Duration::from_millis(self.delay_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str) -> Captured {
        let (method, url) = (method.to_owned(), url.to_owned());
        Captured { method, url, headers: Vec::new(), body: String::new(), answered: false }
    }

    #[test]
    fn the_first_answer_for_a_request_is_used() -> anyhow::Result<()> {
        let answers = Answers::default();
        let table = r#"[
            {"method": "GET", "url": "https://a.example/one", "body": "first", "times": 1},
            {"url": "https://a.example/*", "status": 503, "body": {"retry": true}}
        ]"#;
        answers.replace(serde_json::from_str(table)?)?;
        let mut found = Vec::new();
        for (method, url) in [
            ("GET", "https://a.example/one"),
            ("GET", "https://a.example/one"),
            ("POST", "https://a.example/?x=1"),
            ("GET", "https://b.example/one"),
        ] {
            let response = answers.answer(request(method, url));
            found.push((response.status.as_u16(), response.body, response.headers.len()));
        }
        let json = r#"{"retry":true}"#.to_owned();
        let missing = "no answer of the test is for GET https://b.example/one\n".to_owned();
        assert_eq!(found, [(200, "first".to_owned(), 0), (503, json.clone(), 1), (503, json, 1), (501, missing, 0)]);
        let answered: Vec<_> = answers.requests().iter().map(|request| request.answered).collect();
        assert_eq!(answered, [true, true, true, false]);
        Ok(())
    }

    #[test]
    fn unusable_answers_are_refused() -> anyhow::Result<()> {
        for (table, expected) in [
            (r#"[{"url": "a.example"}]"#, "answer 1: `url` must begin with http:// or https://"),
            (r#"[{"url": "http://a"}, {"url": "http://a", "status": 99}]"#, "answer 2: `status` must be between"),
            (r#"[{"url": "http://a", "headers": {"a b": "c"}}]"#, "answer 1: the header \"a b\" is not valid"),
        ] {
            let refused = Answers::default().replace(serde_json::from_str(table)?).err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|message| message.contains(expected)), "{table}: {refused:?}");
        }
        Ok(())
    }
}
