//! Records of requests and their actions, for the tests of an application. Only `carya test` keeps them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use serde::Serialize;

use super::{
    sent::SentStatement,
    trace::{Entry, Trace},
    verdict::Outcome,
};
use crate::telemetry;

/// Maximum number of recorded requests. A further one replaces the oldest.
const MAX_REQUESTS: usize = 1000;

/// The last requests, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Requests>);

#[derive(Debug, Default)]
struct Requests {
    by_id: HashMap<Arc<str>, Recorded>,
    /// The ids, oldest first.
    order: VecDeque<Arc<str>>,
}

/// The record of a request.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Recorded {
    /// Id of the request.
    pub(crate) request: String,
    /// `None` while the request runs.
    #[serde(flatten)]
    pub(crate) end: Option<RequestEnd>,
    /// Events and statements of the request.
    #[serde(flatten)]
    pub(crate) steps: Steps,
    /// Runs of actions, in order. A repeated action has several.
    pub(crate) actions: Vec<ActionRun>,
}

/// How a request ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RequestEnd {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
    /// Failure of the request, if it failed.
    pub(crate) failure: Option<String>,
}

/// A run of an action.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ActionRun {
    pub(crate) action: String,
    /// Number of the delivery.
    pub(crate) attempt: u32,
    pub(crate) outcome: &'static str,
    pub(crate) failure: Option<String>,
    #[serde(flatten)]
    pub(crate) steps: Steps,
}

/// Events and statements of a request or of an action, and the reason of its rollback.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Steps {
    /// Reason of a rollback that the host decided.
    rolled_back_because: Option<String>,
    events: Vec<EventRecord>,
    statements: Vec<SentStatement>,
}

#[derive(Debug, Clone, Serialize)]
struct EventRecord {
    event: &'static str,
    /// Component, action or outbound request of the event.
    of: Option<String>,
    at_us: u64,
    took_us: u64,
}

impl Recorder {
    /// Records the end of a request.
    pub(crate) fn request(&self, id: &Arc<str>, end: RequestEnd, trace: &Trace) {
        self.change(id, |recorded| (recorded.end, recorded.steps) = (Some(end), Steps::of(trace)));
    }

    /// Records a run of an action that the request with this id registered.
    pub(crate) fn action(&self, id: &Arc<str>, run: ActionRun) {
        self.change(id, |recorded| recorded.actions.push(run));
    }

    /// Returns the record of a request.
    pub(crate) fn get(&self, id: &str) -> Option<Recorded> {
        self.lock().by_id.get(id).cloned()
    }

    fn change(&self, id: &Arc<str>, change: impl FnOnce(&mut Recorded)) {
        let requests = &mut *self.lock();
        if !requests.by_id.contains_key(id) {
            requests.order.push_back(id.clone());
            if requests.order.len() > MAX_REQUESTS
                && let Some(oldest) = requests.order.pop_front()
            {
                requests.by_id.remove(&oldest);
            }
        }
        let new = || Recorded { request: id.to_string(), ..Recorded::default() };
        change(requests.by_id.entry(id.clone()).or_insert_with(new));
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            Some(RequestEnd { method, path, status, outcome, failure }) => {
                write!(f, "{method} {path}: {status}, {outcome}")?;
                write_failure(f, failure.as_deref())?;
            }
            None => f.write_str("a request that has not ended")?,
        }
        writeln!(f, " (request {})", self.request)?;
        self.steps.fmt(f)?;
        for ActionRun { action, attempt, outcome, failure, steps } in &self.actions {
            write!(f, "action {action}, attempt {attempt}: {outcome}")?;
            write_failure(f, failure.as_deref())?;
            writeln!(f)?;
            steps.fmt(f)?;
        }
        Ok(())
    }
}

fn write_failure(f: &mut fmt::Formatter<'_>, failure: Option<&str>) -> fmt::Result {
    failure.map_or(Ok(()), |failure| write!(f, ": {failure}"))
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.rolled_back_because {
            writeln!(f, "  rolled back, because {reason}")?;
        }
        for EventRecord { event, of, at_us, took_us } in &self.events {
            let of = of.as_ref().map_or_else(String::new, |of| format!(" {of}"));
            writeln!(f, "  at {at_us} us: {event}{of}, {took_us} us")?;
        }
        for statement in &self.statements {
            writeln!(f, "  {statement}")?;
        }
        Ok(())
    }
}

impl Steps {
    /// Copies the events and the statements of a trace.
    pub(crate) fn of(trace: &Trace) -> Self {
        let event = |Entry { event, of, at, took }: &Entry| EventRecord {
            event: event.as_str(),
            of: of.as_ref().map(ToString::to_string),
            at_us: telemetry::micros(*at),
            took_us: telemetry::micros(*took),
        };
        Self {
            rolled_back_because: trace.details.as_ref().and_then(|details| details.rolled_back_because.clone()),
            events: trace.entries.iter().map(event).collect(),
            statements: trace.details.as_ref().map(|details| details.statements.clone()).unwrap_or_default(),
        }
    }
}

impl ActionRun {
    /// Returns the record of a run that has ended.
    pub(crate) fn new(action: &str, attempt: u32, outcome: Outcome, failure: Option<String>, trace: &Trace) -> Self {
        let (action, outcome, steps) = (action.to_owned(), outcome.as_str(), Steps::of(trace));
        Self { action, attempt, outcome, failure, steps }
    }
}
