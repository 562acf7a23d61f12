//! A statement that a guest sends.

use std::sync::Arc;

use super::value::Value;

/// A statement, its parameters, and its origin.
#[derive(Debug)]
pub struct Statement {
    /// Name of the component. A statement that the database server does not end counts against the component's share of
    /// the pool.
    pub component: Arc<str>,
    /// Id of the request, for the log.
    pub request: Arc<str>,
    /// One SQL statement, with a placeholder `?` or `?N` for each parameter.
    pub sql: String,
    /// Parameters, in the order of their numbers.
    pub params: Vec<Value>,
}
