//! SQL values and rows in the types of the WIT package, for all engines.

/// An SQL value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `NULL`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A signed 64-bit integer.
    Int64(i64),
    /// A single-precision number in a result. Guests receive it as a `Float64` of the same value. JSON contains the
    /// shortest digits that parse back to it: 0.1, not 0.10000000149011612.
    Float32(f32),
    /// A double-precision number.
    Float64(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A value of any other type, in the engine's text format.
    Other {
        /// The engine's name of the type.
        type_name: String,
        /// Text of the value.
        text: String,
    },
}

impl Value {
    /// Returns the memory that the value uses beyond the enum itself, in bytes. `max_result` counts these bytes.
    pub fn size(&self) -> usize {
        match self {
            Value::Text(text) | Value::Other { text, .. } => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name or alias of the column.
    pub name: String,
    /// The engine's name of the column's type. Empty if the engine reports none.
    pub type_name: String,
}

/// A complete result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Columns of the result.
    pub columns: Vec<Column>,
    /// Rows, each with one value per column.
    pub rows: Vec<Vec<Value>>,
}

/// Counts of a statement, as the engine reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// Number of rows inserted, updated or deleted.
    pub rows_affected: u64,
    /// Key of the last inserted row, if the engine reports it.
    pub last_insert_id: Option<i64>,
}
