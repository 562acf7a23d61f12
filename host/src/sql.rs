//! Statements, values, rows, errors and commit positions as the rest of the host sees them, whatever the engine.

pub mod error;
pub mod position;
pub mod sink;
pub mod statement;
pub mod value;

pub use self::{
    error::{DbError, Kind},
    position::Position,
    sink::Sink,
    statement::Statement,
};
