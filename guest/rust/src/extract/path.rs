//! Parameters of the path and of the query.

use serde::de::DeserializeOwned;

use super::{FromRequest, text};
use crate::{Problem, Request};

/// Extractor of the parameters of the route's pattern, percent-decoded.
///
/// A number or text takes the only parameter, a tuple takes parameters by position, and a struct by name. If a parameter
/// does not have the expected type, the response is 404, because no object has this path.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// # const _: &str = stringify!(
/// #[get("/projects/{project}/tickets/{id}")]
/// # );
/// fn show(Path((project, id)): Path<(String, i64)>) -> String {
///     format!("ticket {id} of {project}")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        text::from_values(request.params()).map(Path).map_err(|_| Problem::not_found("there is nothing at this path"))
    }
}

/// Extractor of the query parameters, as a struct with their names.
///
/// An `Option` is `None` if the parameter is missing, and a `Vec` takes all values of a repeated parameter.
///
/// ```no_run
/// use carya_guest::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Search {
///     words: Option<String>,
///     #[serde(default)]
///     tag: Vec<String>,
///     #[serde(default = "first")]
///     page: u32,
/// }
///
/// fn first() -> u32 {
///     1
/// }
///
/// # const _: &str = stringify!(
/// #[get("/tickets")]
/// # );
/// fn search(Query(search): Query<Search>) -> String {
///     format!("page {}", search.page)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        let query = request.query_string();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        text::from_pairs(pairs).map(Query).map_err(text::TextError::into_problem)
    }
}
