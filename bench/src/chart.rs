//! The chart: requests per second relative to the native program, with one bar for each server, and for each language of
//! guests.

use std::fmt::Write;

use crate::{contestants::Contestant, languages, results::Results};

/// Servers with a bar, its colour, and the server's name in the legend.
const SERVERS: [(Contestant, &str, &str); 6] = [
    (Contestant::Carya, FRESH, "carya, a fresh sandbox for each request"),
    (Contestant::CaryaReuse, REUSE, "carya with reuse"),
    (Contestant::WasmtimeTuned, "#6b7fc4", "wasmtime serve, tuned"),
    (Contestant::Wasmtime, "#b4bfe6", "wasmtime serve"),
    (Contestant::PecanThreads, "#c98a3c", "Pecan, threads"),
    (Contestant::PecanSync, PECAN, "Pecan, sync workers"),
];

const FRESH: &str = "#0f6b5c";
const WARM: &str = "#469c8a";
const REUSE: &str = "#7fc4b5";
const PECAN: &str = "#ebc98f";
const OTHERS: &str = "#a9a39a";

/// How carya makes the instances of a language, and the colour of the bar.
const INSTANCES: [(&str, &str); 3] = [(languages::FRESH, FRESH), (languages::WARM, WARM), (languages::REUSE, REUSE)];

/// Servers without guests beside the languages, with a label and the colour of the bar.
const PEERS: [(Contestant, &str, &str); 3] = [
    (Contestant::Node, "Node, fastify, better-sqlite3", OTHERS),
    (Contestant::Workerd, "workerd, Durable Object", OTHERS),
    (Contestant::PecanSync, "Pecan with SQLAlchemy", PECAN),
];

const WIDTH: f64 = 980.0;
/// Left end of the bars, and the width available to them.
const LEFT: f64 = 250.0;
const ROOM: f64 = 570.0;
const BAR: f64 = 13.0;
/// Ratio of the longest bar. The bar of a higher ratio is cut off at this length, and the figure beside it shows the
/// whole ratio.
const LONGEST: f64 = 1.5;

/// Draws the chart as a self-contained SVG document.
pub(crate) fn draw(results: &Results) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write_svg(&mut svg, results);
    svg
}

/// A workload or a language, with one [`Bar`] for each of its servers.
struct Row<'a> {
    label: &'a str,
    /// Requests per second of the native program.
    native: f64,
    bars: Vec<Bar>,
}

struct Bar {
    ratio: f64,
    colour: &'static str,
}

fn write_svg(svg: &mut String, results: &Results) -> std::fmt::Result {
    let groups = groups(results);
    let drawn = |colour: &str| {
        groups.iter().flat_map(|(_, rows)| rows).flat_map(|row| &row.bars).any(|bar| bar.colour == colour)
    };
    let servers = SERVERS.into_iter().map(|(_, colour, name)| (colour, name));
    let legend = servers.chain([(WARM, "carya with a warm image"), (OTHERS, "other servers for JavaScript")]);
    let legend: Vec<_> = legend.filter(|(colour, _)| drawn(colour)).collect();
    let longest = groups.iter().flat_map(|(_, rows)| rows).flat_map(|row| &row.bars).map(|bar| bar.ratio);
    let scale = ROOM / longest.fold(1.0, f64::max).min(LONGEST);

    let mut body = String::new();
    let top = 74.0 + 22.0 * legend.len().div_ceil(2) as f64;
    let mut y = top;
    for (group, rows) in &groups {
        y += 30.0;
        writeln!(body, r#"<text class="group" x="24" y="{}">{group}</text>"#, y - 9.0)?;
        writeln!(body, r##"<line x1="24" x2="{}" y1="{y}" y2="{y}" stroke="#d9d6cf"/>"##, WIDTH - 24.0)?;
        y += 8.0;
        for Row { label, native, bars } in rows {
            let middle = y + bars.len() as f64 * (BAR + 2.0) / 2.0 + 3.5;
            writeln!(body, r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#, LEFT - 12.0, escape(label))?;
            let rate = thousands(*native);
            writeln!(body, r#"<text class="rate" x="{}" y="{middle}" text-anchor="end">{rate}</text>"#, WIDTH - 24.0)?;
            for Bar { ratio, colour } in bars {
                let length = (ratio.min(LONGEST) * scale).max(1.0);
                writeln!(
                    body,
                    r#"<rect x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" rx="2" fill="{colour}"/>"#
                )?;
                // Small ratios need another digit.
                let value = if *ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") };
                let (x, base) = (LEFT + length + 5.0, y + BAR - 2.5);
                writeln!(body, r#"<text class="value" x="{x:.1}" y="{base}">{value}</text>"#)?;
                y += BAR + 2.0;
            }
            y += 9.0;
        }
    }
    let height = y + 30.0;
    write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img" aria-label="Requests per second compared with a native program">
<style>
text {{ font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #2d2a26 }}
.title {{ font-size: 19px; font-weight: 600 }}
.note, .rate, .tick {{ fill: #77716a; font-size: 12px }}
.group {{ font-weight: 600 }}
.value {{ font-size: 11px; paint-order: stroke; stroke: #fdfcfa; stroke-width: 3px }}
</style>
<rect width="100%" height="100%" fill="#fdfcfa"/>
<text class="title" x="24" y="36">Requests per second, as part of what a native program does</text>
<text class="note" x="24" y="57">axum and sqlx doing the same work, with the same transaction, is 1. One core each; median of interleaved rounds.</text>
"##
    )?;
    for (place, (colour, name)) in legend.iter().enumerate() {
        let (x, y) = (24.0 + 330.0 * (place % 2) as f64, 72.0 + 22.0 * (place / 2) as f64);
        writeln!(svg, r#"<rect x="{x}" y="{y}" width="12" height="12" rx="2" fill="{colour}"/>"#)?;
        writeln!(svg, r#"<text x="{}" y="{}">{name}</text>"#, x + 19.0, y + 10.5)?;
    }
    writeln!(
        svg,
        r#"<text class="rate" x="{}" y="{}" text-anchor="end">native, per second</text>"#,
        WIDTH - 24.0,
        top + 21.0
    )?;
    for tick in (0..=5).map(|tick| f64::from(tick) / 4.0).filter(|tick| tick * scale <= ROOM) {
        let (x, end) = (LEFT + tick * scale, height - 22.0);
        let (colour, dash) = if tick == 1.0 { ("#2d2a26", "") } else { ("#e6e3dc", r#" stroke-dasharray="3 3""#) };
        writeln!(svg, r#"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{end}" stroke="{colour}"{dash}/>"#, top + 31.0)?;
        writeln!(svg, r#"<text class="tick" x="{x:.1}" y="{}" text-anchor="middle">{tick}</text>"#, height - 7.0)?;
    }
    writeln!(svg, "{body}</svg>")
}

/// Groups the workloads by database. The last group has the languages of guests.
fn groups(results: &Results) -> Vec<(&str, Vec<Row<'_>>)> {
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    for work in &results.works {
        let Some(native) = results.find(&work.id, Contestant::Native) else { continue };
        let bar = |(contestant, colour, _)| {
            let series = results.find(&work.id, contestant)?;
            Some(Bar { ratio: series.ratio_to(native), colour })
        };
        let bars = SERVERS.into_iter().filter_map(bar).collect();
        let row = Row { label: &work.name, native: native.median(|measure| measure.per_second), bars };
        let name = if work.engine.is_empty() { "Without a database" } else { &work.engine };
        match groups.last_mut() {
            Some((last, rows)) if *last == name => rows.push(row),
            _ => groups.push((name, vec![row])),
        }
    }
    groups.extend(languages(results).map(|rows| ("GET one row, SQLite: languages of guests", rows)));
    groups
}

/// Returns a row for each language and each server without guests. Returns `None` if they were not measured.
fn languages(results: &Results) -> Option<Vec<Row<'static>>> {
    let native = results.find(languages::WORK, Contestant::Native)?;
    let bar = |server: String, colour| {
        let series = results.find_server(languages::WORK, &server)?;
        Some(Bar { ratio: series.ratio_to(native), colour })
    };
    let guests = languages::GUESTS.into_iter().map(|(language, ..)| {
        let bars = INSTANCES.into_iter().filter_map(|(made, colour)| bar(languages::server(language, made), colour));
        (language, bars.collect::<Vec<_>>())
    });
    let peers =
        PEERS.into_iter().map(|(peer, label, colour)| (label, bar(peer.to_string(), colour).into_iter().collect()));
    let rows = guests.chain(peers).filter(|(_, bars)| !bars.is_empty());
    let native = native.median(|measure| measure.per_second);
    Some(rows.map(|(label, bars)| Row { label, native, bars }).collect())
}

/// Formats a number with a thousands separator, e.g. `51,234`.
fn thousands(number: f64) -> String {
    let number = number.round() as u64;
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1000),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
