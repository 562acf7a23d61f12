//! Values that guests return to the host, and the failures that the host reports to `on-error` hooks. Modules outside
//! `component` use these types; [`convert`](super::convert) converts between them and the types of the generated
//! bindings.

use bytes::Bytes;

use crate::{
    config::Access,
    sql::{error::DbError, value::Value},
};

/// Response that a guest returned, before the host validates it.
#[derive(Debug)]
pub(crate) struct Response {
    /// HTTP status.
    pub(crate) status: u16,
    /// Names and values of the header fields, in order.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub(crate) body: Body,
}

/// Body of a guest's response.
#[derive(Debug)]
pub(crate) enum Body {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The body of a response by `wasi:http`. The host adds no content type.
    Untyped(Bytes),
    /// No body, in a response by `wasi:http` to HEAD. The `content-length` of the guest, if it has set one.
    Omitted(Option<u64>),
    /// Text.
    Text(String),
    /// JSON text.
    Json(String),
    /// A template, for the host to render.
    Template(Template),
    /// A query. The host runs it and writes its rows.
    Rows(RowsQuery),
}

/// A template to render.
#[derive(Debug)]
pub(crate) struct Template {
    /// Path of the file, relative to the folder of templates.
    pub(crate) name: String,
    /// JSON object with the variables.
    pub(crate) context: String,
}

/// A query whose rows become the body.
#[derive(Debug)]
pub(crate) struct RowsQuery {
    /// One SQL statement.
    pub(crate) sql: String,
    /// Its parameters, in order.
    pub(crate) params: Vec<Value>,
    /// Format of the body.
    pub(crate) format: RowsFormat,
}

/// Format of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowsFormat {
    /// A JSON array of objects.
    Json,
    /// One JSON object on each line.
    Ndjson,
    /// CSV, with the names of the columns in the first record.
    Csv,
}

impl RowsFormat {
    /// Returns the media type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            RowsFormat::Json => "application/json",
            RowsFormat::Ndjson => "application/x-ndjson",
            RowsFormat::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// Decision of an on-route hook.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Proceed with the request.
    Proceed,
    /// Send this response, without routing.
    Answer(Response),
    /// Proceed with this access mode.
    Access(Access),
}

/// Party at fault for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client: its request is not acceptable, or it disconnected.
    Client,
    /// A guest: it trapped, reached a limit, or returned an error or an invalid response.
    Guest,
    /// The database: it rejected a statement, failed, or was unreachable.
    Database,
    /// The host itself.
    Host,
}

impl Fault {
    /// Returns the name of the party in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fault::Client => "client",
            Fault::Guest => "guest",
            Fault::Database => "database",
            Fault::Host => "host",
        }
    }
}

/// Failure of a request, as the host reports it to on-error hooks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureReport<'a> {
    /// HTTP status of the reply, unless an on-error hook replaces the reply.
    pub(crate) status: u16,
    /// Party at fault.
    pub(crate) fault: Fault,
    /// Message for logs.
    pub(crate) message: &'a str,
    /// Error of the database that caused the failure.
    pub(crate) error: Option<&'a DbError>,
}
