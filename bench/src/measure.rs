//! Figures: of one run, of several, and how they compare. Knows nothing of where they come from.

use serde::Serialize;

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measure {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// What came over the wire, for each answer.
    pub(crate) bytes_each: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// The server's processor time for each request. A database server's own is not in it.
    pub(crate) cpu_us: f64,
    /// Of the server, late in the run.
    pub(crate) memory_kb: u64,
}

/// One server at one work.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) work: String,
    pub(crate) server: String,
    /// One for each round, in order: those of different servers in the same round were taken one after the other.
    pub(crate) rounds: Vec<Measure>,
}

impl Series {
    /// The median of something over the rounds.
    pub(crate) fn median(&self, of: impl Fn(&Measure) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    /// The median of the ratios round by round, in requests per second.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        by_round(&self.rounds, &other.rounds, |own, other| own.per_second / other.per_second)
    }

    /// The same by the server's processor time for a request. It is less troubled by what else the machine does, and by
    /// how quickly the one who asks wakes up.
    pub(crate) fn cpu_ratio_to(&self, other: &Self) -> f64 {
        by_round(&self.rounds, &other.rounds, |own, other| other.cpu_us / own.cpu_us)
    }
}

/// The median of ratios round by round.
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
        // A machine that is twice as fast in the second round makes no difference.
        assert_eq!(series(&[50.0, 100.0, 70.0]).ratio_to(&series(&[100.0, 200.0, 100.0])), 0.5);
    }
}
