//! Results of a run: workloads, figures, notes and failures.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    contestants::Contestant,
    measure::{Figure, Found, Series},
    work::Work,
};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    /// Id of the workload, the same as in [`Series::work`].
    pub(crate) id: String,
    pub(crate) name: String,
    /// Name of the database's engine. Empty if the workload uses no database.
    pub(crate) engine: String,
    pub(crate) connections: u32,
}

/// All results so far.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Value of `--only`. Empty if the run measures all workloads.
    pub(crate) only: String,
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) fsync: bool,
    pub(crate) minutes: f64,
    pub(crate) works: Vec<Measured>,
    pub(crate) series: Vec<Series>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) notes: Vec<String>,
    pub(crate) failures: Vec<String>,
}

impl Results {
    /// Creates empty results. [`report::write`](crate::report::write) writes the files to `folder`.
    pub(crate) fn new(folder: &Path, only: &str, (rounds, seconds): (usize, u64), fsync: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            only: only.to_owned(),
            machine: machine(),
            rounds,
            seconds,
            fsync,
            minutes: 0.0,
            works: Vec::new(),
            series: Vec::new(),
            figures: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, work: &Work, series: Vec<Series>) {
        let engine = work.engine.map(|engine| engine.to_string()).unwrap_or_default();
        let (id, name, connections) = (work.id(), work.name.clone(), work.connections);
        self.works.push(Measured { id, name, engine, connections });
        self.series.extend(series);
    }

    pub(crate) fn scale(&mut self, found: Found) {
        self.series.extend(found.series);
        self.figures.extend(found.figures);
    }

    pub(crate) fn note(&mut self, note: String) {
        eprintln!("bench: {note}");
        self.notes.push(note);
    }

    pub(crate) fn fail(&mut self, failure: String) {
        eprintln!("\nbench: FAILED: {failure}\n");
        self.failures.push(failure);
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.minutes = time.as_secs_f64() / 60.0;
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn find(&self, work: &str, server: Contestant) -> Option<&Series> {
        self.find_server(work, &server.to_string())
    }

    /// Returns the series of a server with this name.
    pub(crate) fn find_server(&self, work: &str, server: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.work == work && series.server == server)
    }

    /// Returns the ratio in requests per second of `work` on `server` to the workload `other` on the server `peer`.
    pub(crate) fn ratio(&self, work: &str, server: Contestant, other: &str, peer: Contestant) -> Option<f64> {
        Some(self.find(work, server)?.ratio_to(self.find(other, peer)?))
    }

    /// Returns the ratio of `server` to `peer` for a workload, in requests per second of processor time.
    pub(crate) fn cpu_ratio(&self, work: &str, server: Contestant, peer: Contestant) -> Option<f64> {
        Some(self.find(work, server)?.cpu_ratio_to(self.find(work, peer)?))
    }
}

/// Describes the processor, the number of cores and the kernel.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {count} cores, Linux {}", kernel.trim())
}
