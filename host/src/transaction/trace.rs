//! What happened to a request, in order: the list that tests assert, clients see with `debug`, and logs are made from.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// A step in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An on-route hook ran.
    OnRoute,
    /// The request was bound read-only.
    StartReadOnly,
    /// The request was bound read/write.
    Start,
    /// The database transaction began, with a guest's first statement.
    Begin,
    /// A before hook ran.
    Before,
    /// The controller ran.
    Controller,
    /// An on-error hook ran.
    OnError,
    /// An after hook ran.
    After,
    /// A conflict: everything inside the transaction is done again.
    Retry,
    /// The transaction is committed.
    Commit,
    /// The transaction is rolled back.
    Rollback,
    /// The connection was lost while the commit ran.
    InDoubt,
    /// An action registered for the commit ran.
    AfterCommit,
    /// An action registered for the rollback ran.
    AfterRollback,
    /// The binding is gone.
    Clear,
}

impl Event {
    /// Its name in traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::OnRoute => "on_route",
            Event::StartReadOnly => "start_read_only",
            Event::Start => "start",
            Event::Begin => "begin",
            Event::Before => "before",
            Event::Controller => "controller",
            Event::OnError => "on_error",
            Event::After => "after",
            Event::Retry => "retry",
            Event::Commit => "commit",
            Event::Rollback => "rollback",
            Event::InDoubt => "in_doubt",
            Event::AfterCommit => "after_commit",
            Event::AfterRollback => "after_rollback",
            Event::Clear => "clear",
        }
    }
}

/// The events of one request.
#[derive(Debug)]
pub struct Trace {
    started: Instant,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    event: Event,
    /// The component or action, where the event is about one.
    of: Option<Arc<str>>,
    at: Duration,
    took: Duration,
}

/// An event under way.
#[derive(Debug)]
#[must_use = "an event that is opened has an end"]
pub struct Open(usize);

impl Default for Trace {
    fn default() -> Self {
        Self { started: Instant::now(), entries: Vec::with_capacity(8) }
    }
}

impl Trace {
    /// Notes an event that takes no time.
    pub fn mark(&mut self, event: Event) {
        let _ = self.open(event, None);
    }

    /// Notes the beginning of an event.
    pub fn open(&mut self, event: Event, of: Option<Arc<str>>) -> Open {
        self.entries.push(Entry { event, of, at: self.started.elapsed(), took: Duration::ZERO });
        Open(self.entries.len() - 1)
    }

    /// Notes its end.
    pub fn close(&mut self, open: Open) {
        let now = self.started.elapsed();
        if let Some(entry) = self.entries.get_mut(open.0) {
            entry.took = now - entry.at;
        }
    }

    /// Notes its end, which turned out to be that of another event.
    pub fn close_as(&mut self, open: Open, event: Event) {
        if let Some(entry) = self.entries.get_mut(open.0) {
            entry.event = event;
        }
        self.close(open);
    }

    /// Time since the request came.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.entries.iter().map(|entry| entry.event)
    }

    /// As the value of a `Server-Timing` header (W3C): durations in milliseconds, the component as description.
    pub fn server_timing(&self) -> String {
        let mut text = String::with_capacity(self.entries.len() * 40);
        for entry in &self.entries {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(entry.event.as_str());
            if !entry.took.is_zero() {
                let _ = write!(text, ";dur={:.3}", entry.took.as_secs_f64() * 1000.0);
            }
            if let Some(of) = &entry.of {
                // Names of components are plain; those of actions are a guest's words.
                let plain = of.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'));
                text.push_str(";desc=\"");
                text.extend(plain);
                text.push('"');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_a_server_timing_header() {
        let mut trace = Trace::default();
        trace.mark(Event::Start);
        let open = trace.open(Event::Controller, Some("it\"ems\n".into()));
        std::thread::sleep(Duration::from_millis(1));
        trace.close(open);
        trace.mark(Event::Clear);
        let header = trace.server_timing();
        let entries: Vec<&str> = header.split(", ").collect();
        assert_eq!(entries[0], "start");
        assert!(entries[1].starts_with("controller;dur="), "{header}");
        assert!(entries[1].ends_with(";desc=\"items\""), "{header}");
        assert_eq!(entries[2], "clear");
    }
}
