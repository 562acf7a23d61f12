//! Renders a guest's response into a [`Reply`]: checks the status and the header fields, fills templates, and writes
//! rows. The rendering is a part of the transaction, so the transaction is rolled back if a response cannot be
//! rendered.

mod rows;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use crate::{
    component::{
        Component, RequestState,
        answer::{Body, Response, Template},
    },
    error::Failure,
    message::{self, BodyLength, Limits, Reply, Request, head_size},
    transaction::RowStream,
};

/// A reply, and its rows if they are streamed.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The reply.
    pub(crate) reply: Reply,
    /// The rows. `None` if the body is complete, and if the client only requested the head.
    pub(crate) rows: Option<Box<RowStream>>,
}

impl From<Reply> for Rendered {
    fn from(reply: Reply) -> Self {
        Self { reply, rows: None }
    }
}

/// Part of a reply that the client receives, which decides how the host reads rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A complete body: HTTP/1.0 has no body that can end abnormally.
    Complete,
    /// A body that may be streamed.
    Any,
    /// The head.
    Head,
}

impl Wanted {
    /// Returns the part of the reply that the client of a request receives.
    pub(crate) fn by(request: &Request) -> Self {
        if request.version < Version::HTTP_11 {
            Wanted::Complete
        } else if request.method == Method::HEAD {
            Wanted::Head
        } else {
            Wanted::Any
        }
    }
}

/// The compiled templates of an application.
#[derive(Debug, Clone, Default)]
pub struct Templates(Environment<'static>);

/// Error for templates that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file or the folder could not be read.
    #[error("template {path}: {source}")]
    Read {
        /// The file or folder.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A template is malformed.
    #[error("template {path}: {source}")]
    Syntax {
        /// The file.
        path: String,
        /// Error of the template compiler, with line and reason.
        source: minijinja::Error,
    },
}

impl Templates {
    /// Compiles every file below `folder`. The name of a template is its path relative to `folder`, with `/` as
    /// separator.
    ///
    /// # Errors
    ///
    /// Returns an error for each file or folder that cannot be read, and for each template that is malformed.
    pub fn load(folder: &Path) -> Result<Self, Vec<TemplateError>> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("html" | "htm" | "xml" | "svg") => AutoEscape::Html,
            Some("json" | "js") => AutoEscape::Json,
            _ => AutoEscape::None,
        });
        let mut errors = Vec::new();
        for path in files(folder).map_err(|error| vec![error])? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let shown = || path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let added = environment.add_template_owned(name, text);
                    errors.extend(added.err().map(|source| TemplateError::Syntax { path: shown(), source }));
                }
                Err(source) => errors.push(TemplateError::Read { path: shown(), source }),
            }
        }
        if errors.is_empty() { Ok(Self(environment)) } else { Err(errors) }
    }

    fn render(&self, template: &Template) -> Result<String, String> {
        let context: serde_json::Value =
            serde_json::from_str(&template.context).map_err(|error| format!("its context is not JSON: {error}"))?;
        let compiled = self.0.get_template(&template.name).map_err(|error| error.to_string())?;
        compiled.render(minijinja::value::Serde(context)).map_err(|error| format!("{error:#}"))
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let read = |source| TemplateError::Read { path: folder.display().to_string(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

/// Renders the response of `component` as a reply. A `rows` body is a query, which runs in the request's session. The
/// rows of a read-only request are streamed: only their first piece is rendered here.
///
/// # Errors
///
/// Returns a [`Failure`] if the response is invalid or exceeds `limits`, or if its template or its query fails.
pub(crate) async fn render(
    response: Response,
    component: &Component,
    templates: &Templates,
    state: &mut RequestState,
    limits: &Limits,
    wanted: Wanted,
) -> Result<Rendered, Failure> {
    let status = message::status(response.status).map_err(Failure::invalid_response)?;
    // Check before the fields are collected: a `HeaderMap` panics beyond 24,576 names.
    limits.check_head(response.headers.len(), 0).map_err(Failure::invalid_response)?;
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 3);
    for (name, value) in &response.headers {
        let (name, value) = message::header(name, value).map_err(Failure::invalid_response)?;
        headers.append(name, value);
    }
    limits.check_head(headers.len(), head_size(&headers)).map_err(Failure::invalid_response)?;
    let is_rows = matches!(response.body, Body::Rows(_));
    let (mut length, mut streamed) = (BodyLength::OfBody, None);
    let (body, content_type) = match response.body {
        Body::Bytes(bytes) => (Bytes::from(bytes), Some("application/octet-stream")),
        Body::Untyped(bytes) => (bytes, None),
        Body::Omitted(declared) => {
            length = BodyLength::Omitted(declared);
            (Bytes::new(), None)
        }
        Body::Text(text) => (Bytes::from(text), Some("text/plain; charset=utf-8")),
        Body::Json(json) => (Bytes::from(json), Some("application/json")),
        Body::Template(template) => {
            let page = templates
                .render(&template)
                .map_err(|error| Failure::invalid_response(format!("template {:?}: {error}", template.name)))?;
            (Bytes::from(page), Some("text/html; charset=utf-8"))
        }
        Body::Rows(query) => {
            let content_type = query.format.content_type();
            // Boxed: few responses have rows, but the future of every request would contain this one.
            match Box::pin(rows::render(query, component, state, limits, wanted)).await? {
                rows::Rows::Complete(text) => (Bytes::from(text), Some(content_type)),
                rows::Rows::Streamed(stream) => {
                    (length, streamed) = (BodyLength::Streamed, stream);
                    (Bytes::new(), Some(content_type))
                }
            }
        }
    };
    limits.check_body(body.len()).map_err(Failure::invalid_response)?;
    // Without rows, lines of JSON are empty, and still of that type.
    if let Some(content_type) = content_type.filter(|_| is_rows || !body.is_empty()) {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
    Ok(Rendered { reply: Reply { status, headers, body, length }, rows: streamed })
}
