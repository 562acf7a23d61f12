//! Metrics of the host. Functions that any module may call count events; the ones that run for each request only add to
//! fixed atomic counters, without locks and allocations. `metrics/text.rs` encodes the metrics.

mod outbox;
mod streams;
mod text;

use std::{
    array,
    fmt::{self, Debug},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) use outbox::{Delivered, OutboxTally};
pub(crate) use streams::StreamCounts;
pub(crate) use text::{CONTENT_TYPE, Load, text};

/// Classes of HTTP statuses by which responses are counted.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// Outcomes of requests, by their names in the log.
const OUTCOMES: [&str; 5] = ["nothing", "committed", "rolled back", "in doubt", REFUSED];
const REFUSED: &str = "refused";
/// Ends of outbound requests: classes of statuses, then the other variants of `OutboundEnd`.
const OUTBOUND_ENDS: [&str; 7] = ["2xx", "3xx", "4xx", "5xx", "failed", "refused", "cancelled"];
/// Upper bounds of the buckets of the request duration histogram, in microseconds.
const BOUNDS: [u64; 16] = [
    250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];

static REQUESTS: [[AtomicU64; OUTCOMES.len()]; CLASSES.len()] =
    [const { [const { AtomicU64::new(0) }; OUTCOMES.len()] }; CLASSES.len()];
/// Number of requests in each bucket. The last bucket has no upper bound.
static TIMES: [AtomicU64; BOUNDS.len() + 1] = [const { AtomicU64::new(0) }; BOUNDS.len() + 1];
static MICROSECONDS: AtomicU64 = AtomicU64::new(0);
static RETRIES: AtomicU64 = AtomicU64::new(0);
static CONFLICTS: AtomicU64 = AtomicU64::new(0);
static STATEMENTS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Outbound requests, by their ends in `OUTBOUND_ENDS`.
static OUTBOUND: [AtomicU64; OUTBOUND_ENDS.len()] = [const { AtomicU64::new(0) }; OUTBOUND_ENDS.len()];
static OUTBOUND_MICROSECONDS: AtomicU64 = AtomicU64::new(0);
static EXCEEDED: [AtomicU64; Limit::ALL.len()] = [const { AtomicU64::new(0) }; Limit::ALL.len()];
static IN_DOUBT: [AtomicU64; Resolution::ALL.len()] = [const { AtomicU64::new(0) }; Resolution::ALL.len()];
static GENERATIONS: AtomicU64 = AtomicU64::new(0);
/// Id of the served generation. Swaps of the generation and [`text()`] lock it.
static SERVED: Mutex<String> = Mutex::new(String::new());
/// Counters of the open databases. Opening a database and [`text()`] lock them.
static TALLIES: Mutex<Vec<Weak<Tally>>> = Mutex::new(Vec::new());

/// Counts a request that ran, by its status, the name of its outcome in the log, and its duration.
pub(crate) fn request(status: u16, outcome: &str, elapsed: Duration) {
    count_request(status, outcome);
    let us = super::micros(elapsed);
    add(&TIMES[BOUNDS.partition_point(|bound| *bound < us)]);
    MICROSECONDS.fetch_add(us, Relaxed);
}

/// Counts a request that the host rejected without running it.
pub(crate) fn refused(status: u16) {
    count_request(status, REFUSED);
}

fn count_request(status: u16, outcome: &str) {
    let class = usize::from(status / 100).wrapping_sub(2);
    let outcome = OUTCOMES.iter().position(|word| *word == outcome);
    if let (Some(row), Some(outcome)) = (REQUESTS.get(class), outcome) {
        add(&row[outcome]);
    }
}

/// Counts a rerun of a request.
pub(crate) fn retry() {
    add(&RETRIES);
}

/// Counts a statement or commit that met a conflict with another transaction.
pub(crate) fn conflict() {
    add(&CONFLICTS);
}

/// Counts a statement of a guest, by whether its transaction may write.
pub(crate) fn statement(may_write: bool) {
    add(&STATEMENTS[usize::from(may_write)]);
}

/// Counts an outbound request, with the time until its end.
pub(crate) fn outbound(end: OutboundEnd, elapsed: Duration) {
    let index = match end {
        OutboundEnd::Response(status) => usize::from(status / 100).clamp(2, 5) - 2,
        OutboundEnd::Failed => 4,
        OutboundEnd::Refused => 5,
        OutboundEnd::Cancelled => 6,
    };
    add(&OUTBOUND[index]);
    OUTBOUND_MICROSECONDS.fetch_add(super::micros(elapsed), Relaxed);
}

/// Counts a request or a connection that exceeds a limit of clients.
pub(crate) fn exceeded(limit: Limit) {
    add(&EXCEEDED[limit as usize]);
}

/// Sets the id of the generation that is served.
pub(crate) fn serving(generation: &str) {
    generation.clone_into(&mut SERVED.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Counts a commit that was not confirmed, by the outcome that the host found.
pub(crate) fn in_doubt(resolution: Resolution) {
    add(&IN_DOUBT[resolution as usize]);
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

/// Limit of the requests and connections of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A `[[rate_limit]]`.
    Rate,
    /// `server.connections_per_address`
    Connections,
    /// `server.requests_per_address`
    Requests,
    /// `server.max_target`
    Target,
    /// `server.http2_max_streams`
    Streams,
    /// `server.max_body`
    Body,
    /// `server.max_receiving`
    Receiving,
    /// `server.body_timeout` or `server.request_timeout`, while a body arrives
    BodyTime,
}

impl Limit {
    const ALL: [Self; 8] = [
        Self::Rate,
        Self::Connections,
        Self::Requests,
        Self::Target,
        Self::Streams,
        Self::Body,
        Self::Receiving,
        Self::BodyTime,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate_limit",
            Self::Connections => "connections_per_address",
            Self::Requests => "requests_per_address",
            Self::Target => "max_target",
            Self::Streams => "http2_max_streams",
            Self::Body => "max_body",
            Self::Receiving => "max_receiving",
            Self::BodyTime => "body_timeout",
        }
    }
}

/// End of an outbound request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutboundEnd {
    /// The head of a response with this status arrived.
    Response(u16),
    /// The request failed.
    Failed,
    /// The host refused to send the request.
    Refused,
    /// The guest no longer waits for the request.
    Cancelled,
}

/// Outcome of a commit that was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The server has committed the transaction.
    Committed,
    /// The server has rolled the transaction back.
    RolledBack,
    /// The outcome could not be found.
    Unknown,
}

impl Resolution {
    const ALL: [Self; 3] = [Self::Committed, Self::RolledBack, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled back",
            Self::Unknown => "unknown",
        }
    }
}

/// Server on which a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The primary server, or the only one.
    Primary,
    /// A replica of the primary.
    Replica,
}

impl Target {
    const ALL: [Self; 2] = [Self::Primary, Self::Replica];

    fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// Guard that counts a generation until the guard is dropped.
#[derive(Debug)]
pub struct Counted(());

impl Default for Counted {
    fn default() -> Self {
        add(&GENERATIONS);
        Self(())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        GENERATIONS.fetch_sub(1, Relaxed);
    }
}

/// The connections of a pool at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Connections lent to a borrower.
    pub used: usize,
    /// Open connections that are not lent.
    pub idle: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// Statements that the host abandoned and the database server has not ended.
    pub runaway: usize,
}

/// Counters of one database. The metrics contain them until this value is dropped.
pub(crate) struct Tally {
    name: String,
    begun: [AtomicU64; Target::ALL.len()],
    pools: Mutex<Vec<Pool>>,
    pub(crate) streams: StreamCounts,
}

struct Pool {
    name: String,
    look: Box<dyn Fn() -> Connections + Send + Sync>,
}

impl Tally {
    /// Starts counting for a database that is opened. The name of the default database is `default`.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        let begun = array::from_fn(|_| AtomicU64::new(0));
        let tally =
            Arc::new(Self { name: name.to_owned(), begun, pools: Mutex::default(), streams: StreamCounts::default() });
        let mut tallies = TALLIES.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|other| other.strong_count() > 0);
        tallies.push(Arc::downgrade(&tally));
        tally
    }

    /// Counts a transaction that begins on `target`.
    pub(crate) fn count_transaction(&self, target: Target) {
        add(&self.begun[target as usize]);
    }

    /// Adds a pool under a name such as `readers` or `replica 1`. Each call of [`text()`] calls `look` for its current
    /// numbers.
    pub(crate) fn watch(&self, pool: impl Into<String>, look: impl Fn() -> Connections + Send + Sync + 'static) {
        let pool = Pool { name: pool.into(), look: Box::new(look) };
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
    }
}

impl Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("name", &self.name).field("begun", &self.begun).finish_non_exhaustive()
    }
}

fn tallies() -> Vec<Arc<Tally>> {
    TALLIES.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The counters belong to the whole process, so other tests may add to them.
    #[test]
    fn what_is_counted_is_told() {
        request(200, "committed", Duration::from_micros(500));
        request(404, "rolled back", Duration::from_secs(60));
        refused(503);
        retry();
        conflict();
        statement(true);
        in_doubt(Resolution::Unknown);
        outbound(OutboundEnd::Response(204), Duration::from_millis(2));
        outbound(OutboundEnd::Response(999), Duration::ZERO);
        outbound(OutboundEnd::Cancelled, Duration::ZERO);
        let outbox = OutboxTally::new("re\"ports");
        outbox.count(Delivered::Failed);
        outbox.observe(4, 2, Duration::from_millis(1500));
        assert!(!text(Load::default()).contains("carya_outbox_pending{"), "nothing is known of this outbox yet");
        let shown = outbox.show();
        let tally = Tally::new("re\"ports");
        tally.count_transaction(Target::Replica);
        tally.watch("readers", || Connections { used: 2, idle: 1, waiting: 0, runaway: 3 });
        for is_complete in [true, false, false] {
            tally.streams.opened();
            tally.streams.sent(70);
            tally.streams.ended(is_complete);
        }
        tally.streams.opened();
        let scraped = text(Load::default());
        for line in [
            "carya_requests_total{status=\"2xx\",outcome=\"committed\"} ",
            "carya_requests_total{status=\"5xx\",outcome=\"refused\"} ",
            "carya_request_seconds_bucket{le=\"0.0005\"} ",
            "carya_request_seconds_bucket{le=\"+Inf\"} ",
            "carya_retries_total ",
            "carya_conflicts_total ",
            "carya_statements_total{access=\"read-write\"} ",
            "carya_outbound_requests_total{end=\"2xx\"} ",
            "carya_outbound_requests_total{end=\"cancelled\"} ",
            "carya_outbound_seconds_total ",
            "carya_in_doubt_total{resolution=\"unknown\"} ",
            "carya_begin_total{database=\"re\\\"ports\",target=\"replica\"} 1\n",
            "carya_pool_connections{database=\"re\\\"ports\",pool=\"readers\",state=\"used\"} 2\n",
            "carya_streams_open{database=\"re\\\"ports\"} 1\n",
            "carya_streams_total{database=\"re\\\"ports\",end=\"complete\"} 1\n",
            "carya_streams_total{database=\"re\\\"ports\",end=\"cut off\"} 2\n",
            "carya_streamed_bytes_total{database=\"re\\\"ports\"} 210\n",
            "carya_outbox_pending{database=\"re\\\"ports\"} 4\n",
            "carya_outbox_dead{database=\"re\\\"ports\"} 2\n",
            "carya_outbox_oldest_seconds{database=\"re\\\"ports\"} 1.5\n",
            "carya_outbox_deliveries_total{database=\"re\\\"ports\",result=\"failed\"} 1\n",
            "carya_generation_info{generation=\"",
            "carya_generations ",
            "carya_pool_waiting{database=\"re\\\"ports\",pool=\"readers\"} 0\n",
            "carya_runaway_statements{database=\"re\\\"ports\",pool=\"readers\"} 3\n",
            concat!("carya_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
        ] {
            assert!(scraped.lines().any(|sample| format!("{sample}\n").starts_with(line)), "{line}: {scraped}");
        }
        assert!(scraped.ends_with("# EOF\n"));
        drop((tally, shown));
        assert!(!text(Load::default()).contains("ports"));
    }

    #[test]
    fn a_time_counts_up_to_its_bound() {
        for (us, place) in [(0, 0), (250, 0), (251, 1), (30_000_000, 15), (30_000_001, 16)] {
            assert_eq!(BOUNDS.partition_point(|bound| *bound < us), place, "{us}");
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_no_panic() {
        request(99, "committed", Duration::ZERO);
        request(999, "lost", Duration::MAX);
    }
}
