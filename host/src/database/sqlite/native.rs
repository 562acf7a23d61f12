//! SQL functions of a bounded cost in the place of SQLite's own, and those whose own answers would reveal what an earlier
//! request did on the same connection. What they compute is in [`functions`]; this file translates to SQLite's C interface.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};

use libsqlite3_sys::*;
use sqlx::sqlite::LockedSqliteHandle;

use super::{
    barrier::{Barrier, MAX_LENGTH},
    functions::{self, TooBig},
};

type Function = unsafe extern "C" fn(*mut sqlite3_context, c_int, *mut *mut sqlite3_value);

/// Replaces SQLite's own functions on a connection. `barrier` must live as long as the connection.
pub(super) fn replace_functions(
    handle: &mut LockedSqliteHandle<'_>,
    barrier: *const Barrier,
) -> Result<(), sqlx::Error> {
    let pure = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    let of_connection = SQLITE_UTF8 | SQLITE_INNOCUOUS;
    let all: [(&CStr, c_int, c_int, Function); 8] = [
        (c"instr", 2, pure, instr),
        (c"replace", 3, pure, replace),
        (c"trim", 2, pure, trim::<true, true>),
        (c"ltrim", 2, pure, trim::<true, false>),
        (c"rtrim", 2, pure, trim::<false, true>),
        (c"unhex", 2, pure, unhex),
        (c"changes", 0, of_connection, changes),
        (c"total_changes", 0, of_connection, total_changes),
    ];
    for (name, count, flags, function) in all {
        // SAFETY: the connection is locked, the name ends in NUL, the functions are static; those that read the barrier
        // only share it, and it outlives the connection.
        let code = unsafe {
            sqlite3_create_function_v2(
                handle.as_raw_handle().as_ptr(),
                name.as_ptr(),
                count,
                flags,
                barrier.cast_mut().cast::<c_void>(),
                Some(function),
                None,
                None,
                None,
            )
        };
        if code != SQLITE_OK {
            return Err(sqlx::Error::Configuration(format!("SQLite refused {name:?} with code {code}").into()));
        }
    }
    Ok(())
}

/// The bytes of a blob, or of anything else as text; none of NULL.
///
/// SAFETY: `value` is one that SQLite passes to a function; what comes back is used before it is asked for anything else.
pub(super) unsafe fn bytes<'a>(value: *mut sqlite3_value) -> Option<&'a [u8]> {
    // SAFETY: as above; the length is asked for behind the text that it belongs to.
    unsafe {
        let kind = sqlite3_value_type(value);
        if kind == SQLITE_NULL {
            return None;
        }
        // A blob's bytes are those of its text; asked for that it would stay a text for the next row.
        let as_blob = kind == SQLITE_BLOB;
        let start = if as_blob { sqlite3_value_blob(value).cast() } else { sqlite3_value_text(value) };
        let length = usize::try_from(sqlite3_value_bytes(value)).unwrap_or(0);
        // An empty blob has no address.
        Some(if start.is_null() { &[] } else { std::slice::from_raw_parts(start, length) })
    }
}

/// SAFETY: `context` is one that SQLite passes to a function.
pub(super) unsafe fn give(context: *mut sqlite3_context, result: Result<&[u8], TooBig>) {
    // SAFETY: SQLite copies what is transient before this returns.
    unsafe {
        match result {
            Ok(text) => sqlite3_result_text64(
                context,
                text.as_ptr().cast(),
                text.len() as u64,
                SQLITE_TRANSIENT(),
                SQLITE_UTF8 as u8,
            ),
            Err(TooBig) => sqlite3_result_error_toobig(context),
        }
    }
}

/// SAFETY: `context` is one that SQLite passes to a function.
pub(super) unsafe fn fail(context: *mut sqlite3_context, why: &CStr, code: c_int) {
    // SAFETY: SQLite copies the text.
    unsafe {
        sqlite3_result_error(context, why.as_ptr(), -1);
        sqlite3_result_error_code(context, code);
    }
}

unsafe extern "C" fn instr(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as were declared, and they live for this call.
    unsafe {
        let [text, pattern] = [*values, *values.add(1)];
        let is_text = [text, pattern].into_iter().any(|value| sqlite3_value_type(value) != SQLITE_BLOB);
        let Some((text, pattern)) = bytes(text).zip(bytes(pattern)) else { return };
        let position = functions::instr(text, pattern, is_text);
        sqlite3_result_int64(context, i64::try_from(position).unwrap_or(0));
    }
}

unsafe extern "C" fn replace(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as were declared, and they live for this call.
    unsafe {
        let [text, pattern, with] = [0, 1, 2].map(|index| bytes(*values.add(index)));
        let (Some(text), Some(pattern), Some(with)) = (text, pattern, with) else { return };
        let result = functions::replace(text, pattern, with, MAX_LENGTH as usize);
        give(context, result.as_deref().map_err(|error| *error));
    }
}

unsafe extern "C" fn trim<const LEFT: bool, const RIGHT: bool>(
    context: *mut sqlite3_context,
    _: c_int,
    values: *mut *mut sqlite3_value,
) {
    // SAFETY: SQLite passes as many values as were declared, and they live for this call.
    unsafe {
        let Some((text, characters)) = bytes(*values).zip(bytes(*values.add(1))) else { return };
        give(context, Ok(functions::trim(text, characters, LEFT, RIGHT)));
    }
}

/// `unhex` with two arguments. SQLite's own compares each character of the one with each of the other.
unsafe extern "C" fn unhex(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    let message = c"unhex() with two arguments is not available; remove other characters with replace()";
    // SAFETY: the context is SQLite's own.
    unsafe { fail(context, message, SQLITE_TOOBIG) };
}

/// `changes()`: rows changed by the last statement of this request; 0 before its first change.
unsafe extern "C" fn changes(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes a live context of the connection that runs the statement.
    unsafe {
        let total = total_since_begin(context);
        let last = if total == 0 { 0 } else { sqlite3_changes64(sqlite3_context_db_handle(context)) };
        sqlite3_result_int64(context, last);
    }
}

/// `total_changes()`: rows changed by this request.
unsafe extern "C" fn total_changes(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    // SAFETY: as above.
    unsafe { sqlite3_result_int64(context, total_since_begin(context)) };
}

/// SAFETY: `context` is one that SQLite passes to a function which was registered with a barrier.
unsafe fn total_since_begin(context: *mut sqlite3_context) -> i64 {
    // SAFETY: as above; the barrier outlives the connection.
    unsafe {
        let barrier = &*sqlite3_user_data(context).cast::<Barrier>();
        sqlite3_total_changes64(sqlite3_context_db_handle(context)) - barrier.changes_before()
    }
}
