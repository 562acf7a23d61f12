//! Measures the cost of each switch of the configuration for `hello`.

use crate::{
    contestants::{self, Places},
    error::Result,
    measure::{Found, Series},
    process::{self, Process},
    rounds::Course,
    work,
    wrk::{self, Expected, Look},
};

/// Name of a switch, keys of `[server]`, and further sections.
type Switch = (&'static str, &'static str, &'static str);

const SWITCHES: [Switch; 11] = [
    (OFF, "", ""),
    ("etag", "etag = true", ""),
    ("compression", "compress = [\"br\", \"gzip\"]", ""),
    ("headers", "", "[[headers]]\nset = { x-frame-options = \"DENY\", cache-control = \"no-store\" }"),
    ("cors", "", "[[cors]]\norigins = [\"https://app.example.org\"]"),
    ("rate limit", "", "[[rate_limit]]\nname = \"all\"\npath = \"/\"\nrequests = 1000000\nper = \"1s\""),
    ("connections_per_address", "connections_per_address = 1000", ""),
    ("requests_per_address", "requests_per_address = 1000", ""),
    ("trusted_proxies", "trusted_proxies = [\"127.0.0.1\"]", ""),
    ("metrics", "metrics = \"127.0.0.1:0\"", ""),
    ("public_health", "public_health = true", ""),
];
/// Name of the row without switches, for comparison.
pub(crate) const OFF: &str = "none";

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    10.0 + (SWITCHES.len() * (1 + course.rounds * course.seconds as usize)) as f64
}

/// Returns the name of the row of a switch.
pub(crate) fn named(switch: &str) -> String {
    format!("hello, switch: {switch}")
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let hello = work::all().into_iter().find(|work| work.name == "hello").ok_or("there is no hello")?;
    let mut hosts = Vec::new();
    for switch in SWITCHES {
        let series = Series { work: named(switch.0), server: "carya".to_owned(), rounds: vec![] };
        hosts.push((serve(course.places, switch).await?, series));
    }
    let expected = Expected::Body(b"hello".to_vec());
    for round in 0..=course.rounds {
        for (process, series) in &mut hosts {
            course.progress.show(&format!("{}: round {round} of {}", series.work, course.rounds));
            let load = if round == 0 { (Look::Closely, 1) } else { (Look::AtStatus, course.seconds) };
            let measure = wrk::drive(process, &hello, &expected, load, &course.places.scratch).await?;
            if round > 0 {
                series.rounds.push(measure);
            }
        }
        // The first server of a round is the slowest, because it begins on an idle machine.
        hosts.rotate_left(1);
    }
    hosts.sort_by_key(|(_, series)| SWITCHES.iter().position(|(name, ..)| named(name) == series.work));
    let mut found = Found::default();
    for (process, series) in hosts {
        process.stop().await?;
        found.series.push(series);
    }
    Ok(found)
}

async fn serve(places: &Places, (name, server, sections): Switch) -> Result<Process> {
    let port = process::free_port()?;
    let hello = contestants::component("hello", &places.guest("hello")?, false);
    let text = format!(
        "{}{server}\n{hello}[[route]]\npath = \"/hello\"\ncomponent = \"hello\"\n{sections}\n",
        contestants::head(places, port)
    );
    let name = name.replace(' ', "-");
    let file = places.scratch.join(format!("carya-switch-{name}.toml"));
    std::fs::write(&file, text)?;
    let log = places.scratch.join(format!("carya-switch-{name}.log"));
    Process::start(&mut contestants::serve(places, &file)?, port, log).await
}
