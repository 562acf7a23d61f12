//! SQLite's allocator. Each allocation is charged to the [`Budget`] of the connection whose thread allocates. If the
//! budget is exceeded, the allocation fails, and SQLite ends the statement with `SQLITE_NOMEM`. SQLite itself can only
//! limit the memory of all connections together, so one connection could starve the others.
//!
//! This module uses `unsafe`, because an allocator handles raw memory, and because sqlx has no interface to configure
//! SQLite.

#![allow(unsafe_code)]

use std::{
    alloc::{self, Layout},
    cell::Cell,
    ffi::{c_int, c_void},
    ptr::{null, null_mut},
    sync::OnceLock,
};

use libsqlite3_sys::*;

use super::budget::Budget;

thread_local! {
    /// Budget of the connection that this thread belongs to. The driver uses one thread per connection.
    static BUDGET: Cell<*const Budget> = const { Cell::new(null()) };
}

/// Header before each allocation. It records the budget, because an allocation may be freed by another thread (rows) or
/// by another connection (pages of the cache).
#[repr(C, align(16))]
struct Header {
    /// Budget to which the allocation is charged, or null. Budgets are never freed.
    budget: *const Budget,
    /// Size without the header.
    bytes: usize,
}

const HEADER: usize = size_of::<Header>();

/// Makes SQLite use this allocator. It must be called before the process opens its first connection; further calls have
/// no effect.
pub(super) fn install() -> Result<(), sqlx::Error> {
    static CODE: OnceLock<c_int> = OnceLock::new();
    let code = *CODE.get_or_init(|| {
        let methods = sqlite3_mem_methods {
            xMalloc: Some(allocate),
            xFree: Some(free),
            xRealloc: Some(reallocate),
            xSize: Some(size),
            xRoundup: Some(round_up),
            xInit: Some(start),
            xShutdown: Some(shut_down),
            pAppData: null_mut(),
        };
        // SAFETY: SQLite copies the methods, and returns an error if it is already in use. `MEMSTATUS` is turned off
        // because its statistics, for all connections, take a lock for each allocation.
        unsafe {
            match sqlite3_config(SQLITE_CONFIG_MALLOC, &raw const methods) {
                SQLITE_OK => sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0 as c_int),
                code => code,
            }
        }
    });
    match code {
        SQLITE_OK => Ok(()),
        code => Err(sqlx::Error::Configuration(format!("SQLite refused the host's allocator with code {code}").into())),
    }
}

/// Charges all further allocations of this thread to a budget.
pub(super) fn charge_to(budget: &'static Budget) {
    BUDGET.set(budget);
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEADER)?, align_of::<Header>()).ok()
}

/// Returns the header of an allocation.
///
/// SAFETY: `start` was returned by [`allocate`] or [`reallocate`].
unsafe fn header(start: *mut c_void) -> *mut Header {
    // SAFETY: a header precedes each allocation.
    unsafe { start.cast::<Header>().sub(1) }
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    let budget = BUDGET.get();
    let Some((bytes, layout)) = usize::try_from(bytes).ok().and_then(|bytes| Some((bytes, layout(bytes)?))) else {
        return null_mut();
    };
    // SAFETY: budgets are never freed. The layout includes the header and has its alignment, so it is not empty.
    unsafe {
        if budget.as_ref().is_some_and(|budget| !budget.charge(layout.size())) {
            return null_mut();
        }
        let start = alloc::alloc(layout).cast::<Header>();
        if start.is_null() {
            release(budget, layout.size());
            return null_mut();
        }
        start.write(Header { budget, bytes });
        start.add(1).cast()
    }
}

unsafe extern "C" fn free(start: *mut c_void) {
    if start.is_null() {
        return;
    }
    // SAFETY: SQLite passes a pointer that `allocate` or `reallocate` returned, and passes it once.
    unsafe {
        let header = header(start);
        let Header { budget, bytes } = header.read();
        release(budget, bytes + HEADER);
        if let Some(layout) = layout(bytes) {
            alloc::dealloc(header.cast(), layout);
        }
    }
}

/// Changes the size of an allocation, which stays charged to the same budget.
unsafe extern "C" fn reallocate(start: *mut c_void, bytes: c_int) -> *mut c_void {
    // SAFETY: as for `free`; SQLite passes neither null nor 0. If this returns null, the old allocation stays valid.
    unsafe {
        let header = header(start);
        let Header { budget, bytes: before } = header.read();
        let Some((bytes, old, new)) =
            usize::try_from(bytes).ok().and_then(|bytes| Some((bytes, layout(before)?, layout(bytes)?)))
        else {
            return null_mut();
        };
        let more = bytes.saturating_sub(before);
        if more > 0 && budget.as_ref().is_some_and(|budget| !budget.charge(more)) {
            return null_mut();
        }
        let start = alloc::realloc(header.cast(), old, new.size()).cast::<Header>();
        if start.is_null() {
            release(budget, more);
            return null_mut();
        }
        release(budget, before.saturating_sub(bytes));
        (*start).bytes = bytes;
        start.add(1).cast()
    }
}

/// SAFETY: `budget` is null or is never freed.
unsafe fn release(budget: *const Budget, bytes: usize) {
    // SAFETY: as above.
    if let Some(budget) = unsafe { budget.as_ref() } {
        budget.release(bytes);
    }
}

unsafe extern "C" fn size(start: *mut c_void) -> c_int {
    if start.is_null() {
        return 0;
    }
    // SAFETY: SQLite passes a pointer that `allocate` or `reallocate` returned. The size was an int there.
    unsafe { (*header(start)).bytes as c_int }
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.saturating_add(7) & !7
}

unsafe extern "C" fn start(_: *mut c_void) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn shut_down(_: *mut c_void) {}
