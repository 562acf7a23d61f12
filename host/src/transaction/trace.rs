//! The events of a request, in order. The host logs the events at the level `DEBUG`. With `debug = true`, the host also
//! adds them to the response.

use std::{
    fmt::{Display, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use super::sent::SentStatement;
use crate::sql::{Statement, error::DbError};

/// A step in the lifecycle of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// An `on-route` hook ran.
    OnRoute,
    /// The request was bound to its database with read-only access.
    StartReadOnly,
    /// The request was bound to its database with read/write access.
    Start,
    /// The database transaction began, for the first statement or savepoint, or to record durable actions.
    Begin,
    /// A `before` hook ran.
    Before,
    /// The controller ran.
    Controller,
    /// An `on-error` hook ran.
    OnError,
    /// An `after` hook ran.
    After,
    /// Everything inside the transaction runs again, after a conflict or a stale statement.
    Retry,
    /// The transaction was committed.
    Commit,
    /// The transaction was rolled back.
    Rollback,
    /// The database did not confirm the commit, and the outcome is unknown.
    InDoubt,
    /// An action registered for the commit ran.
    AfterCommit,
    /// An action registered for the rollback ran.
    AfterRollback,
    /// A guest sent an HTTP request, or the host refused to send it.
    Outbound,
    /// The rows of the response were streamed to the client.
    Stream,
    /// The binding to the database ended.
    Clear,
}

impl Event {
    /// Returns the name of the event in traces.
    pub(crate) fn as_str(self) -> &'static str {
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
            Event::Outbound => "outbound",
            Event::Stream => "stream",
            Event::Clear => "clear",
        }
    }
}

/// The events of one request, with their times. `Trace::new` reserves memory for the events of most requests;
/// `Trace::default` allocates nothing.
#[derive(Debug)]
pub struct Trace {
    started: Instant,
    pub(super) entries: Vec<Entry>,
    /// `None` except in `carya test`.
    pub(super) details: Option<Box<Details>>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    /// Name of the component or action that the event concerns.
    pub(super) of: Option<Arc<str>>,
    pub(super) at: Duration,
    pub(super) took: Duration,
}

/// Details of a request for the tests of an application.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) statements: Vec<SentStatement>,
    /// Reason of the last rollback that the host decided.
    pub(super) rolled_back_because: Option<String>,
}

/// Handle of an event that has begun and has not ended.
#[derive(Debug)]
#[must_use = "record the end of the event with `close` or `close_as`"]
pub(crate) struct Open(usize);

impl Default for Trace {
    fn default() -> Self {
        Self { started: Instant::now(), entries: Vec::new(), details: None }
    }
}

impl Trace {
    /// Returns the trace of a request that begins now.
    pub(crate) fn new() -> Self {
        Self { entries: Vec::with_capacity(8), ..Self::default() }
    }

    /// Records statements and the reason of a rollback from now on.
    pub(crate) fn record_details(&mut self) {
        self.details = Some(Box::default());
    }

    /// Returns the record of a statement that begins, if details are recorded.
    pub(super) fn begin_statement(&self, statement: &Statement) -> Option<SentStatement> {
        self.details.is_some().then(|| SentStatement::begin(statement))
    }

    /// Adds a statement that has ended, with the number of rows that it changed.
    pub(super) fn end_statement(&mut self, sent: Option<SentStatement>, result: Result<u64, &DbError>) {
        if let (Some(details), Some(mut sent)) = (&mut self.details, sent) {
            sent.end(result);
            details.statements.push(sent);
        }
    }

    /// Adds a query. Its rows are streamed, so it ends with the request.
    pub(crate) fn add_streamed(&mut self, statement: &Statement) {
        if let Some(details) = &mut self.details {
            details.statements.push(SentStatement::begin(statement));
        }
    }

    /// Records why the host rolls back. `None`: it commits.
    pub(super) fn explain(&mut self, reason: Option<impl Display>) {
        if let Some(details) = &mut self.details {
            details.rolled_back_because = reason.map(|reason| reason.to_string());
        }
    }

    /// Records an event without a duration.
    pub(crate) fn mark(&mut self, event: Event) {
        let _ = self.open(event, None);
    }

    /// Records the beginning of an event.
    pub(crate) fn open(&mut self, event: Event, of: Option<Arc<str>>) -> Open {
        self.entries.push(Entry { event, of, at: self.started.elapsed(), took: Duration::ZERO });
        Open(self.entries.len() - 1)
    }

    /// Records the end of an event.
    pub(crate) fn close(&mut self, open: Open) {
        let now = self.started.elapsed();
        if let Some(entry) = self.entries.get_mut(open.0) {
            entry.took = now - entry.at;
        }
    }

    /// Records the end of an event, and changes its kind to `event`, because the outcome of a commit is unknown when
    /// the event begins.
    pub(crate) fn close_as(&mut self, open: Open, event: Event) {
        if let Some(entry) = self.entries.get_mut(open.0) {
            entry.event = event;
        }
        self.close(open);
    }

    /// Records the end of an event that ended earlier, with its duration and a description.
    pub(crate) fn complete(&mut self, open: Open, took: Duration, of: Arc<str>) {
        if let Some(entry) = self.entries.get_mut(open.0) {
            (entry.took, entry.of) = (took, Some(of));
        }
    }

    /// Returns the time since the trace was created, when the request entered `lifecycle`.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the events as the value of a `Server-Timing` header (W3C), with durations in milliseconds and the
    /// component or action as description.
    pub(crate) fn server_timing(&self) -> String {
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
                // Guests choose the names of actions, so drop the characters that a quoted string cannot contain.
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
    fn a_server_timing_header_lists_events_with_durations_and_descriptions() {
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
