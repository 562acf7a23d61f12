//! Writes the results: a table in Markdown, JSON for programs, and a chart.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    chart,
    contestants::Contestant,
    error::Result,
    languages,
    measure::{Figure, Measure, Series},
    results::Results,
    targets,
};

/// Writes all files.
pub(crate) fn write(results: &Results) -> Result {
    std::fs::create_dir_all(&results.folder)?;
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        results: &'a Results,
        targets: Vec<targets::Target>,
    }
    let written = Written { results, targets: targets::all(results) };
    std::fs::write(results.folder.join("results.json"), serde_json::to_string_pretty(&written)?)?;
    std::fs::write(results.folder.join("results.md"), markdown(results))?;
    std::fs::write(results.folder.join("chart.svg"), chart::draw(results))?;
    Ok(())
}

/// Prints the table and the path of the folder.
pub(crate) fn print(results: &Results) -> Result {
    println!("\n{}", markdown(results));
    println!("In {}: results.md, results.json, chart.svg", std::path::absolute(&results.folder)?.display());
    Ok(())
}

fn markdown(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_markdown(results, &mut text);
    text
}

/// Writes a table of the part `languages`, with a row for each language and a column for each way to make instances.
fn write_languages(results: &Results, text: &mut String) -> std::fmt::Result {
    let Some(native) = results.find(languages::WORK, Contestant::Native) else { return Ok(()) };
    let row = |name: &str, servers: [Option<String>; 3]| {
        let found = servers.map(|server| results.find_server(languages::WORK, &server?));
        let cells = |of: &dyn Fn(&Series) -> String| found.map(|series| series.map(of).unwrap_or_default()).join(" | ");
        let rates = cells(&|series| format!("{:.0}", series.median(|measure| measure.per_second)));
        let ratios = cells(&|series| format!("{:.3}", series.ratio_to(native)));
        format!("| {name} | {rates} | {ratios} |")
    };
    writeln!(text, "\n{}. Servers without guests keep their process, so their column is `reuse`.\n", languages::WORK)?;
    writeln!(text, "| language or server | requests/s: fresh | warm | reuse | to native: fresh | warm | reuse |")?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|")?;
    for (language, ..) in languages::GUESTS {
        let made = [languages::FRESH, languages::WARM, languages::REUSE];
        writeln!(text, "{}", row(language, made.map(|made| Some(languages::server(language, made)))))?;
    }
    for peer in languages::PEERS.map(|peer| peer.to_string()) {
        if results.find_server(languages::WORK, &peer).is_some() {
            writeln!(text, "{}", row(&peer, [None, None, Some(peer.clone())]))?;
        }
    }
    Ok(())
}

fn write_markdown(results: &Results, text: &mut String) -> std::fmt::Result {
    let Results { machine, rounds, seconds, minutes, .. } = results;
    let fsync = if results.fsync { "wait for their disk" } else { "do not wait for their disk" };
    writeln!(
        text,
        "{machine}; {rounds} interleaved rounds of {seconds} s, {minutes:.0} minutes in all; database servers {fsync}.\n"
    )?;
    for failure in &results.failures {
        writeln!(text, "**FAILED: {}**\n", failure.lines().next().unwrap_or_default())?;
    }
    for note in &results.notes {
        writeln!(text, "Note: {note}\n")?;
    }
    // A full run also lists the targets that were not measured.
    let shown = |target: &targets::Target| target.reached.is_some() || results.only.is_empty();
    let targets: Vec<_> = targets::all(results).into_iter().filter(shown).collect();
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
    for series in &results.series {
        let native = results.find(&series.work, Contestant::Native);
        let ratio = |of: fn(&Series, &Series) -> f64| {
            native.map_or_else(|| "-".to_owned(), |native| format!("{:.3}", of(series, native)))
        };
        let (rate, cpu) = (ratio(Series::ratio_to), ratio(Series::cpu_ratio_to));
        let ms = |of: fn(&Measure) -> u64| series.median(|measure| of(measure) as f64) / 1e3;
        let connections = results.works.iter().find(|work| work.id == series.work).map_or(0, |work| work.connections);
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
    write_languages(results, text)?;
    if !results.figures.is_empty() {
        writeln!(text, "\n| | |\n|---|---:|")?;
    }
    for Figure { name, value, unit } in &results.figures {
        writeln!(text, "| {name} | {value:.1} {unit} |")?;
    }
    Ok(())
}
