//! A statement of a guest, as it comes from its import.

use std::sync::Arc;

use super::value::Value;

/// A statement, its parameters, and the component that sends it.
#[derive(Debug)]
pub struct Statement {
    /// Name of the component, to which a statement is charged that the database server does not end.
    pub component: Arc<str>,
    /// One statement, with a placeholder `?` or `?N` for each parameter.
    pub sql: String,
    /// Its parameters.
    pub params: Vec<Value>,
}
