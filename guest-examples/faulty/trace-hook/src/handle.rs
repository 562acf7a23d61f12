//! Functions that the phases call with their handle.

use crate::carya::host::config;
use crate::carya::host::database::Handle;

/// Runs the statement of the setting `sql`.
pub(crate) fn write(db: &Handle) -> Result<(), String> {
    let sql = config::get("sql").ok_or("no setting sql")?;
    match db {
        Handle::None => return Err("no handle to write with".into()),
        Handle::Reader(db) => db.query(&sql, &[]).map(drop),
        Handle::Writer(db) => db.execute(&sql, &[]).map(drop),
    }
    .map_err(|error| format!("{:?}: {}", error.kind, error.message))
}

/// Returns the hook's name and its kind of handle: `NAME:none`, `NAME:reader` or `NAME:writer`.
pub(crate) fn mark(db: &Handle) -> String {
    let name = config::get("name").unwrap_or_else(|| "hook".into());
    let handle = match db {
        Handle::None => "none",
        Handle::Reader(_) => "reader",
        Handle::Writer(_) => "writer",
    };
    format!("{name}:{handle}")
}
