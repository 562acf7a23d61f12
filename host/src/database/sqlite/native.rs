//! Replacements for two kinds of SQL functions: functions whose cost has no bound, and functions that would reveal what
//! an earlier request did on the same connection. [`functions`] computes the results. This file connects them to
//! SQLite's C interface, to which sqlx has no access.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int, c_void},
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};

use libsqlite3_sys::*;
use sqlx::sqlite::LockedSqliteHandle;

use super::{
    functions::{self, TooBig},
    policy::MAX_LENGTH,
};

type Function = unsafe extern "C" fn(*mut sqlite3_context, c_int, *mut *mut sqlite3_value);

/// Replaces SQLite's functions on a connection. `changes_before` contains the value of `total_changes()` at the
/// beginning of the request, and must outlive the connection.
pub(super) fn replace_functions(
    handle: &mut LockedSqliteHandle<'_>,
    changes_before: *const AtomicI64,
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
        // SAFETY: the connection is locked, the name ends in NUL, the functions are static. They only use shared
        // references to `changes_before`, which outlives the connection.
        let code = unsafe {
            sqlite3_create_function_v2(
                handle.as_raw_handle().as_ptr(),
                name.as_ptr(),
                count,
                flags,
                changes_before.cast_mut().cast::<c_void>(),
                Some(function),
                None,
                None,
                None,
            )
        };
        if code != SQLITE_OK {
            return Err(sqlx::Error::Configuration(
                format!("SQLite refused the function {name:?} with code {code}").into(),
            ));
        }
    }
    Ok(())
}

/// Returns the bytes of a blob, or the text of any other value. Returns `None` for NULL.
///
/// SAFETY: SQLite passes `value` to a function. The caller uses the bytes only during this call of the function, and
/// before it converts the value again.
pub(super) unsafe fn bytes<'a>(value: *mut sqlite3_value) -> Option<&'a [u8]> {
    // SAFETY: as above. The length is read after the conversion to text, because it is the length of the converted
    // value.
    unsafe {
        let kind = sqlite3_value_type(value);
        if kind == SQLITE_NULL {
            return None;
        }
        // `sqlite3_value_text` would return the same bytes for a blob, but it would also convert the blob to text, and
        // the next row could receive the converted value.
        let as_blob = kind == SQLITE_BLOB;
        let start = if as_blob { sqlite3_value_blob(value).cast() } else { sqlite3_value_text(value) };
        let length = usize::try_from(sqlite3_value_bytes(value)).unwrap_or(0);
        // The pointer of an empty blob is null.
        Some(if start.is_null() { &[] } else { std::slice::from_raw_parts(start, length) })
    }
}

/// Sets the result of a function.
///
/// SAFETY: SQLite passes `context` to the function that runs.
pub(super) unsafe fn set_result(context: *mut sqlite3_context, result: Result<&[u8], TooBig>) {
    // SAFETY: with `SQLITE_TRANSIENT`, SQLite copies the bytes before the call returns.
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

/// Sets an error as the result of a function.
///
/// SAFETY: SQLite passes `context` to the function that runs.
pub(super) unsafe fn fail(context: *mut sqlite3_context, why: &CStr, code: c_int) {
    // SAFETY: SQLite copies the message.
    unsafe {
        sqlite3_result_error(context, why.as_ptr(), -1);
        sqlite3_result_error_code(context, code);
    }
}

unsafe extern "C" fn instr(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as the function was registered with; they are valid during this call.
    unsafe {
        let [text, pattern] = [*values, *values.add(1)];
        let is_text = [text, pattern].into_iter().any(|value| sqlite3_value_type(value) != SQLITE_BLOB);
        let Some((text, pattern)) = bytes(text).zip(bytes(pattern)) else { return };
        let position = functions::instr(text, pattern, is_text);
        sqlite3_result_int64(context, i64::try_from(position).unwrap_or(0));
    }
}

unsafe extern "C" fn replace(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as the function was registered with; they are valid during this call.
    unsafe {
        let [text, pattern, with] = [0, 1, 2].map(|index| bytes(*values.add(index)));
        let (Some(text), Some(pattern), Some(with)) = (text, pattern, with) else { return };
        let result = functions::replace(text, pattern, with, MAX_LENGTH as usize);
        set_result(context, result.as_deref().map_err(|error| *error));
    }
}

unsafe extern "C" fn trim<const LEFT: bool, const RIGHT: bool>(
    context: *mut sqlite3_context,
    _: c_int,
    values: *mut *mut sqlite3_value,
) {
    // SAFETY: SQLite passes as many values as the function was registered with; they are valid during this call.
    unsafe {
        let Some((text, characters)) = bytes(*values).zip(bytes(*values.add(1))) else { return };
        set_result(context, Ok(functions::trim(text, characters, LEFT, RIGHT)));
    }
}

/// `unhex` with two arguments. SQLite's implementation compares each character of one text with each character of the
/// other text.
unsafe extern "C" fn unhex(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    let message = c"unhex() with two arguments is not available; remove other characters with replace()";
    // SAFETY: SQLite passes the context of this call.
    unsafe { fail(context, message, SQLITE_TOOBIG) };
}

/// `changes()`: returns the number of rows changed by the last statement of this request that changed rows, or 0.
unsafe extern "C" fn changes(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes the context of this call, which belongs to the connection of the running statement.
    unsafe {
        let total = total_since_begin(context);
        let last = if total == 0 { 0 } else { sqlite3_changes64(sqlite3_context_db_handle(context)) };
        sqlite3_result_int64(context, last);
    }
}

/// `total_changes()`: returns the number of rows changed by this request.
unsafe extern "C" fn total_changes(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    // SAFETY: as above.
    unsafe { sqlite3_result_int64(context, total_since_begin(context)) };
}

/// SAFETY: SQLite passes `context` to a function that was registered with `changes_before`.
unsafe fn total_since_begin(context: *mut sqlite3_context) -> i64 {
    // SAFETY: as above.
    unsafe {
        let changes_before = &*sqlite3_user_data(context).cast::<AtomicI64>();
        sqlite3_total_changes64(sqlite3_context_db_handle(context)) - changes_before.load(SeqCst)
    }
}
