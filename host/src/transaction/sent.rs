//! Statements of guests in a trace, for the tests of an application.

use std::{fmt, time::Instant};

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::{
    sql::{Statement, error::DbError, value::Value},
    telemetry,
};

/// A statement of a guest.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SentStatement {
    component: String,
    sql: String,
    params: Vec<Json>,
    /// `None` if the statement failed, or its rows are streamed.
    rows_affected: Option<u64>,
    error: Option<String>,
    took_us: Option<u64>,
    #[serde(skip)]
    begun: Instant,
}

impl SentStatement {
    pub(super) fn begin(statement: &Statement) -> Self {
        Self {
            component: statement.component.to_string(),
            sql: statement.sql.clone(),
            params: statement.params.iter().map(shown).collect(),
            rows_affected: None,
            error: None,
            took_us: None,
            begun: Instant::now(),
        }
    }

    /// Records the end of the statement.
    pub(super) fn end(&mut self, result: Result<u64, &DbError>) {
        match result {
            Ok(rows) => self.rows_affected = Some(rows),
            Err(error) => self.error = Some(error.to_string()),
        }
        self.took_us = Some(telemetry::micros(self.begun.elapsed()));
    }
}

impl fmt::Display for SentStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, sql, params, rows_affected, error, took_us, .. } = self;
        write!(f, "statement of {component}: {sql}")?;
        if !params.is_empty() {
            write!(f, " {}", Json::Array(params.clone()))?;
        }
        match (rows_affected, error) {
            (_, Some(error)) => write!(f, ": {error}")?,
            (Some(rows), None) => write!(f, ": rows changed: {rows}")?,
            (None, None) => f.write_str(": streamed")?,
        }
        took_us.map_or(Ok(()), |took| write!(f, ", {took} us"))
    }
}

fn shown(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int64(value) => json!(value),
        Value::Float32(value) => json!(value),
        Value::Float64(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(format!("<{} bytes>", bytes.len())),
        Value::Other { text, .. } => json!(text),
    }
}
