//! Statements, values, rows, errors and commit positions, in types that are the same for all engines.

pub mod csv;
pub mod error;
pub mod flow;
pub mod json;
pub mod position;
pub mod sink;
pub mod statement;
pub mod value;

pub use self::{
    error::{DbError, Kind},
    flow::StreamedRows,
    position::Position,
    sink::Sink,
    statement::Statement,
};
