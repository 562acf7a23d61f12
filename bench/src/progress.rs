//! Reports the current step and the remaining time on standard error.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// Planned and completed work.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    /// Planned duration of all steps, in seconds.
    planned: f64,
    /// Planned duration of the completed steps, in seconds.
    done: f64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { begun: Instant::now(), planned: 0.0, done: 0.0 }
    }
}

impl Progress {
    /// Adds a step with a planned duration in seconds.
    pub(crate) fn plan(&mut self, seconds: f64) {
        self.planned += seconds;
    }

    /// Marks a step with this planned duration as completed.
    pub(crate) fn done(&mut self, seconds: f64) {
        self.done += seconds;
    }

    /// Reports the current step.
    pub(crate) fn show(&self, what: &str) {
        let pace = if self.done > 10.0 { self.begun.elapsed().as_secs_f64() / self.done } else { 1.0 };
        let left = ((self.planned - self.done) * pace).max(0.0) as u64;
        let text = format!("{:>2}:{:02} left  {what}", left / 60, left % 60);
        let mut out = std::io::stderr();
        // On a terminal, each report overwrites the last one. Other outputs get a line for each step.
        let _ = match out.is_terminal() {
            true => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            false => writeln!(out, "{text}"),
        };
    }

    /// Prints a line that later reports do not overwrite.
    pub(crate) fn print(&self, what: &str) {
        let start = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{start}{what}");
    }
}
