//! What keeps guests inside on a raw SQLite connection: the authorizer, the limits, and the hooks that stop a
//! statement in time and a commit that is not the host's.
//!
//! `unsafe`, because sqlx has no interface to the authorizer, the limits and the trace.

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
    policy::allowed,
};

/// The longest text or blob, in bytes.
pub(super) const MAX_LENGTH: c_int = 4 << 20;

/// Begins the text of each guest's statement, so that the trace tells it from the statements of virtual tables.
pub(super) const MARK: &str = "/*g*/";

/// The end of the statement by which a full-text table (FTS5) stores one of its settings, as the trace shows it.
const STORES_SETTING: &[u8] = b"_config' VALUES(?,?)";

/// Who is speaking on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Speaker {
    /// The host: everything is allowed.
    Host = 0,
    /// A guest through a reader.
    Reader = 1,
    /// A guest through a writer.
    Writer = 2,
}

/// What the connection's hooks look at. The host sets it between statements; the connection's own thread reads it
/// while it runs one.
#[derive(Debug)]
pub(super) struct Barrier {
    speaker: AtomicU8,
    budget: Budget,
    /// How many of the host's statements stand in front of the guest's: one is BEGIN, two are COMMIT and BEGIN.
    leading: AtomicU8,
    /// A guest's statement ended the transaction.
    ended: AtomicBool,
    /// The guest's statement once it has started, else null. Only the connection's thread dereferences it, while it runs
    /// the message that the statement belongs to.
    statement: AtomicPtr<sqlite3_stmt>,
    /// The guest's statement can change rows.
    can_change: AtomicBool,
    /// A guest's statement was to be compiled again, for another schema than the driver knows its columns of.
    outdated: AtomicBool,
    /// The [`fingerprint`] of the guest's statement's columns, where SQLite has compiled it again before it started, because
    /// of a parameter; else 0. The driver has those of when it was compiled first.
    columns: AtomicU64,
    /// A guest has changed settings of a full-text table. The connection keeps them in memory, even after a rollback.
    configured: AtomicBool,
    /// The connection was lent: the next statement is the first of a request.
    lent: AtomicBool,
    /// `total_changes()` of the connection when the request began.
    changes_before: AtomicI64,
}

impl Barrier {
    /// Puts the barrier around a fresh connection, where a guest's statement may take `max_memory` bytes.
    pub(super) async fn install(
        connection: &mut SqliteConnection,
        max_memory: usize,
    ) -> Result<Arc<Barrier>, sqlx::Error> {
        let barrier = Arc::new(Barrier {
            speaker: AtomicU8::new(Speaker::Host as u8),
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
        // The connection's thread may outlive every owner that we know of, and SQLite has no destructor for these pointers:
        // one small box for each connection stays for good.
        let state = Arc::into_raw(barrier.clone());
        native::replace_functions(&mut handle, state)?;
        fts5::replace_functions(&mut handle)?;
        hook(&mut handle, state);
        // 2000 operations are some 20 us: often enough for a deadline, too seldom to be measurable.
        let watched = barrier.clone();
        handle.set_progress_handler(2000, move || watched.budget.in_time());
        let watched = barrier.clone();
        // `false` turns the commit into a rollback.
        handle.set_commit_hook(move || watched.speaker.load(SeqCst) == Speaker::Host as u8);
        let watched = barrier.clone();
        handle.set_rollback_hook(move || {
            if watched.speaker.load(SeqCst) != Speaker::Host as u8 {
                watched.ended.store(true, SeqCst);
            }
        });
        drop(handle);
        Ok(barrier)
    }

    /// Lets somebody else speak, for at most `time` at a stretch, behind so many statements of the host.
    pub(super) fn admit(&self, speaker: Speaker, time: Duration, leading: u8) {
        self.budget.limit(time);
        self.leading.store(leading, SeqCst);
        self.statement.store(null_mut(), SeqCst);
        self.outdated.store(false, SeqCst);
        self.columns.store(0, SeqCst);
        self.speaker.store(speaker as u8, SeqCst);
    }

    /// The host speaks again, without limits.
    pub(super) fn dismiss(&self) {
        self.speaker.store(Speaker::Host as u8, SeqCst);
        self.budget.lift();
    }

    /// Stops whatever runs on the connection at the next chance.
    pub(super) fn interrupt(&self) {
        self.budget.stop();
    }

    /// The limit because of which the guest's last statement was refused memory. What SQLite left undone is not known: the
    /// transaction counts as ended.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        let exceeded = self.budget.exceeded();
        if exceeded.is_some() {
            self.ended.store(true, SeqCst);
        }
        exceeded
    }

    /// Whether a guest's statement ended the transaction.
    pub(super) fn transaction_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Begins the count of what the request changes and inserts, at its first statement.
    pub(super) fn lend(&self) {
        self.lent.store(true, SeqCst);
    }

    /// `total_changes()` of the connection when the request began.
    pub(super) fn changes_before(&self) -> i64 {
        self.changes_before.load(SeqCst)
    }

    /// Whether the guest's last statement could change rows. For a query SQLite reports the changes of an earlier statement.
    pub(super) fn can_change(&self) -> bool {
        self.can_change.load(SeqCst)
    }

    /// Whether the guest's last statement was refused because it is compiled for an older schema. It has done nothing.
    pub(super) fn take_outdated(&self) -> bool {
        self.outdated.swap(false, SeqCst)
    }

    /// Whether the guest's last statement was compiled again before it started. It has other columns then than the driver
    /// knows, if the schema has changed.
    pub(super) fn is_recompiled(&self) -> bool {
        self.columns.load(SeqCst) != 0
    }

    /// Whether these are the names of its columns, as far as the driver could be wrong.
    pub(super) fn has_columns<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let columns = self.columns.load(SeqCst);
        columns == 0 || columns == fingerprint(names.map(str::as_bytes))
    }

    /// Whether the connection must not be lent again: it keeps settings of a guest, which no rollback takes back, or much memory.
    pub(super) fn is_spoilt(&self) -> bool {
        self.configured.load(SeqCst) || self.budget.is_bloated()
    }

    /// Whether this is the host's statement whose turn it is.
    fn lets_pass(&self, statement: &[u8]) -> bool {
        let left = match statement {
            b"COMMIT" => 2,
            b"BEGIN" => 1,
            _ => return false,
        };
        self.leading.compare_exchange(left, left - 1, SeqCst, SeqCst).is_ok()
    }
}

/// Limits and switches that hold for the host as well.
fn configure(handle: &mut LockedSqliteHandle<'_>) -> Result<(), sqlx::Error> {
    let db = handle.as_raw_handle().as_ptr();
    let switches = [
        (SQLITE_DBCONFIG_DEFENSIVE, 1),
        (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
    ];
    for (switch, value) in switches {
        // SAFETY: `db` is a live connection that this thread has locked; these switches take an int and a pointer
        // for the result, which may be null.
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
        // LIKE may have to look at every byte of a text for each byte of its pattern, in one operation.
        (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128),
        (SQLITE_LIMIT_VARIABLE_NUMBER, crate::gate::MAX_PARAMS as c_int),
        (SQLITE_LIMIT_TRIGGER_DEPTH, 20),
        (SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        // SAFETY: as above; an unknown limit is ignored by SQLite.
        unsafe { sqlite3_limit(db, limit, value) };
    }
    Ok(())
}

/// Has SQLite call the authorizer and the trace, with a state that is never freed.
fn hook(handle: &mut LockedSqliteHandle<'_>, state: *const Barrier) {
    let (db, state) = (handle.as_raw_handle().as_ptr(), state.cast_mut().cast::<c_void>());
    // SAFETY: the connection is locked, the functions have the signatures that SQLite calls, and `state` lives for ever.
    unsafe {
        sqlite3_set_authorizer(db, Some(authorizer), state);
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT, Some(trace), state);
    }
}

/// Called by SQLite when a statement starts, before it looks whether the schema has changed.
unsafe extern "C" fn trace(_: c_uint, state: *mut c_void, statement: *mut c_void, text: *mut c_void) -> c_int {
    let (statement, text) = (statement.cast::<sqlite3_stmt>(), text.cast::<c_char>().cast_const());
    // SAFETY: `state` is what `hook` gave, which is never freed; `statement` is live, and `text` a C string, for this call.
    // A statement in `barrier.statement` belongs to the message that is run, and lives as long as that.
    unsafe {
        let barrier: &'static Barrier = &*state.cast::<Barrier>();
        memory::charge_to(&barrier.budget);
        if barrier.lent.swap(false, SeqCst) {
            let db = sqlite3_db_handle(statement);
            sqlite3_set_last_insert_rowid(db, 0);
            barrier.changes_before.store(sqlite3_total_changes64(db), SeqCst);
        }
        if barrier.speaker.load(SeqCst) == Speaker::Host as u8 {
            return 0;
        }
        if begins_with(text, MARK.as_bytes()) {
            if sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 1) > 0 {
                let names = (0..sqlite3_column_count(statement)).map(|index| sqlite3_column_name(statement, index));
                let names = names.filter(|name| !name.is_null()).map(|name| CStr::from_ptr(name).to_bytes());
                barrier.columns.store(fingerprint(names), SeqCst);
            }
            barrier.can_change.store(sqlite3_stmt_readonly(statement) == 0, SeqCst);
            barrier.statement.store(statement, SeqCst);
        } else if begins_with(text, b"-- REPLACE") && CStr::from_ptr(text).to_bytes().ends_with(STORES_SETTING) {
            barrier.configured.store(true, SeqCst);
        }
    }
    0
}

/// A number, never 0, that differs where names, their number or their order do (FNV-1a).
fn fingerprint<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let add_all = |hash, name: &[u8]| name.iter().chain(&[0]).fold(hash, add);
    names.fold(0xcbf2_9ce4_8422_2325, add_all).max(1)
}

/// Whether a C string begins with these bytes.
///
/// SAFETY: `text` is a C string.
unsafe fn begins_with(text: *const c_char, bytes: &[u8]) -> bool {
    // SAFETY: no byte is read behind the first that differs, and the string's own NUL differs or is the last.
    bytes.iter().enumerate().all(|(at, byte)| unsafe { *text.add(at) }.cast_unsigned() == *byte)
}

/// Called by SQLite for everything that a statement would do, when it is compiled.
unsafe extern "C" fn authorizer(
    state: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: `state` is what `hook` gave, which is never freed.
    let barrier = unsafe { &*state.cast::<Barrier>() };
    let speaker = barrier.speaker.load(SeqCst);
    if speaker == Speaker::Host as u8 {
        return SQLITE_OK;
    }
    // A statement that has started and is not running is compiled again: the schema has changed. The driver would go on to
    // use the columns of the old one. SAFETY: the statement of a message lives as long as that is run.
    let statement = barrier.statement.load(SeqCst);
    if !statement.is_null() && unsafe { sqlite3_stmt_busy(statement) } == 0 {
        barrier.outdated.store(true, SeqCst);
        return SQLITE_DENY;
    }
    // SAFETY: SQLite passes null or a C string that lives for this call.
    let name = |pointer: *const c_char| match pointer.is_null() {
        true => &b""[..],
        false => unsafe { CStr::from_ptr(pointer) }.to_bytes(),
    };
    if action == SQLITE_TRANSACTION && barrier.lets_pass(name(first)) {
        return SQLITE_OK;
    }
    let writes = speaker == Speaker::Writer as u8;
    if allowed(action, name(first), name(second), writes) { SQLITE_OK } else { SQLITE_DENY }
}
