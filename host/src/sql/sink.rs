//! Destinations for the rows of a statement, for all engines.

use super::{
    csv::CsvRows,
    error::DbError,
    flow::{RowsText, StreamedRows},
    json::JsonRows,
    value::{Column, Rows, Value},
};

/// Destination of rows.
#[derive(Debug)]
pub enum Sink<'a> {
    /// All rows, as values.
    Rows(&'a mut Rows),
    /// The values of the first row. The other rows are read and dropped, because an `INSERT .. RETURNING` must run to
    /// its end.
    First(&'a mut Option<Vec<Value>>),
    /// Rows as JSON text. Rows beyond the layout are dropped, like those of `First`.
    Json(&'a mut JsonRows),
    /// All rows, as CSV.
    Csv(&'a mut CsvRows),
    /// All rows, in pieces for a client.
    Stream(&'a mut StreamedRows),
    /// No destination: rows are dropped.
    Nothing,
}

impl Sink<'_> {
    /// Adds a row. Returns the number of bytes that count towards `max_result`.
    pub(crate) fn row<'r>(
        &mut self,
        columns: impl FnOnce() -> Vec<Column>,
        names: impl Iterator<Item = &'r str>,
        values: impl Iterator<Item = Result<Value, DbError>>,
    ) -> Result<usize, DbError> {
        match self {
            Sink::Rows(all) => {
                if all.rows.is_empty() {
                    all.columns = columns();
                }
                let row: Vec<Value> = values.collect::<Result<_, _>>()?;
                let bytes = row.iter().map(|value| value.size() + size_of::<Value>()).sum();
                all.rows.push(row);
                Ok(bytes)
            }
            Sink::First(first @ None) => {
                **first = Some(values.collect::<Result<_, _>>()?);
                Ok(0)
            }
            Sink::Json(json) if !json.is_full() => {
                let before = json.size();
                json.start_row(names);
                for (index, value) in values.enumerate() {
                    json.value(index, &value?)?;
                }
                json.end_row();
                Ok(json.size() - before)
            }
            Sink::Csv(csv) => {
                let before = csv.size();
                if csv.lacks_names() {
                    csv.names(names);
                }
                for (index, value) in values.enumerate() {
                    csv.value(index, &value?);
                }
                csv.end_row();
                Ok(csv.size() - before)
            }
            Sink::Stream(rows) => match &mut rows.text {
                RowsText::Json(json) => Sink::Json(json).row(columns, names, values),
                RowsText::Csv(csv) => Sink::Csv(csv).row(columns, names, values),
            },
            Sink::Json(_) | Sink::First(Some(_)) | Sink::Nothing => Ok(0),
        }
    }

    /// Returns the rows if they are passed to a client in pieces.
    pub(crate) fn streamed(&mut self) -> Option<&mut StreamedRows> {
        match self {
            Sink::Stream(rows) => Some(rows),
            Sink::Rows(_) | Sink::First(_) | Sink::Json(_) | Sink::Csv(_) | Sink::Nothing => None,
        }
    }

    /// Returns whether the sink needs the columns and has received no row to take them from.
    pub(crate) fn lacks_columns(&self) -> bool {
        match self {
            Sink::Rows(all) => all.rows.is_empty(),
            Sink::Csv(csv) => csv.lacks_names(),
            Sink::Stream(StreamedRows { text: RowsText::Csv(csv), .. }) => csv.lacks_names(),
            Sink::Stream(_) => false,
            Sink::First(_) | Sink::Json(_) | Sink::Nothing => false,
        }
    }

    /// Sets the columns of a result without rows.
    pub(crate) fn set_columns(&mut self, columns: Vec<Column>) {
        match self {
            Sink::Rows(all) => all.columns = columns,
            Sink::Csv(csv) => csv.names(columns.iter().map(|column| &*column.name)),
            Sink::Stream(StreamedRows { text: RowsText::Csv(csv), .. }) => {
                csv.names(columns.iter().map(|column| &*column.name));
            }
            Sink::Stream(_) => {}
            Sink::First(_) | Sink::Json(_) | Sink::Nothing => {}
        }
    }
}
