//! Writes the lines of the log. A system call for each line of the access log would take a quarter of the processor time
//! of a small request, so a thread writes the lines of up to [`DELAY`] with one call.
//!
//! Lines keep their order, and none is discarded. All other records, and the lines before them, are written at once, so
//! that the log is complete when a client receives its response. If too many lines are waiting, the thread that adds one
//! writes them. Only a process that is killed loses the lines of its last [`DELAY`].

use std::{
    io::{self, Write},
    mem,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Target of the records of the access log.
pub(crate) const ACCESS: &str = "carya::access";

/// Maximum time that a line waits for later ones.
const DELAY: Duration = Duration::from_millis(1);

/// Length of the waiting lines from which a thread that adds one writes all of them, in bytes.
const MAX_WAITING: usize = 64 * 1024;

pub(super) static STDERR: Output = Output::new(|lines| io::stderr().lock().write_all(lines));
pub(super) static STDOUT: Output = Output::new(|lines| {
    let mut output = io::stdout().lock();
    output.write_all(lines)?;
    output.flush()
});

/// The thread that writes waiting lines. Until it runs, each line is written at once.
static WRITER: OnceLock<Thread> = OnceLock::new();

/// Whether each line is written at once, because the process ends.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// One of the standard streams.
pub(super) struct Output {
    waiting: Mutex<Vec<u8>>,
    /// Locked while lines are written, so that they keep their order. Its buffer replaces `waiting`.
    writing: Mutex<Vec<u8>>,
    write: fn(&[u8]) -> io::Result<()>,
}

impl Output {
    const fn new(write: fn(&[u8]) -> io::Result<()>) -> Self {
        Self { waiting: Mutex::new(Vec::new()), writing: Mutex::new(Vec::new()), write }
    }

    /// Adds a line. Unless it `may_wait`, writes it and all lines before it.
    pub(super) fn add(&self, line: &[u8], may_wait: bool) {
        let mut waiting = lock(&self.waiting);
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(line);
        let is_full = waiting.len() >= MAX_WAITING;
        drop(waiting);
        match WRITER.get() {
            Some(writer) if may_wait && !is_full && !IS_ENDING.load(Ordering::Acquire) => {
                if is_first {
                    writer.unpark();
                }
            }
            _ => _ = self.write_waiting(),
        }
    }

    /// Writes the waiting lines. Returns whether there were any.
    fn write_waiting(&self) -> bool {
        let mut writing = lock(&self.writing);
        mem::swap(&mut *writing, &mut *lock(&self.waiting));
        // A failure, such as a closed pipe, must not end a request.
        let _ = (self.write)(&writing);
        let had_lines = !writing.is_empty();
        writing.clear();
        // A long line, such as a statement, must not keep its memory.
        writing.shrink_to(2 * MAX_WAITING);
        had_lines
    }
}

fn lock(buffer: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that writes waiting lines. Without threads, each line is written at once.
pub(super) fn start() {
    let spawned = thread::Builder::new().name("carya-lines".to_owned()).spawn(|| {
        loop {
            thread::sleep(DELAY);
            // Both, so not `||`.
            if !(STDERR.write_waiting() | STDOUT.write_waiting()) {
                thread::park();
            }
        }
    });
    if let Ok(writer) = spawned {
        let _ = WRITER.set(writer.thread().clone());
    }
}

/// Writes the waiting lines. From now on, each line is written at once.
pub(super) fn end() {
    IS_ENDING.store(true, Ordering::Release);
    STDERR.write_waiting();
    STDOUT.write_waiting();
}

/// Writer of records to standard error.
pub(super) struct Records;

/// Writer of one record.
pub(super) struct Record {
    may_wait: bool,
}

impl<'a> MakeWriter<'a> for Records {
    type Writer = Record;

    fn make_writer(&'a self) -> Record {
        Record { may_wait: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Record {
        Record { may_wait: metadata.target() == ACCESS }
    }
}

impl Write for Record {
    /// `line` is a complete line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.add(line, self.may_wait);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
