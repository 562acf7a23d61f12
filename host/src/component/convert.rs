//! Conversions between the generated bindings and the types of the host. Strings, bytes and lists are moved, not copied.

use super::{
    answer::{Body, Decision, FailureReport, Fault, Response, RowsFormat, RowsQuery, Template},
    wit::{
        carya::host::{database as wit, types},
        exports::carya::host::{actions, on_route},
    },
};
use crate::{
    config::{Access, Dialect},
    sql::{
        error::{DbError, Kind, Violation, ViolationKind},
        value::{Column, Execution, Rows, Value},
    },
    transaction::{Action, Delivery},
};

/// Converts the parameters of a statement.
pub(super) fn values(params: Vec<wit::Value>) -> Vec<Value> {
    params.into_iter().map(Value::from).collect()
}

/// Converts a row.
pub(super) fn row_for_guest(row: Vec<Value>) -> Vec<wit::Value> {
    row.into_iter().map(wit::Value::from).collect()
}

/// Returns the record that a guest receives when it runs an action. `attempt` counts from 1.
pub(super) fn action(action: &Action, attempt: u32) -> actions::Action {
    let outcome = if action.on_commit { actions::Outcome::Commit } else { actions::Outcome::Rollback };
    let (id, name, payload) = (action.id.clone(), action.name.to_string(), action.payload.clone());
    actions::Action { id, name, payload, outcome, attempt, request_id: action.request.to_string() }
}

impl From<types::Response> for Response {
    fn from(types::Response { status, headers, body }: types::Response) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        Response { status, headers, body: body.into() }
    }
}

impl From<types::Body> for Body {
    fn from(body: types::Body) -> Self {
        match body {
            types::Body::Bytes(bytes) => Body::Bytes(bytes),
            types::Body::Text(text) => Body::Text(text),
            types::Body::Json(json) => Body::Json(json),
            types::Body::Template(types::Template { name, context }) => Body::Template(Template { name, context }),
            types::Body::Rows(types::RowsQuery { sql, params, format }) => {
                Body::Rows(RowsQuery { sql, params: values(params), format: format.into() })
            }
        }
    }
}

impl From<types::RowsFormat> for RowsFormat {
    fn from(format: types::RowsFormat) -> Self {
        match format {
            types::RowsFormat::Json => RowsFormat::Json,
            types::RowsFormat::Ndjson => RowsFormat::Ndjson,
            types::RowsFormat::Csv => RowsFormat::Csv,
        }
    }
}

impl From<on_route::Decision> for Decision {
    fn from(decision: on_route::Decision) -> Self {
        match decision {
            on_route::Decision::Proceed => Decision::Proceed,
            on_route::Decision::Answer(response) => Decision::Answer(response.into()),
            on_route::Decision::Access(mode) => Decision::Access(mode.into()),
        }
    }
}

impl From<types::AccessMode> for Access {
    fn from(mode: types::AccessMode) -> Self {
        match mode {
            types::AccessMode::None => Access::None,
            types::AccessMode::ReadOnly => Access::ReadOnly,
            types::AccessMode::ReadWrite => Access::ReadWrite,
        }
    }
}

impl From<FailureReport<'_>> for types::Failure {
    fn from(FailureReport { status, fault, message, error }: FailureReport<'_>) -> Self {
        let fault = match fault {
            Fault::Client => types::Fault::Client,
            Fault::Guest => types::Fault::Guest,
            Fault::Database => types::Fault::Database,
            Fault::Host => types::Fault::Host,
        };
        types::Failure {
            status,
            fault,
            message: message.to_owned(),
            kind: error.map(|error| error.kind.into()),
            code: error.and_then(|error| error.code.clone()),
            constraint: error.and_then(|error| error.violation.clone()).map(|violation| (*violation).into()),
        }
    }
}

impl From<wit::Delivery> for Delivery {
    fn from(delivery: wit::Delivery) -> Self {
        match delivery {
            wit::Delivery::AtMostOnce => Delivery::AtMostOnce,
            wit::Delivery::AtLeastOnce => Delivery::AtLeastOnce,
        }
    }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Value::Null,
            wit::Value::Boolean(value) => Value::Boolean(value),
            wit::Value::Int64(value) => Value::Int64(value),
            wit::Value::Float64(value) => Value::Float64(value),
            wit::Value::Text(value) => Value::Text(value),
            wit::Value::Bytes(value) => Value::Bytes(value),
            wit::Value::Other(wit::OtherValue { type_name, text }) => Value::Other { type_name, text },
        }
    }
}

impl From<Value> for wit::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => wit::Value::Null,
            Value::Boolean(value) => wit::Value::Boolean(value),
            Value::Int64(value) => wit::Value::Int64(value),
            Value::Float32(value) => wit::Value::Float64(value.into()),
            Value::Float64(value) => wit::Value::Float64(value),
            Value::Text(value) => wit::Value::Text(value),
            Value::Bytes(value) => wit::Value::Bytes(value),
            Value::Other { type_name, text } => wit::Value::Other(wit::OtherValue { type_name, text }),
        }
    }
}

impl From<Rows> for wit::Rows {
    fn from(rows: Rows) -> Self {
        let column = |Column { name, type_name }| wit::Column { name, type_name };
        wit::Rows {
            columns: rows.columns.into_iter().map(column).collect(),
            rows: rows.rows.into_iter().map(row_for_guest).collect(),
        }
    }
}

impl From<(Rows, Execution)> for wit::StatementResult {
    fn from((rows, Execution { rows_affected, last_insert_id }): (Rows, Execution)) -> Self {
        let wit::Rows { columns, rows } = rows.into();
        wit::StatementResult { columns, rows, rows_affected, last_insert_id }
    }
}

impl From<Dialect> for wit::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Sqlite => wit::Dialect::Sqlite,
            Dialect::Postgres => wit::Dialect::Postgresql,
            Dialect::MySql => wit::Dialect::Mysql,
        }
    }
}

impl From<Execution> for wit::Execution {
    fn from(Execution { rows_affected, last_insert_id }: Execution) -> Self {
        wit::Execution { rows_affected, last_insert_id }
    }
}

impl From<Kind> for wit::DbErrorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Constraint => wit::DbErrorKind::Constraint,
            Kind::Conflict => wit::DbErrorKind::Conflict,
            Kind::ReadOnly => wit::DbErrorKind::ReadOnly,
            Kind::Forbidden => wit::DbErrorKind::Forbidden,
            Kind::Timeout => wit::DbErrorKind::Timeout,
            Kind::Limit => wit::DbErrorKind::Limit,
            Kind::Lost => wit::DbErrorKind::Lost,
            Kind::Busy => wit::DbErrorKind::Busy,
            Kind::Data => wit::DbErrorKind::Data,
            Kind::Other => wit::DbErrorKind::Other,
        }
    }
}

impl From<Violation> for wit::Violation {
    fn from(Violation { kind, name, table, columns, .. }: Violation) -> Self {
        let kind = match kind {
            ViolationKind::Unique => wit::ViolationKind::Unique,
            ViolationKind::ForeignKey => wit::ViolationKind::ForeignKey,
            ViolationKind::Check => wit::ViolationKind::Check,
            ViolationKind::NotNull => wit::ViolationKind::NotNull,
            ViolationKind::Exclusion => wit::ViolationKind::Exclusion,
        };
        wit::Violation { kind, name, table, columns }
    }
}

impl From<DbError> for wit::DbError {
    fn from(error: DbError) -> Self {
        wit::DbError {
            kind: error.kind.into(),
            code: error.code,
            message: error.message,
            retryable: error.retryable,
            constraint: error.violation.map(|violation| (*violation).into()),
            detail: error.detail.map(String::from),
            hint: error.hint.map(String::from),
        }
    }
}
