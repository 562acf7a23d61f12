//! A request to all guests of the suite, and the expected response, row and log.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::support::{App, Response, Result, Wrong, check, check_eq, eventually};

pub const JAVASCRIPT: &[&str] = &["conformance-js", "conformance-qjs"];
pub const QUICKJS: &[&str] = &["conformance-qjs"];
pub const PYTHON: &[&str] = &["conformance-python"];

/// Header fields that are compared.
const FIELDS: [&str; 7] = ["allow", "content-type", "etag", "location", "set-cookie", "www-authenticate", "x-name"];

/// Values of the header fields of a response, in the order of `FIELDS`.
pub type Fields = [Vec<HeaderValue>; FIELDS.len()];

/// The expected body of a response.
enum Body {
    Exactly(Vec<u8>),
    /// The body contains these texts, and is the same in all languages.
    Contains(Vec<String>),
    /// The body begins with this text and then differs between the languages, for this reason.
    Begins(&'static str, &'static str),
}

/// A request and the expected response.
pub struct Case {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    expected: Body,
    /// Header fields of the response of the reference.
    fields: Vec<(&'static str, String)>,
    /// Text of a line in the log.
    logged: Option<&'static str>,
    /// Names of the notes after the request.
    notes: Option<&'static [&'static str]>,
    differences: Vec<Difference>,
}

/// Guests that answer with another status and another beginning of the body.
struct Difference {
    guests: &'static [&'static str],
    status: u16,
    body: String,
    reason: &'static str,
}

impl Case {
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            status: 0,
            expected: Body::Begins("", "nothing is expected"),
            fields: Vec::new(),
            logged: None,
            notes: None,
            differences: Vec::new(),
        }
    }

    /// Returns a request with a statement for `/query/{how}`.
    pub fn statement(method: &'static str, how: &str, sql: &str, params: &[&str]) -> Self {
        Self::new(method, with_statement(&format!("/query/{how}"), sql, params))
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn returns(mut self, status: u16, body: impl Into<Vec<u8>>) -> Self {
        (self.status, self.expected) = (status, Body::Exactly(body.into()));
        self
    }

    pub fn contains(mut self, status: u16, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        (self.status, self.expected) = (status, Body::Contains(texts));
        self
    }

    /// Expects bodies that begin with `text` and then differ, for the given reason.
    pub fn begins(mut self, status: u16, text: &'static str, reason: &'static str) -> Self {
        (self.status, self.expected) = (status, Body::Begins(text, reason));
        self
    }

    /// Expects an error response of the host. Its body contains the id of the request.
    pub fn fails(self, status: u16) -> Self {
        self.begins(status, r#"{"detail":""#, "the id of the request")
    }

    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub fn logs(mut self, text: &'static str) -> Self {
        self.logged = Some(text);
        self
    }

    pub fn leaves(mut self, notes: &'static [&'static str]) -> Self {
        self.notes = Some(notes);
        self
    }

    /// Lists guests with another response, for the given reason. Its body begins with `body`.
    pub fn except(
        mut self,
        guests: &'static [&'static str],
        status: u16,
        body: impl Into<String>,
        reason: &'static str,
    ) -> Self {
        self.differences.push(Difference { guests, status, body: body.into(), reason });
        self
    }

    async fn send(&self, app: &App) -> Result<Response> {
        let field = |(name, value): &(&'static str, String)| {
            Ok((HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes())?))
        };
        let headers = self.headers.iter().map(field).collect::<Result<HeaderMap>>()?;
        app.send(self.method, &self.path, headers, self.body.clone()).await
    }

    /// Sends the request to a guest, and checks its response and its effects. `reference` is the response of the guest in
    /// Rust, which this function sets.
    pub async fn check(
        &self,
        wrong: &mut Wrong,
        guest: &str,
        app: &App,
        reference: &mut Option<(Fields, Vec<u8>)>,
    ) -> Result {
        let row = format!("{guest} on {}: {} {} {}", app.engine, self.method, self.path, short(&self.body));
        let response = self.send(app).await.map_err(|error| format!("{row}: {error}"))?;
        self.check_effects(wrong, &row, app, &response).await.map_err(|error| format!("{row}: {error}"))?;
        let Response { status, headers, body } = response;
        let body = without_database(app, body);
        let shown = short(&body);
        if let Some(difference) = self.differences.iter().find(|difference| difference.guests.contains(&guest)) {
            let is_expected = status == difference.status && shown.starts_with(&difference.body);
            check!(wrong, is_expected, "{row}: {status} {shown} ({})", difference.reason);
            return Ok(());
        }
        check_eq!(wrong, status, self.status, "{row}: {shown}");
        match &self.expected {
            Body::Exactly(expected) => check!(wrong, body == *expected, "{row}: {shown}, not {}", short(expected)),
            Body::Contains(texts) => {
                let text = String::from_utf8_lossy(&body);
                for expected in texts {
                    check!(wrong, text.contains(expected), "{row}: {expected} is missing: {shown}");
                }
            }
            Body::Begins(expected, reason) => check!(wrong, shown.starts_with(expected), "{row}: {shown} ({reason})"),
        }
        for (name, value) in &self.fields {
            check_eq!(wrong, headers.get(*name).map(HeaderValue::as_bytes), Some(value.as_bytes()), "{row}: {name}");
        }
        let fields = FIELDS.map(|name| headers.get_all(name).iter().cloned().collect());
        let is_same = !matches!(self.expected, Body::Begins(..));
        let (fields_of_rust, body_of_rust) = reference.get_or_insert_with(|| (fields.clone(), body.clone()));
        check_eq!(wrong, fields, *fields_of_rust, "{row}");
        check!(wrong, !is_same || body == *body_of_rust, "{row}: {shown}, in Rust {}", short(body_of_rust));
        Ok(())
    }

    /// Checks the log and the notes.
    async fn check_effects(&self, wrong: &mut Wrong, row: &str, app: &App, response: &Response) -> Result {
        if let Some(text) = self.logged {
            let id = response.header("x-request-id");
            app.log.wait_until(text, |line| line["request"] == id && line.to_string().contains(text)).await?;
        }
        let Some(expected) = self.notes else { return Ok(()) };
        let mut found = Vec::new();
        // The row of an action appears later.
        let notes = eventually("the expected notes", async || {
            found = app.texts("SELECT name FROM notes ORDER BY id").await?;
            Ok(found == expected || expected.is_empty())
        });
        notes.await?;
        check_eq!(wrong, found, expected, "{row}: notes");
        app.execute("DELETE FROM notes").await
    }
}

/// Returns a path with a statement and its parameters.
pub fn with_statement(path: &str, sql: &str, params: &[&str]) -> String {
    let mut url = reqwest::Url::parse(&format!("http://host{path}")).unwrap_or_else(|error| panic!("{error}"));
    url.query_pairs_mut().append_pair("sql", sql).extend_pairs(params.iter().map(|param| ("p", param)));
    format!("{path}?{}", url.query().unwrap_or_default())
}

/// Shortens a body for messages.
fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.len() < 1000 { text.into_owned() } else { text.chars().take(300).chain("..".chars()).collect() }
}

/// Replaces the name of the database on a server, which errors of MariaDB contain.
fn without_database(app: &App, body: Vec<u8>) -> Vec<u8> {
    let name = app.database_url.as_deref().and_then(|url| url.rsplit('/').next()?.split('?').next());
    match (name, String::from_utf8(body)) {
        (Some(name), Ok(text)) => text.replace(name, "DATABASE").into_bytes(),
        (None, Ok(text)) => text.into_bytes(),
        (_, Err(error)) => error.into_bytes(),
    }
}
