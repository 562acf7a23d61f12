//! What runs, and how long it will take still, on standard error.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// How far it has come.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    /// In seconds, as planned.
    planned: f64,
    done: f64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { begun: Instant::now(), planned: 0.0, done: 0.0 }
    }
}

impl Progress {
    /// Something will be done that takes about so many seconds.
    pub(crate) fn plan(&mut self, seconds: f64) {
        self.planned += seconds;
    }

    /// It is done.
    pub(crate) fn done(&mut self, seconds: f64) {
        self.done += seconds;
    }

    /// Says what runs now.
    pub(crate) fn tell(&self, what: &str) {
        let pace = if self.done > 10.0 { self.begun.elapsed().as_secs_f64() / self.done } else { 1.0 };
        let left = ((self.planned - self.done) * pace).max(0.0) as u64;
        let text = format!("{:>2}:{:02} left  {what}", left / 60, left % 60);
        let mut out = std::io::stderr();
        // On a terminal one line that changes, else a line each.
        let _ = match out.is_terminal() {
            true => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            false => writeln!(out, "{text}"),
        };
    }

    /// Says something that stays.
    pub(crate) fn say(&self, what: &str) {
        let start = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{start}{what}");
    }
}
