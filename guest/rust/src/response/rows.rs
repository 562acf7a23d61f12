//! Bodies that the host writes: rows of a query, and templates.

use serde::Serialize;

use super::{Body, IntoResponse, JsonText, Response};
use crate::{
    Params,
    raw::types::{self, RowsFormat, RowsQuery},
};

/// Response with the rows of a query. The host runs the query and writes the rows to the client, so they do not cross
/// the guest, and a handler that only reads can send any number of rows.
///
/// ```
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[get("/tickets.csv")]
/// # );
/// fn export() -> Rows {
///     Rows::csv("SELECT id, title FROM tickets WHERE state = ? ORDER BY id", ("open",))
/// }
/// # export();
/// ```
#[derive(Debug)]
pub struct Rows(RowsQuery);

impl Rows {
    /// A JSON array with one object for each row.
    pub fn json(sql: impl Into<String>, params: impl Params) -> Self {
        Self::new(sql.into(), params, RowsFormat::Json)
    }

    /// One JSON object on each line (`application/x-ndjson`).
    pub fn ndjson(sql: impl Into<String>, params: impl Params) -> Self {
        Self::new(sql.into(), params, RowsFormat::Ndjson)
    }

    /// CSV by RFC 4180, with the names of the columns in the first line.
    pub fn csv(sql: impl Into<String>, params: impl Params) -> Self {
        Self::new(sql.into(), params, RowsFormat::Csv)
    }

    fn new(sql: String, params: impl Params, format: RowsFormat) -> Self {
        Self(RowsQuery { sql, params: params.into_values(), format })
    }
}

impl IntoResponse for Rows {
    #[inline]
    fn into_response(self) -> Response {
        Response::new(200).with_body(Body::Rows(self.0))
    }
}

/// Response with a template, which the host renders inside the transaction.
///
/// ```
/// use carya_guest::prelude::*;
///
/// #[derive(serde::Serialize)]
/// struct Page { title: &'static str }
///
/// let page = Template::new("report.html", &Page { title: "Sales" });
/// ```
#[derive(Debug)]
pub struct Template {
    name: String,
    context: Result<String, serde_json::Error>,
}

impl Template {
    /// Returns the template with this path below the folder of templates. The fields of `context` are its variables.
    pub fn new(name: impl Into<String>, context: &impl Serialize) -> Self {
        Self { name: name.into(), context: serde_json::to_string(context) }
    }

    /// Like [`new`](Self::new), but with the variables as the text of a JSON object, which can contain the rows of
    /// [`Db::fetch_json`](crate::Db::fetch_json) as they are.
    pub fn from_json(name: impl Into<String>, context: JsonText) -> Self {
        Self { name: name.into(), context: Ok(context.0) }
    }
}

impl IntoResponse for Template {
    fn into_response(self) -> Response {
        let name = self.name;
        match self.context {
            Ok(context) => Response::new(200).with_body(Body::Template(types::Template { name, context })),
            Err(error) => Response::failed(format!("the variables of template {name} cannot be serialized: {error}")),
        }
    }
}
