//! Encodes the metrics in the text format of Prometheus (OpenMetrics 1.0). `metrics.rs` defines their meaning.

use std::{
    fmt::Error,
    sync::{Arc, PoisonError, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{
    BOUNDS, CLASSES, CONFLICTS, Connections, EXCEEDED, GENERATIONS, IN_DOUBT, Limit, MICROSECONDS, OUTBOUND,
    OUTBOUND_ENDS, OUTBOUND_MICROSECONDS, OUTCOMES, REQUESTS, RETRIES, Resolution, SERVED, STATEMENTS, TIMES, Tally,
    Target,
    outbox::{self, Delivered},
    streams, tallies,
};

/// Value of the `Content-Type` header for [`text()`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Requests that run and that wait.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Places for requests that are taken.
    pub(crate) taken: usize,
    /// Requests that wait for a place.
    pub(crate) waiting: usize,
}

/// Returns all metrics with their current values.
pub(crate) fn text(now: Load) -> String {
    let (mut registry, mut text) = (Registry::with_prefix("carya"), String::new());
    registry.register_collector(Box::new(Numbers(now)));
    // Writing to a `String` does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

/// Collector that reads the counters when the text is encoded.
#[derive(Debug)]
struct Numbers(Load);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let to = &mut encoder;
        to.encode_descriptor("build", "The version of the host", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let served = SERVED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        to.encode_descriptor("generation", "The served generation", None, MetricType::Info)?
            .encode_info(&[("generation", served.as_str())])?;
        let requests = CLASSES.iter().zip(&REQUESTS).flat_map(|(class, row)| {
            let series = move |(outcome, count)| ([("status", *class), ("outcome", outcome)], load(count));
            OUTCOMES.into_iter().zip(row).map(series)
        });
        counters(to, "requests", "Requests with a response", requests)?;
        times(to)?;
        counter(to, "retries", "Further attempts after a conflict", &RETRIES)?;
        counter(to, "conflicts", "Statements and commits that conflicted with another transaction", &CONFLICTS)?;
        let statements = ["read-only", "read-write"].into_iter().zip(&STATEMENTS);
        let statements = statements.map(|(access, count)| ([("access", access)], load(count)));
        counters(to, "statements", "Statements of guests", statements)?;
        let outbound = OUTBOUND_ENDS.into_iter().zip(&OUTBOUND);
        let outbound = outbound.map(|(end, count)| ([("end", end)], load(count)));
        counters(to, "outbound_requests", "HTTP requests of guests", outbound)?;
        let help = "Time until the ends of these requests";
        let mut time = to.encode_descriptor("outbound", help, Some(&Unit::Seconds), MetricType::Counter)?;
        time.encode_counter::<NoLabelSet, _, u64>(&seconds(load(&OUTBOUND_MICROSECONDS)), None)?;
        let exceeded = Limit::ALL.into_iter().zip(&EXCEEDED);
        let exceeded = exceeded.map(|(limit, count)| ([("limit", limit.as_str())], load(count)));
        counters(to, "limits_exceeded", "Requests and connections that exceeded a limit of clients", exceeded)?;
        let in_doubt = Resolution::ALL.into_iter().zip(&IN_DOUBT);
        let in_doubt = in_doubt.map(|(found, count)| ([("resolution", found.as_str())], load(count)));
        counters(to, "in_doubt", "Commits that the server did not confirm", in_doubt)?;
        let mut generations = to.encode_descriptor("generations", "Generations in memory", None, MetricType::Gauge)?;
        generations.encode_gauge(&load(&GENERATIONS))?;
        let mut taken = to.encode_descriptor("places_taken", "Places taken by requests", None, MetricType::Gauge)?;
        taken.encode_gauge(&self.0.taken)?;
        let help = "Requests that wait for a place";
        to.encode_descriptor("requests_waiting", help, None, MetricType::Gauge)?.encode_gauge(&self.0.waiting)?;
        databases(to)?;
        outboxes(to)
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Relaxed)
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: &AtomicU64) -> Result<(), Error> {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&load(count), None)
}

/// Encodes a counter with labels.
fn counters<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = ([(&'a str, &'a str); N], u64)>,
) -> Result<(), Error> {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}

/// Encodes a gauge with labels.
fn gauges<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = ([(&'a str, &'a str); N], usize)>,
) -> Result<(), Error> {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, number) in series {
        metric.encode_family(&labels)?.encode_gauge(&number)?;
    }
    Ok(())
}

fn times(to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let bounds = BOUNDS.into_iter().map(seconds).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(TIMES.iter().map(load)).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    let help = "Duration of requests that ran";
    let mut metric = to.encode_descriptor("request", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(seconds(load(&MICROSECONDS)), count, &buckets, None)
}

fn databases(to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let tallies = tallies();
    let begun = tallies.iter().flat_map(|tally| {
        let series = |(target, count): (Target, _)| {
            ([("database", tally.name.as_str()), ("target", target.as_str())], load(count))
        };
        Target::ALL.into_iter().zip(&tally.begun).map(series)
    });
    counters(to, "begin", "Transactions that began", begun)?;
    let pools: Vec<_> = tallies
        .iter()
        .flat_map(|tally| {
            let pools = tally.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.iter().map(|pool| (tally.name.as_str(), pool.name.clone(), (pool.look)())).collect::<Vec<_>>()
        })
        .collect();
    let connections = pools.iter().flat_map(|(database, pool, found)| {
        let labels = |state| [("database", *database), ("pool", pool.as_str()), ("state", state)];
        [(labels("used"), found.used), (labels("idle"), found.idle)]
    });
    gauges(to, "pool_connections", "Connections that are open", connections)?;
    let by_pool = |number: fn(&Connections) -> usize| {
        let series = pools.iter();
        series.map(move |(database, pool, found)| ([("database", *database), ("pool", pool.as_str())], number(found)))
    };
    gauges(to, "pool_waiting", "Requests that wait for a connection", by_pool(|found| found.waiting))?;
    let help = "Statements that ran out of time and that the database server has not ended";
    gauges(to, "runaway_statements", help, by_pool(|found| found.runaway))?;
    streams(to, &tallies)
}

fn streams(to: &mut DescriptorEncoder<'_>, tallies: &[Arc<Tally>]) -> Result<(), Error> {
    let open = tallies.iter().map(|tally| ([("database", tally.name.as_str())], load(&tally.streams.open)));
    gauges(
        to,
        "streams_open",
        "Streams of rows that have not ended",
        open.map(|(labels, open)| (labels, open as usize)),
    )?;
    let ended = tallies.iter().flat_map(|tally| {
        let series = |(end, count)| ([("database", tally.name.as_str()), ("end", end)], load(count));
        streams::ENDS.into_iter().zip(&tally.streams.ended).map(series)
    });
    counters(to, "streams", "Streams of rows that have ended", ended)?;
    let mut bytes =
        to.encode_descriptor("streamed", "Length of streamed rows", Some(&Unit::Bytes), MetricType::Counter)?;
    for tally in tallies {
        let labels = [("database", tally.name.as_str())];
        bytes.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&load(&tally.streams.bytes), None)?;
    }
    Ok(())
}

fn outboxes(to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let shown = outbox::shown();
    let deliveries = shown.iter().flat_map(|tally| {
        let series = |(end, count): (Delivered, _)| {
            ([("database", tally.database.as_str()), ("result", end.as_str())], load(count))
        };
        Delivered::ALL.into_iter().zip(&tally.deliveries).map(series)
    });
    counters(to, "outbox_deliveries", "Deliveries of at-least-once actions", deliveries)?;
    let size = |number: i64| usize::try_from(number).unwrap_or_default();
    let pending =
        shown.iter().map(|tally| ([("database", tally.database.as_str())], size(tally.pending.load(Relaxed))));
    gauges(to, "outbox_pending", "At-least-once actions that will be delivered", pending)?;
    let dead = shown.iter().map(|tally| ([("database", tally.database.as_str())], size(tally.dead.load(Relaxed))));
    gauges(to, "outbox_dead", "At-least-once actions that failed too often", dead)?;
    let help = "Time since the oldest pending at-least-once action was registered";
    let mut oldest = to.encode_descriptor("outbox_oldest", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for tally in &shown {
        let age = Duration::from_millis(tally.oldest.load(Relaxed)).as_secs_f64();
        oldest.encode_family(&[("database", tally.database.as_str())])?.encode_gauge(&age)?;
    }
    Ok(())
}
