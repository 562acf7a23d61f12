//! What keeps guests inside on a raw SQLite connection: the authorizer, the limits, and the hooks that stop a
//! statement in time and a commit that is not the host's.
//!
//! The one file of the database that needs `unsafe`: sqlx has no interface to the authorizer and the limits.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use libsqlite3_sys::*;
use sqlx::{SqliteConnection, sqlite::LockedSqliteHandle};

use super::functions::{self, Refusal};

/// The longest text or blob, in bytes.
const MAX_LENGTH: c_int = 4 << 20;

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
    /// When the running statement must end, in nanoseconds after `epoch`.
    deadline: AtomicU64,
    epoch: Instant,
    /// How many of the host's statements stand in front of the guest's: one is BEGIN, two are COMMIT and BEGIN.
    leading: AtomicU8,
    /// A guest's statement ended the transaction.
    ended: AtomicBool,
}

impl Barrier {
    /// Puts the barrier around a fresh connection.
    pub(super) async fn install(connection: &mut SqliteConnection) -> Result<Arc<Barrier>, sqlx::Error> {
        let barrier = Arc::new(Barrier {
            speaker: AtomicU8::new(Speaker::Host as u8),
            deadline: AtomicU64::new(u64::MAX),
            epoch: Instant::now(),
            leading: AtomicU8::new(0),
            ended: AtomicBool::new(false),
        });
        let mut handle = connection.lock_handle().await?;
        configure(&mut handle)?;
        bound(&mut handle)?;
        authorize(&mut handle, &barrier);
        // 2000 operations are some 20 us: often enough for a deadline, too seldom to be measurable.
        let watched = barrier.clone();
        handle.set_progress_handler(2000, move || watched.in_time());
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
        let deadline = self.epoch.elapsed().saturating_add(time).as_nanos();
        self.deadline.store(u64::try_from(deadline).unwrap_or(u64::MAX), SeqCst);
        self.leading.store(leading, SeqCst);
        self.speaker.store(speaker as u8, SeqCst);
    }

    /// The host speaks again, with no deadline.
    pub(super) fn dismiss(&self) {
        self.speaker.store(Speaker::Host as u8, SeqCst);
        self.deadline.store(u64::MAX, SeqCst);
    }

    /// Stops whatever runs on the connection at the next chance.
    pub(super) fn interrupt(&self) {
        self.deadline.store(0, SeqCst);
    }

    /// Whether a guest's statement ended the transaction.
    pub(super) fn transaction_ended(&self) -> bool {
        self.ended.load(SeqCst)
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

    fn in_time(&self) -> bool {
        let deadline = self.deadline.load(SeqCst);
        deadline == u64::MAX || self.epoch.elapsed().as_nanos() < u128::from(deadline)
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
        (SQLITE_LIMIT_VARIABLE_NUMBER, crate::database::guard::MAX_PARAMS as c_int),
        (SQLITE_LIMIT_TRIGGER_DEPTH, 20),
        (SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        // SAFETY: as above; an unknown limit is ignored by SQLite.
        unsafe { sqlite3_limit(db, limit, value) };
    }
    Ok(())
}

type Function = unsafe extern "C" fn(*mut sqlite3_context, c_int, *mut *mut sqlite3_value);

/// Puts functions of a bounded cost in the place of SQLite's own.
fn bound(handle: &mut LockedSqliteHandle<'_>) -> Result<(), sqlx::Error> {
    let all: [(&CStr, c_int, Function); 6] = [
        (c"instr", 2, instr),
        (c"replace", 3, replace),
        (c"trim", 2, trim::<true, true>),
        (c"ltrim", 2, trim::<true, false>),
        (c"rtrim", 2, trim::<false, true>),
        (c"unhex", 2, refused),
    ];
    let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    for (name, count, function) in all {
        // SAFETY: the connection is locked, the name ends in NUL, the functions are static and own no data.
        let code = unsafe {
            sqlite3_create_function_v2(
                handle.as_raw_handle().as_ptr(),
                name.as_ptr(),
                count,
                flags as c_int,
                std::ptr::null_mut(),
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
unsafe fn bytes<'a>(value: *mut sqlite3_value) -> Option<&'a [u8]> {
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
unsafe fn give(context: *mut sqlite3_context, result: Result<&[u8], Refusal>) {
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
            Err(Refusal::TooBig) => sqlite3_result_error_toobig(context),
            Err(Refusal::Costly) => {
                let why = c"the texts are too long for this function";
                sqlite3_result_error(context, why.as_ptr(), -1);
                sqlite3_result_error_code(context, SQLITE_TOOBIG);
            }
        }
    }
}

unsafe extern "C" fn instr(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as were declared, and they live for this call.
    unsafe {
        let [text, pattern] = [*values, *values.add(1)];
        let is_text = [text, pattern].into_iter().any(|value| sqlite3_value_type(value) != SQLITE_BLOB);
        let Some((text, pattern)) = bytes(text).zip(bytes(pattern)) else { return };
        match functions::instr(text, pattern, is_text) {
            Ok(at) => sqlite3_result_int64(context, i64::try_from(at).unwrap_or(0)),
            Err(refusal) => give(context, Err(refusal)),
        }
    }
}

unsafe extern "C" fn replace(context: *mut sqlite3_context, _: c_int, values: *mut *mut sqlite3_value) {
    // SAFETY: SQLite passes as many values as were declared, and they live for this call.
    unsafe {
        let [text, pattern, with] = [0, 1, 2].map(|index| bytes(*values.add(index)));
        let (Some(text), Some(pattern), Some(with)) = (text, pattern, with) else { return };
        let result = functions::replace(text, pattern, with, MAX_LENGTH as usize);
        give(context, result.as_deref().map_err(|refusal| *refusal));
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

unsafe extern "C" fn refused(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    // SAFETY: the context is SQLite's own.
    unsafe { give(context, Err(Refusal::Costly)) };
}

fn authorize(handle: &mut LockedSqliteHandle<'_>, barrier: &Arc<Barrier>) {
    // The connection's thread may outlive every owner that we know of, and SQLite has no destructor for this pointer:
    // one small box for each connection stays for good.
    let state = Arc::into_raw(barrier.clone()).cast_mut().cast::<c_void>();
    // SAFETY: the connection is locked, the function has the signature that SQLite calls, and `state` lives for ever.
    unsafe { sqlite3_set_authorizer(handle.as_raw_handle().as_ptr(), Some(authorizer), state) };
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
    // SAFETY: `state` is what `authorize` gave, which is never freed.
    let barrier = unsafe { &*state.cast::<Barrier>() };
    let speaker = barrier.speaker.load(SeqCst);
    if speaker == Speaker::Host as u8 {
        return SQLITE_OK;
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

/// What guests may do. Everything that is not named is refused: transactions, savepoints, ATTACH, PRAGMA, schema
/// changes, temporary objects, virtual tables, ANALYZE.
fn allowed(action: c_int, first: &[u8], second: &[u8], writes: bool) -> bool {
    match action {
        SQLITE_SELECT | SQLITE_RECURSIVE => true,
        SQLITE_READ => !hidden(first),
        // Full-text search asks for it on its own; `pragma_data_version` is hidden.
        SQLITE_PRAGMA => first == b"data_version" && second.is_empty(),
        SQLITE_FUNCTION => !is_any(second, FORBIDDEN_FUNCTIONS),
        SQLITE_INSERT | SQLITE_UPDATE | SQLITE_DELETE => writes && !hidden(first) && !has_prefix(first, b"sqlite_"),
        _ => false,
    }
}

/// Functions that load code, and those that take hours on two large objects.
const FORBIDDEN_FUNCTIONS: &[&[u8]] = &[b"load_extension", b"fts3_tokenizer", b"json_patch", b"jsonb_patch"];

/// Tables that are not the application's: the host's own, and SQLite's views of the connection and the file.
fn hidden(table: &[u8]) -> bool {
    has_prefix(table, b"carya_")
        || has_prefix(table, b"_sqlx_")
        || has_prefix(table, b"pragma_")
        || has_prefix(table, b"sqlite_temp_")
        || is_any(table, &[b"dbstat", b"sqlite_dbpage", b"sqlite_stmt", b"bytecode", b"tables_used"])
}

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix)
}

fn is_any(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guests_may_do() {
        let table: &[(c_int, &str, &str, bool, bool)] = &[
            // action, first, second, reader, writer
            (SQLITE_SELECT, "", "", true, true),
            (SQLITE_READ, "items", "id", true, true),
            (SQLITE_READ, "carya_outbox", "id", false, false),
            (SQLITE_READ, "_sqlx_migrations", "version", false, false),
            (SQLITE_READ, "PRAGMA_database_list", "file", false, false),
            (SQLITE_FUNCTION, "", "abs", true, true),
            (SQLITE_FUNCTION, "", "Load_Extension", false, false),
            (SQLITE_FUNCTION, "", "JSON_patch", false, false),
            (SQLITE_INSERT, "items", "", false, true),
            (SQLITE_UPDATE, "items", "id", false, true),
            (SQLITE_DELETE, "items", "", false, true),
            (SQLITE_DELETE, "sqlite_sequence", "", false, false),
            (SQLITE_DELETE, "carya_outbox", "", false, false),
            (SQLITE_TRANSACTION, "COMMIT", "", false, false),
            (SQLITE_SAVEPOINT, "BEGIN", "a", false, false),
            (SQLITE_ATTACH, "/etc/passwd", "", false, false),
            (SQLITE_PRAGMA, "query_only", "0", false, false),
            (SQLITE_PRAGMA, "data_version", "", true, true),
            (SQLITE_PRAGMA, "data_version", "1", false, false),
            (SQLITE_CREATE_TABLE, "t", "", false, false),
            (SQLITE_CREATE_TEMP_TABLE, "t", "", false, false),
            (SQLITE_CREATE_VTABLE, "t", "fts5", false, false),
            (SQLITE_DROP_TABLE, "items", "", false, false),
            (SQLITE_ALTER_TABLE, "main", "items", false, false),
            (SQLITE_ANALYZE, "items", "", false, false),
        ];
        for &(action, first, second, reader, writer) in table {
            for (writes, expected) in [(false, reader), (true, writer)] {
                let actual = allowed(action, first.as_bytes(), second.as_bytes(), writes);
                assert_eq!(actual, expected, "{action} {first} {second} writes: {writes}");
            }
        }
    }
}
