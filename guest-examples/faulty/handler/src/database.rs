//! The handle that `carya:host/current` returns.

use std::cell::RefCell;

use crate::carya::host::current;
pub use crate::carya::host::database::Handle;

thread_local! {
    /// A handle of the last statement, which outlives its call.
    static KEPT: RefCell<Handle> = const { RefCell::new(Handle::None) };
}

pub fn kind() -> &'static str {
    match current::get() {
        Handle::None => "none",
        Handle::Reader(_) => "reader",
        Handle::Writer(_) => "writer",
    }
}

/// Runs a statement. Returns `done` or the message of the error.
pub fn run(sql: &str) -> String {
    let handle = current::get();
    let result = run_by(&handle, sql);
    KEPT.set(handle);
    result
}

/// Runs a statement by the handle of an earlier call.
pub fn kept() -> String {
    KEPT.with_borrow(|handle| run_by(handle, "SELECT 1"))
}

fn run_by(handle: &Handle, sql: &str) -> String {
    let done = match handle {
        Handle::Writer(db) => db.execute(sql, &[]).map(|_| ()),
        Handle::Reader(db) => db.query(sql, &[]).map(|_| ()),
        Handle::None => return "no handle".into(),
    };
    done.map_or_else(|error| error.message, |()| "done".into())
}

/// Requests handles without dropping them.
pub fn request_many(count: usize) {
    (0..count).for_each(|_| std::mem::forget(current::get()));
}
