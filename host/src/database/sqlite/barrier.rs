//! The barrier of a SQLite connection. It consists of the authorizer, the limits, the progress handler that ends
//! statements at their deadline, and the hooks that prevent guests from ending the transaction.
//!
//! This module uses `unsafe`, because sqlx has no interface to the authorizer, the limits and the trace.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    ptr::null_mut,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use libsqlite3_sys::*;
use sqlx::{SqliteConnection, sqlite::LockedSqliteHandle};

use super::{
    budget::{Budget, Exceeded},
    fts5, memory, native,
    policy::{MAX_LENGTH, authorize},
};

/// Prefix of each guest's statement. By this prefix, the trace distinguishes the statement from statements that virtual
/// tables run.
pub(super) const MARK: &str = "/*g*/";

/// End of the statement with which FTS5 stores a setting of a full-text table, as the trace reports it.
const STORES_SETTING: &[u8] = b"_config' VALUES(?,?)";

/// Role in which a statement runs on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Role {
    /// The host, to which everything is allowed.
    Host = 0,
    /// A guest through a reader.
    Reader = 1,
    /// A guest through a writer.
    Writer = 2,
}

/// State that the hooks of a connection read. The host sets it between statements; the connection's thread reads it
/// while a statement runs.
#[derive(Debug)]
pub(super) struct Barrier {
    role: AtomicU8,
    budget: Budget,
    /// Number of the host's statements that precede the guest's in the message and have not been compiled yet: 1 for
    /// `BEGIN`, 2 for `COMMIT` and `BEGIN`.
    leading: AtomicU8,
    /// Whether a guest's statement has ended the transaction.
    ended: AtomicBool,
    /// The guest's statement if it has started, otherwise null. Only the connection's thread dereferences the pointer,
    /// while it runs the message to which the statement belongs.
    statement: AtomicPtr<sqlite3_stmt>,
    /// Whether the guest's statement can change rows.
    can_change: AtomicBool,
    /// Whether the authorizer has refused to let SQLite recompile a guest's statement for a changed schema. The driver
    /// only knows the columns of the old schema.
    outdated: AtomicBool,
    /// [`fingerprint`] of the columns of the guest's statement, if SQLite recompiled it for the value of a parameter
    /// before it started; otherwise 0. The driver only knows the columns of the first compilation.
    columns: AtomicU64,
    /// Whether a guest has changed settings of a full-text table. The connection keeps them in memory, even after a
    /// rollback.
    configured: AtomicBool,
    /// Whether the next statement is the first one of a request.
    lent: AtomicBool,
    /// `total_changes()` of the connection at the beginning of the request.
    changes_before: AtomicI64,
}

impl Barrier {
    /// Installs the barrier on a new connection, on which a guest's statement can use `max_memory` bytes.
    pub(super) async fn install(
        connection: &mut SqliteConnection,
        max_memory: usize,
    ) -> Result<Arc<Barrier>, sqlx::Error> {
        let barrier = Arc::new(Barrier {
            role: AtomicU8::new(Role::Host as u8),
            budget: Budget::new(max_memory),
            leading: AtomicU8::new(0),
            ended: AtomicBool::new(false),
            statement: AtomicPtr::new(null_mut()),
            can_change: AtomicBool::new(false),
            outdated: AtomicBool::new(false),
            columns: AtomicU64::new(0),
            configured: AtomicBool::new(false),
            lent: AtomicBool::new(false),
            changes_before: AtomicI64::new(0),
        });
        let mut handle = connection.lock_handle().await?;
        configure(&mut handle)?;
        // The connection's thread may outlive all other owners of the barrier, and SQLite has no destructor for these
        // pointers. Therefore one reference is never released, and the barrier of each connection is never freed.
        let state = Arc::into_raw(barrier.clone());
        native::replace_functions(&mut handle, &raw const barrier.changes_before)?;
        fts5::replace_functions(&mut handle)?;
        hook(&mut handle, state);
        // 2000 operations take about 20 us: precise enough for a deadline, and without measurable cost.
        let watched = barrier.clone();
        handle.set_progress_handler(2000, move || watched.budget.in_time());
        let watched = barrier.clone();
        // `false` makes SQLite roll back instead.
        handle.set_commit_hook(move || watched.role.load(SeqCst) == Role::Host as u8);
        let watched = barrier.clone();
        handle.set_rollback_hook(move || {
            if watched.role.load(SeqCst) != Role::Host as u8 {
                watched.ended.store(true, SeqCst);
            }
        });
        drop(handle);
        Ok(barrier)
    }

    /// Applies the restrictions for a guest's statement, which follows `leading` statements of the host in the same
    /// message. All of them together must end within `time`.
    pub(super) fn admit(&self, role: Role, time: Duration, leading: u8) {
        self.budget.limit(time);
        self.leading.store(leading, SeqCst);
        self.statement.store(null_mut(), SeqCst);
        self.outdated.store(false, SeqCst);
        self.columns.store(0, SeqCst);
        self.role.store(role as u8, SeqCst);
    }

    /// Ends the restrictions: further statements are statements of the host, without limits.
    pub(super) fn dismiss(&self) {
        self.role.store(Role::Host as u8, SeqCst);
        self.budget.lift();
    }

    /// Stops the clock of the running statement while the client has not taken its rows.
    pub(super) fn pause(&self) {
        self.budget.pause();
    }

    /// Gives the running statement `time` from now on.
    pub(super) fn resume(&self, time: Duration) {
        self.budget.resume(time);
    }

    /// Ends the running statement at the next call of the progress handler or the allocator.
    pub(super) fn interrupt(&self) {
        self.budget.stop();
    }

    /// Returns the limit that an allocation of the guest's last statement exceeded, if any. SQLite may then have
    /// stopped at any point, so the transaction counts as ended.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        let exceeded = self.budget.exceeded();
        if exceeded.is_some() {
            self.ended.store(true, SeqCst);
        }
        exceeded
    }

    /// Returns whether a guest's statement has ended the transaction.
    pub(super) fn transaction_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Marks the next statement as the first one of a request. The trace then resets the counts of changes and the key
    /// of the last inserted row.
    pub(super) fn lend(&self) {
        self.lent.store(true, SeqCst);
    }

    /// Returns whether the guest's last statement could change rows. If not, SQLite reports the number of changes of an
    /// earlier statement.
    pub(super) fn can_change(&self) -> bool {
        self.can_change.load(SeqCst)
    }

    /// Returns whether the guest's last statement was refused because it was compiled for an older schema. It had no
    /// effect.
    pub(super) fn take_outdated(&self) -> bool {
        self.outdated.swap(false, SeqCst)
    }

    /// Returns whether SQLite recompiled the guest's last statement before it started. If the schema has changed, the
    /// statement may have other columns than the driver knows.
    pub(super) fn is_recompiled(&self) -> bool {
        self.columns.load(SeqCst) != 0
    }

    /// Returns whether the columns of the guest's last statement have these names. The result can only be `false` for a
    /// recompiled statement.
    pub(super) fn has_columns<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let columns = self.columns.load(SeqCst);
        columns == 0 || columns == fingerprint(names.map(str::as_bytes))
    }

    /// Returns whether the connection must not be lent again, because it holds settings of a guest, which survive a
    /// rollback, or too much memory.
    pub(super) fn is_spoilt(&self) -> bool {
        self.configured.load(SeqCst) || self.budget.is_bloated()
    }

    /// Returns whether `statement` is the next one of the host's leading statements.
    fn takes_leading(&self, statement: &[u8]) -> bool {
        let left = match statement {
            b"COMMIT" => 2,
            b"BEGIN" => 1,
            _ => return false,
        };
        self.leading.compare_exchange(left, left - 1, SeqCst, SeqCst).is_ok()
    }
}

/// Sets limits and switches of the connection. They apply to statements of the host too.
fn configure(handle: &mut LockedSqliteHandle<'_>) -> Result<(), sqlx::Error> {
    let db = handle.as_raw_handle().as_ptr();
    let switches = [
        (SQLITE_DBCONFIG_DEFENSIVE, 1),
        (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
    ];
    for (switch, value) in switches {
        // SAFETY: `db` is a live connection that this thread has locked. These switches take an int and a pointer for
        // the result, which can be null.
        let code = unsafe { sqlite3_db_config(db, switch, value as c_int, std::ptr::null_mut::<c_int>()) };
        if code != SQLITE_OK {
            return Err(sqlx::Error::Configuration(format!("SQLite refused switch {switch} with code {code}").into()));
        }
    }
    let limits = [
        (SQLITE_LIMIT_LENGTH, MAX_LENGTH),
        (SQLITE_LIMIT_SQL_LENGTH, 64 << 10),
        (SQLITE_LIMIT_COLUMN, 256),
        (SQLITE_LIMIT_EXPR_DEPTH, 100),
        (SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (SQLITE_LIMIT_VDBE_OP, 100_000),
        (SQLITE_LIMIT_ATTACHED, 0),
        // `LIKE` takes time in proportion to the product of the lengths of text and pattern, in one operation.
        (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128),
        (SQLITE_LIMIT_VARIABLE_NUMBER, crate::gate::MAX_PARAMS as c_int),
        (SQLITE_LIMIT_TRIGGER_DEPTH, 20),
        (SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        // SAFETY: as above. SQLite ignores unknown limits.
        unsafe { sqlite3_limit(db, limit, value) };
    }
    Ok(())
}

/// Registers the authorizer and the trace. `state` must never be freed.
fn hook(handle: &mut LockedSqliteHandle<'_>, state: *const Barrier) {
    let (db, state) = (handle.as_raw_handle().as_ptr(), state.cast_mut().cast::<c_void>());
    // SAFETY: the connection is locked, the functions have the signatures that SQLite calls, and `state` is never
    // freed.
    unsafe {
        sqlite3_set_authorizer(db, Some(authorizer), state);
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT, Some(trace), state);
    }
}

/// Called by SQLite when a statement starts, before it checks whether the schema has changed.
unsafe extern "C" fn trace(_: c_uint, state: *mut c_void, statement: *mut c_void, text: *mut c_void) -> c_int {
    let (statement, text) = (statement.cast::<sqlite3_stmt>(), text.cast::<c_char>().cast_const());
    // SAFETY: `state` is the pointer that `hook` registered, which is never freed. During this call, `statement` is
    // live and `text` is a C string. The statement in `barrier.statement` is live until the connection's thread has run
    // its message.
    unsafe {
        let barrier: &'static Barrier = &*state.cast::<Barrier>();
        memory::charge_to(&barrier.budget);
        if barrier.lent.swap(false, SeqCst) {
            // Without this, the request could read the key and the number of changes of an earlier request.
            let db = sqlite3_db_handle(statement);
            sqlite3_set_last_insert_rowid(db, 0);
            barrier.changes_before.store(sqlite3_total_changes64(db), SeqCst);
        }
        if barrier.role.load(SeqCst) == Role::Host as u8 {
            return 0;
        }
        if begins_with(text, MARK.as_bytes()) {
            // SQLite recompiles a statement if the value of a parameter can change its plan. The driver does not read
            // the columns again. The 1 resets the counter.
            if sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 1) > 0 {
                let names = (0..sqlite3_column_count(statement)).map(|index| sqlite3_column_name(statement, index));
                let names = names.filter(|name| !name.is_null()).map(|name| CStr::from_ptr(name).to_bytes());
                barrier.columns.store(fingerprint(names), SeqCst);
            }
            barrier.can_change.store(sqlite3_stmt_readonly(statement) == 0, SeqCst);
            // From here on, if SQLite calls the authorizer while this statement is not running, the authorizer assumes
            // that SQLite recompiles this statement.
            barrier.statement.store(statement, SeqCst);
        } else if begins_with(text, b"-- REPLACE") && CStr::from_ptr(text).to_bytes().ends_with(STORES_SETTING) {
            barrier.configured.store(true, SeqCst);
        }
    }
    0
}

/// Returns a hash (FNV-1a) of names, their number and their order. It is never 0.
fn fingerprint<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let add_all = |hash, name: &[u8]| name.iter().chain(&[0]).fold(hash, add);
    names.fold(0xcbf2_9ce4_8422_2325, add_all).max(1)
}

/// Returns whether a C string begins with these bytes.
///
/// SAFETY: `text` must be a C string.
unsafe fn begins_with(text: *const c_char, bytes: &[u8]) -> bool {
    // SAFETY: `all` stops at the first byte that differs, at the latest at the NUL that ends the string.
    bytes.iter().enumerate().all(|(at, byte)| unsafe { *text.add(at) }.cast_unsigned() == *byte)
}

/// Called by SQLite for each action of a statement while it compiles the statement.
unsafe extern "C" fn authorizer(
    state: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: `state` is the pointer that `hook` registered, which is never freed.
    let barrier = unsafe { &*state.cast::<Barrier>() };
    let role = barrier.role.load(SeqCst);
    if role == Role::Host as u8 {
        return SQLITE_OK;
    }
    // SQLite recompiles a statement that has started but is not running: the schema has changed, and the driver would
    // still use the old columns. SAFETY: the statement is live until the connection's thread has run its message.
    let statement = barrier.statement.load(SeqCst);
    if !statement.is_null() && unsafe { sqlite3_stmt_busy(statement) } == 0 {
        barrier.outdated.store(true, SeqCst);
        return SQLITE_DENY;
    }
    // SAFETY: SQLite passes null or a C string that is valid during this call.
    let name = |pointer: *const c_char| match pointer.is_null() {
        true => &b""[..],
        false => unsafe { CStr::from_ptr(pointer) }.to_bytes(),
    };
    if action == SQLITE_TRANSACTION && barrier.takes_leading(name(first)) {
        return SQLITE_OK;
    }
    let writes = role == Role::Writer as u8;
    authorize(action, name(first), name(second), writes)
}
