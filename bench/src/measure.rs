//! Figures of one run and of several runs, and ratios between them. This module does not measure the figures.

use serde::Serialize;

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measure {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// Bytes received per response.
    pub(crate) bytes_each: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Processor time of the server per request, in microseconds. Excludes the database server.
    pub(crate) cpu_us: f64,
    /// Resident memory of the server after 70 % of the run, in KiB.
    pub(crate) memory_kb: u64,
}

/// Figures of one workload on one server: a [`Measure`] for each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) work: String,
    pub(crate) server: String,
    /// One measure for each round, in order. In each round the servers are measured one after the other.
    pub(crate) rounds: Vec<Measure>,
}

impl Series {
    /// Returns the median of a figure over the rounds.
    pub(crate) fn median(&self, of: impl Fn(&Measure) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    /// Returns the ratio of requests per second to those of another series: the median over the rounds.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        by_round(&self.rounds, &other.rounds, |own, other| own.per_second / other.per_second)
    }

    /// Returns the ratio of requests per second of processor time to those of another series: the median over the
    /// rounds. Unlike [`Series::ratio_to`], this ratio hardly depends on other processes of the machine, or on how
    /// quickly the scheduler wakes up the client.
    pub(crate) fn cpu_ratio_to(&self, other: &Self) -> f64 {
        by_round(&self.rounds, &other.rounds, |own, other| other.cpu_us / own.cpu_us)
    }
}

/// Returns the median of a ratio over the rounds.
fn by_round(ones: &[Measure], others: &[Measure], ratio: impl Fn(&Measure, &Measure) -> f64) -> f64 {
    median(ones.iter().zip(others).map(|(one, other)| ratio(one, other)).collect())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rates: &[f64]) -> Series {
        let round = |rate: &f64| Measure {
            requests: 1,
            per_second: *rate,
            bytes_each: 1.0,
            p50_us: 1,
            p99_us: 1,
            cpu_us: 1.0,
            memory_kb: 1,
        };
        Series { work: String::new(), server: String::new(), rounds: rates.iter().map(round).collect() }
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // A machine that is twice as fast in the second round does not change the ratio.
        assert_eq!(series(&[50.0, 100.0, 70.0]).ratio_to(&series(&[100.0, 200.0, 100.0])), 0.5);
    }
}

/// A figure that is not part of a series, e.g. the memory of an idle host.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit }
    }
}

/// Results that one part of the benchmark has measured.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) series: Vec<Series>,
    pub(crate) figures: Vec<Figure>,
}
