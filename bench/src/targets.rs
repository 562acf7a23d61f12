//! The performance targets of carya, and the measured values.

use crate::{contestants::Contestant, databases::Engine, measure::Figure, results::Results, scale};

/// A row of the table of targets.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) floor: f64,
    pub(crate) goal: f64,
    /// The measured value; `None` if this run did not measure it.
    pub(crate) reached: Option<f64>,
}

impl Target {
    /// Returns whether the measured value meets a limit. A ratio must be at least the limit. A time or a size of memory
    /// must be at most the limit.
    fn meets(&self, limit: f64) -> bool {
        let higher_is_better = matches!(self.unit, "" | "x");
        // Compare the value as it is displayed, i.e. rounded.
        self.reached.is_some_and(|reached| {
            if higher_is_better { (reached * 100.0).round() >= limit * 100.0 } else { reached.round() <= limit }
        })
    }

    /// Returns the outcome in words, for a cell of the table.
    pub(crate) fn mark(&self) -> &'static str {
        match self.reached {
            None => "not measured",
            Some(_) if self.meets(self.goal) => "goal met",
            Some(_) if self.meets(self.floor) => "floor met, goal missed",
            Some(_) => "**floor missed**",
        }
    }

    /// Formats a value with its unit.
    pub(crate) fn shown(&self, value: f64) -> String {
        match self.unit {
            "" => format!("{value:.2}"),
            "x" => format!("{value:.1}x"),
            unit => format!("{value:.0} {unit}"),
        }
    }
}

/// A floor and a goal.
type Limits = (f64, f64);

/// Workloads without a database, with the floor and the goal of carya's ratio to the native program.
const WITHOUT_DATABASE: [(&str, Limits); 4] = [
    ("hello", (0.50, 0.60)),
    ("hello behind two hooks", (0.35, 0.45)),
    ("echo 1 kB of JSON", (0.55, 0.70)),
    ("echo 64 kB of JSON", (0.55, 0.70)),
];

/// Workloads with a database, with floor and goal for each engine in the order of [`Engine::ALL`]: SQLite, PostgreSQL,
/// MariaDB.
const WITH_DATABASE: [(&str, [Option<Limits>; 3]); 5] = [
    ("GET one row", [Some((0.90, 1.1)), Some((0.95, 1.1)), Some((0.95, 1.1))]),
    ("POST one row", [Some((0.85, 1.0)), Some((0.95, 1.05)), Some((0.95, 1.05))]),
    // SQLite has one writer, so its transactions do not conflict.
    ("POST with conflicts", [None, Some((0.90, 1.0)), Some((0.90, 1.0))]),
    ("GET 100 rows streamed", [Some((0.90, 1.0)), Some((1.0, 1.1)), Some((0.90, 1.0))]),
    ("GET 100 rows through the guest", [Some((0.65, 0.80)); 3]),
];

/// Returns all targets with the values that a run has measured.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    // By processor time: the measured server's core is the bottleneck, and this ratio is the steadier one.
    let to_native = |name: &str, who: Contestant, work: &str, (floor, goal): Limits| Target {
        name: format!("{name} / native, by CPU"),
        unit: "",
        floor,
        goal,
        reached: results.cpu_ratio(work, who, Contestant::Native),
    };
    let mut targets = vec![to_native("hello, reuse on", Contestant::CaryaReuse, "hello", (0.65, 0.80))];
    for (work, limits) in WITHOUT_DATABASE {
        targets.push(to_native(work, Contestant::Carya, work, limits));
    }
    for (name, limits) in WITH_DATABASE {
        for (engine, limits) in Engine::ALL.into_iter().zip(limits) {
            let work = format!("{name}, {engine}");
            targets.extend(limits.map(|limits| to_native(&work, Contestant::Carya, &work, limits)));
        }
    }
    let times = |name: &str, reached, floor, goal| Target { name: name.to_owned(), unit: "x", floor, goal, reached };
    let hello = |who, peer| results.ratio("hello", who, "hello", peer);
    let (fresh, reused) = (Contestant::Carya, Contestant::CaryaReuse);
    targets.push(times("hello / wasmtime serve as it comes", hello(fresh, Contestant::Wasmtime), 5.0, 7.0));
    targets.push(times(
        "hello, reuse on / wasmtime serve, tuned, reuse 128",
        hello(reused, Contestant::WasmtimeTuned),
        1.3,
        2.0,
    ));
    targets.push(times(
        "hello, an instance per request / wasmtime serve, tuned, reuse 128",
        hello(fresh, Contestant::WasmtimeTuned),
        1.3,
        2.0,
    ));
    targets.push(times("any work / Pecan (the smallest)", to_pecan(results), 15.0, 25.0));
    let (spread, one) = (scale::named(1000, true), scale::named(1000, false));
    targets.push(Target {
        name: "1,000 components: all asked in turn / one asked".to_owned(),
        unit: "",
        floor: 0.6,
        goal: 0.8,
        reached: results.ratio(&spread, Contestant::Carya, &one, Contestant::Carya),
    });
    let figures = [
        ("start to first answer, 10 components", "ms", 300.0, 100.0),
        ("memory of an idle host", "MB", 60.0, 30.0),
        ("memory per component, asked once", "KB", 150.0, 100.0),
        ("memory per request in flight", "KB", 80.0, 48.0),
    ];
    targets.extend(figures.map(|(name, unit, floor, goal)| {
        let reached = results.figures.iter().find(|figure| figure.name == name).map(|Figure { value, .. }| *value);
        Target { name: name.to_owned(), unit, floor, goal, reached }
    }));
    targets
}

/// Returns the smallest ratio to Pecan over all workloads that Pecan supports. Compares with the faster variant of
/// Pecan for each workload.
fn to_pecan(results: &Results) -> Option<f64> {
    let works = results.works.iter().filter_map(|work| {
        let ratios = [Contestant::PecanSync, Contestant::PecanThreads];
        let ratios = ratios.into_iter().filter_map(|pecan| results.ratio(&work.id, Contestant::Carya, &work.id, pecan));
        ratios.min_by(f64::total_cmp)
    });
    works.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        let target = |unit, floor, goal, reached| Target { name: String::new(), unit, floor, goal, reached };
        let mark = |unit, floor, goal, reached| target(unit, floor, goal, Some(reached)).mark();
        assert_eq!(mark("", 0.36, 0.5, 0.355), "floor met, goal missed");
        assert_eq!(mark("", 0.36, 0.5, 0.354), "**floor missed**");
        assert_eq!(mark("x", 3.5, 5.0, 5.2), "goal met");
        assert_eq!(mark("ms", 300.0, 100.0, 99.0), "goal met");
        assert_eq!(mark("ms", 300.0, 100.0, 301.0), "**floor missed**");
        assert_eq!(target("", 1.0, 2.0, None).mark(), "not measured");
    }
}
