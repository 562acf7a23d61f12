//! Benchmark: compares carya with other servers that support the same workloads, in interleaved rounds on one machine.
//!
//! The measured server has core 0 to itself; this program, `wrk` and the database servers use core 1. A ratio
//! between two servers is calculated for each round, and the result is the median over the rounds, because the speed of
//! a machine varies from minute to minute. The benchmark fails if a response is wrong or failed, or if the rows in the
//! database do not match the acknowledged writes. It writes the results to `target/bench`, and those of a
//! partial run to `target/bench/part`.

mod chart;
mod client;
mod contestants;
mod databases;
mod edits;
mod error;
mod languages;
mod measure;
mod neighbours;
mod process;
mod progress;
mod report;
mod results;
mod rounds;
mod scale;
mod switches;
mod targets;
mod work;
mod wrk;

use std::{path::Path, process::ExitCode, time::Instant};

use clap::Parser;

use crate::{
    contestants::{Contestant, Places},
    databases::{Databases, Engine},
    error::Result,
    progress::Progress,
    results::Results,
    rounds::Course,
};

/// Compares carya with other servers, round by round.
#[derive(Debug, Parser)]
struct Options {
    /// Run only work with this text in its name, e.g. `hello`, `SQLite`, `GET one row`, `scale`, `start`, `memory`, `neighbours`,
    /// `switches`, `languages` or `edits`
    #[arg(long, env = "ONLY", default_value = "", hide_env_values = true)]
    only: String,
    /// Run short rounds, to check that everything works: the figures are meaningless
    #[arg(long)]
    quick: bool,
    /// Number of rounds of each server for each kind of work
    #[arg(long, env = "ROUNDS", default_value_t = 3)]
    rounds: usize,
    /// Length of a round, in seconds
    #[arg(long, env = "SECONDS_EACH", default_value_t = 3)]
    seconds: u64,
    /// Include `wasmtime serve`
    #[arg(long)]
    wasmtime: bool,
    /// Include Pecan under gunicorn
    #[arg(long)]
    pecan: bool,
    /// Let database servers commit without waiting for their disk
    #[arg(long)]
    no_fsync: bool,
    /// Build folder of cargo
    #[arg(long, default_value = "target")]
    target: std::path::PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all selected measurements. Returns `false` if any of them failed or received a wrong response.
async fn run(options: Options) -> Result<bool> {
    let begun = Instant::now();
    let scratch = std::path::absolute(options.target.join("bench/scratch"))?;
    std::fs::create_dir_all(&scratch)?;
    let places = Places {
        target: std::path::absolute(&options.target)?,
        sources: Path::new(env!("CARGO_MANIFEST_DIR")).to_owned(),
        scratch,
    };
    let (rounds, seconds) = if options.quick { (1, 1) } else { (options.rounds, options.seconds) };
    // A partial run must not overwrite the results of a full run.
    let folder = if options.quick || !options.only.is_empty() { "bench/part" } else { "bench" };
    let mut results = Results::new(&options.target.join(folder), &options.only, (rounds, seconds), !options.no_fsync);
    let contestants = contestants(&options, &places, &mut results).await?;
    let asked = |name: &str| name.to_lowercase().contains(&options.only.to_lowercase());
    let works: Vec<_> = work::all().into_iter().filter(|work| asked(&work.id())).collect();
    let part_is_asked = |part: &scale::Part| asked(part.name()) && (!options.only.is_empty() || part.is_in_full_run());
    let scales: Vec<_> = scale::Part::ALL.into_iter().filter(part_is_asked).collect();
    let mut course = Course { places: &places, rounds, seconds, progress: Progress::default() };
    course.plan(&works, &contestants);
    for part in &scales {
        course.progress.plan(part.seconds(&course));
    }

    for engine in [None].into_iter().chain(Engine::ALL.map(Some)) {
        let works: Vec<_> = works.iter().filter(|work| work.engine == engine).collect();
        if works.is_empty() {
            continue;
        }
        let databases = match engine {
            None => None,
            Some(engine) => match Databases::start(engine, &places.scratch, !options.no_fsync).await? {
                None => {
                    results.note(format!("{engine} is not installed: run `make servers`"));
                    continue;
                }
                databases => databases,
            },
        };
        for work in works {
            match course.run(work, &contestants, databases.as_ref()).await {
                Ok(series) => results.add(work, series),
                Err(error) => results.fail(format!("{}: {error}", work.id())),
            }
            report::write(&results)?;
        }
    }
    for part in scales {
        match scale::run(part, &mut course).await {
            Ok(figures) => results.scale(figures),
            Err(error) => results.fail(format!("{}: {error}", part.name())),
        }
        report::write(&results)?;
    }
    results.took(begun.elapsed());
    report::write(&results)?;
    report::print(&results)?;
    Ok(results.is_good())
}

/// Returns the servers to compare. Adds a note to the results for a server that cannot take part.
async fn contestants(options: &Options, places: &Places, results: &mut Results) -> Result<Vec<Contestant>> {
    let mut all = vec![Contestant::Native, Contestant::Carya];
    match contestants::knows_reuse(places).await? {
        true => all.push(Contestant::CaryaReuse),
        false => results.note("carya with `reuse` is left out: this version does not support `reuse`".to_owned()),
    }
    if options.wasmtime {
        all.extend([Contestant::Wasmtime, Contestant::WasmtimeTuned]);
    }
    if options.pecan {
        all.extend([Contestant::PecanSync, Contestant::PecanThreads]);
    }
    Ok(all)
}
