//! Writes the results: a table in Markdown, JSON for programs, and a chart.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    Result, chart,
    contestants::Contestant,
    measure::{Measure, Series},
    scale::Found,
    targets,
    work::Work,
};

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

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    /// The same as [`Series::work`].
    pub(crate) id: String,
    pub(crate) name: String,
    /// Name of the database's engine; empty without a database.
    pub(crate) engine: String,
    pub(crate) connections: u32,
}

/// All results so far.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    #[serde(skip)]
    folder: PathBuf,
    /// The selected part of the benchmark; empty for all.
    only: String,
    machine: String,
    rounds: usize,
    seconds: u64,
    fsync: bool,
    minutes: f64,
    pub(crate) works: Vec<Measured>,
    pub(crate) series: Vec<Series>,
    pub(crate) figures: Vec<Figure>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Results {
    /// Creates empty results. [`Results::write`] writes the files to `folder`.
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
        self.series.iter().find(|series| series.work == work && series.server == server.to_string())
    }

    /// Returns the ratio in requests per second between one server at one work and another server at another work.
    pub(crate) fn ratio(&self, work: &str, server: Contestant, other: &str, peer: Contestant) -> Option<f64> {
        Some(self.find(work, server)?.ratio_to(self.find(other, peer)?))
    }

    /// Writes all files.
    pub(crate) fn write(&self) -> Result {
        std::fs::create_dir_all(&self.folder)?;
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(flatten)]
            results: &'a Results,
            targets: Vec<targets::Target>,
        }
        let written = Written { results: self, targets: targets::all(self) };
        std::fs::write(self.folder.join("results.json"), serde_json::to_string_pretty(&written)?)?;
        std::fs::write(self.folder.join("results.md"), self.markdown())?;
        std::fs::write(self.folder.join("chart.svg"), chart::draw(self))?;
        Ok(())
    }

    /// Prints the table and the path of the folder.
    pub(crate) fn print(&self) -> Result {
        println!("\n{}", self.markdown());
        println!("In {}: results.md, results.json, chart.svg", std::path::absolute(&self.folder)?.display());
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_markdown(&mut text);
        text
    }

    fn write_markdown(&self, text: &mut String) -> std::fmt::Result {
        let Self { machine, rounds, seconds, minutes, .. } = self;
        let fsync = if self.fsync { "wait for their disk" } else { "do not wait for their disk" };
        writeln!(
            text,
            "{machine}; {rounds} interleaved rounds of {seconds} s, {minutes:.0} minutes in all; database servers {fsync}.\n"
        )?;
        for failure in &self.failures {
            writeln!(text, "**FAILED: {}**\n", failure.lines().next().unwrap_or_default())?;
        }
        for note in &self.notes {
            writeln!(text, "Note: {note}\n")?;
        }
        // A full run also lists the targets that were not measured.
        let shown = |target: &targets::Target| target.reached.is_some() || self.only.is_empty();
        let targets: Vec<_> = targets::all(self).into_iter().filter(shown).collect();
        if !targets.is_empty() {
            writeln!(text, "| target | reached | floor | goal | |\n|---|---:|---:|---:|---|")?;
        }
        for target in targets {
            let reached = target.reached.map_or_else(|| "-".to_owned(), |reached| target.shown(reached));
            let (floor, goal) = (target.shown(target.floor), target.shown(target.goal));
            writeln!(text, "| {} | {reached} | {floor} | {goal} | {} |", target.name, target.mark())?;
        }
        writeln!(text, "\n| work | server | requests/s | to native | by CPU | p50 ms | p99 ms | CPU µs | memory MB |")?;
        writeln!(text, "|---|---|---:|---:|---:|---:|---:|---:|---:|")?;
        for series in &self.series {
            let native = self.find(&series.work, Contestant::Native);
            let ratio = |of: fn(&Series, &Series) -> f64| {
                native.map_or_else(|| "-".to_owned(), |native| format!("{:.3}", of(series, native)))
            };
            let (rate, cpu) = (ratio(Series::ratio_to), ratio(Series::cpu_ratio_to));
            let ms = |of: fn(&Measure) -> u64| series.median(|measure| of(measure) as f64) / 1e3;
            let connections = self.works.iter().find(|work| work.id == series.work).map_or(0, |work| work.connections);
            let work = match connections {
                0 | crate::work::CONNECTIONS => series.work.clone(),
                _ if series.work.contains("connection") => series.work.clone(),
                connections => format!("{} ({connections} connections)", series.work),
            };
            writeln!(
                text,
                "| {work} | {} | {:.0} | {rate} | {cpu} | {:.2} | {:.2} | {:.0} | {:.0} |",
                series.server,
                series.median(|measure| measure.per_second),
                ms(|measure| measure.p50_us),
                ms(|measure| measure.p99_us),
                series.median(|measure| measure.cpu_us),
                series.median(|measure| measure.memory_kb as f64) / 1024.0,
            )?;
        }
        if !self.figures.is_empty() {
            writeln!(text, "\n| | |\n|---|---:|")?;
        }
        for Figure { name, value, unit } in &self.figures {
            writeln!(text, "| {name} | {value:.1} {unit} |")?;
        }
        Ok(())
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
