//! HTTP response that a test has received, with accessors for its body, headers and lifecycle events.

use reqwest::{StatusCode, header::HeaderMap};

use super::Result;

/// A complete HTTP response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    pub async fn read(response: reqwest::Response) -> Result<Self> {
        let status: StatusCode = response.status();
        let headers = response.headers().clone();
        Ok(Self { status: status.as_u16(), headers, body: response.bytes().await?.to_vec() })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).map_err(|error| format!("{error}: {}", self.text()).into())
    }

    /// Returns the first value of a header, or an empty string if the response does not have the header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the lifecycle events of the `server-timing` header, e.g.
    /// `start, before:NAME, controller:NAME, commit, after_commit:ACTION, clear`.
    pub fn events(&self) -> Vec<String> {
        let timing = self.header("server-timing");
        let event = |entry: &str| {
            let mut parts = entry.trim().split(';');
            let name = parts.next().unwrap_or_default();
            match parts.find_map(|part| part.strip_prefix("desc=\"")) {
                Some(of) => format!("{name}:{}", of.trim_end_matches('"')),
                None => name.to_owned(),
            }
        };
        timing.split(',').filter(|entry| !entry.is_empty()).map(event).collect()
    }

    /// Returns the events in the notation of the lifecycle tables. `inside` stands for a controller that ran to its
    /// end, which the guest `probe` reports in the header `x-inside`. Actions appear under their names, and the `begin`
    /// that the database executes is left out.
    pub fn steps(&self) -> String {
        let inside = self.header("x-inside") == "1";
        let step = |event: String| match event.split_once(':') {
            Some(("controller", _)) => inside.then(|| "inside".to_owned()),
            Some(("after_commit" | "after_rollback", action)) => Some(action.to_owned()),
            _ => (event != "begin").then_some(event),
        };
        self.events().into_iter().filter_map(step).collect::<Vec<_>>().join(", ")
    }
}
