//! An answer as tests look at it.

use reqwest::{StatusCode, header::HeaderMap};

use super::Result;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
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

    /// A header's first value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The lifecycle events, as `start, before:NAME, controller:NAME, commit, after_commit:ACTION, clear`.
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

    /// The events as lifecycle tables have them: `inside` where the controller's own code ran to its end (the guest
    /// `probe` says so in a header), actions by their names, nothing physical.
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
