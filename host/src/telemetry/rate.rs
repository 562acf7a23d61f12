//! Limits how many bytes each source may log per second, so that neither guests nor a storm of failing requests fill a
//! disk. The records beyond the limit are counted, and [`report`] logs the counts.

use std::{
    fmt::{self, Debug, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{FRAME, GUEST, LOG, SQL};

const SECOND: Duration = Duration::from_secs(1);

static SOURCES: Mutex<Sources> = Mutex::new(Sources { since: None, all: Vec::new(), has_reporter: false });

/// Layer that drops the records of a source beyond a number of bytes per second.
pub(super) struct Limiter(pub(super) usize);

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let kind = event.metadata();
        if !is_limited(kind) {
            return true;
        }
        let mut texts = Texts { component: String::new(), bytes: FRAME };
        event.record(&mut texts);
        let mut sources = sources();
        let is_admitted = sources.admit(kind, texts, Instant::now(), self.0);
        if !is_admitted && !sources.has_reporter {
            // A thread, because records also come from threads outside the runtime.
            let report_later = || {
                thread::sleep(SECOND);
                report();
            };
            sources.has_reporter = thread::Builder::new().name("carya-log".to_owned()).spawn(report_later).is_ok();
        }
        is_admitted
    }
}

/// Logs how many records were dropped since the last report.
pub(crate) fn report() {
    // The records of the report lock the sources too.
    let dropped = sources().take_dropped();
    for Dropped { kind, component, records, bytes } in dropped {
        tracing::warn!(
            target: LOG,
            of = kind.target(),
            line = kind.line(),
            component,
            records,
            bytes,
            "records were dropped: log.max_per_second"
        );
    }
}

/// Returns whether a kind of record is limited: guests and clients can cause any number of these records.
fn is_limited(kind: &Metadata<'_>) -> bool {
    match kind.target() {
        GUEST | SQL => true,
        // Reports.
        LOG => false,
        _ => *kind.level() <= Level::WARN,
    }
}

/// The sources that have logged something.
struct Sources {
    /// Beginning of the current second.
    since: Option<Instant>,
    all: Vec<Source>,
    /// Whether a thread is about to report the dropped records.
    has_reporter: bool,
}

/// The guests of one component, or one kind of record of the host, about one component if the record names one.
struct Source {
    kind: &'static Metadata<'static>,
    component: String,
    /// Bytes logged in the current second.
    logged: usize,
    /// Records and bytes dropped since the last report.
    dropped: (usize, usize),
}

/// Records of one source that were dropped.
#[derive(Debug)]
struct Dropped {
    kind: &'static Metadata<'static>,
    /// `None` if the records name no component.
    component: Option<String>,
    records: usize,
    bytes: usize,
}

fn sources() -> MutexGuard<'static, Sources> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sources {
    /// Returns whether a record may be logged, and counts it. The last record of a second may exceed the limit, so that
    /// a single long record is logged.
    fn admit(&mut self, kind: &'static Metadata<'static>, texts: Texts, now: Instant, max: usize) -> bool {
        if self.since.is_none_or(|since| now - since >= SECOND) {
            self.since = Some(now);
            self.all.iter_mut().for_each(|source| source.logged = 0);
        }
        let Texts { component, bytes } = texts;
        let index = self.all.iter().position(|source| source.is_of(kind, &component)).unwrap_or_else(|| {
            self.all.push(Source { kind, component, logged: 0, dropped: (0, 0) });
            self.all.len() - 1
        });
        let source = &mut self.all[index];
        if source.logged < max {
            source.logged += bytes;
            return true;
        }
        source.dropped.0 += 1;
        source.dropped.1 += bytes;
        false
    }

    fn take_dropped(&mut self) -> Vec<Dropped> {
        self.has_reporter = false;
        let dropped = self.all.iter_mut().filter(|source| source.dropped.0 > 0).map(|source| {
            let (records, bytes) = std::mem::take(&mut source.dropped);
            let component = Some(source.component.clone()).filter(|name| !name.is_empty());
            Dropped { kind: source.kind, component, records, bytes }
        });
        dropped.collect()
    }
}

impl Source {
    /// Returns whether a record is of this source. All records of a component's guests are of one source.
    fn is_of(&self, kind: &Metadata<'_>, component: &str) -> bool {
        let is_of_guest = self.kind.target() == GUEST && kind.target() == GUEST;
        (is_of_guest || self.kind.callsite() == kind.callsite()) && self.component == component
    }
}

/// The component that a record names, and the length of the record's texts.
struct Texts {
    component: String,
    bytes: usize,
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.bytes += value.len();
        if field.name() == "component" {
            value.clone_into(&mut self.component);
        }
    }

    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let _ = write!(Length(&mut self.bytes), "{value:?}");
    }
}

/// Adds up the length of the written texts.
struct Length<'a>(&'a mut usize);

impl Write for Length<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Layer that collects the kinds of records, and the components that they name.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<(&'static Metadata<'static>, String)>>>);

    impl Seen {
        fn take(&self) -> Vec<(&'static Metadata<'static>, String)> {
            std::mem::take(&mut self.0.lock().expect("no test panics here"))
        }
    }

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut texts = Texts { component: String::new(), bytes: 0 };
            event.record(&mut texts);
            self.0.lock().expect("no test panics here").push((event.metadata(), texts.component));
        }
    }

    #[test]
    fn each_source_has_a_limit_of_its_own() {
        let seen = Seen::default();
        // Each record counts with more than 100 bytes, so the third one exceeds the limit.
        let log = tracing_subscriber::registry().with(Limiter(2 * FRAME)).with(seen.clone());
        tracing::subscriber::with_default(log, || {
            for component in ["one", "two"] {
                for _ in 0..5 {
                    tracing::info!(target: GUEST, component, "a message");
                    tracing::error!(target: GUEST, component, stream = "stderr", "also of this guest");
                    tracing::warn!(component, "one kind of record");
                    tracing::error!(component, "another kind");
                    tracing::info!(component, "not limited");
                }
            }
        });
        let seen = seen.take();
        for component in ["one", "two"] {
            let count = seen.iter().filter(|(_, seen)| seen == component).count();
            assert_eq!(count, 2 + 2 + 2 + 5, "{component}");
        }
    }

    #[test]
    fn a_second_begins_again_and_keeps_the_counts() {
        let mut sources = Sources { since: None, all: Vec::new(), has_reporter: false };
        let seen = Seen::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(seen.clone()), || tracing::warn!("a"));
        let kind = seen.take()[0].0;
        let begun = Instant::now();
        let mut admit = |millis, bytes| {
            let texts = Texts { component: String::new(), bytes };
            sources.admit(kind, texts, begun + Duration::from_millis(millis), 100)
        };
        let table = [(0, 60, true), (1, 60, true), (2, 1, false), (999, 1, false), (1000, 500, true), (1001, 7, false)];
        for (millis, bytes, expected) in table {
            assert_eq!(admit(millis, bytes), expected, "{millis} ms");
        }
        let dropped: Vec<_> = sources.take_dropped().into_iter().map(|one| (one.records, one.bytes)).collect();
        assert_eq!(dropped, [(3, 9)]);
        assert!(sources.take_dropped().is_empty());
    }
}
