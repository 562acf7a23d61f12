//! Costs of a host apart from single requests: many deployed components, the start, memory, connections, neighbours,
//! the switches of the configuration, the languages of guests, and changes of guests.

use std::{
    fmt::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use sqlx::Executor;

use crate::{
    client::{self, Connection},
    contestants::{self, Contestant, Places},
    databases::{self, Databases, Engine},
    edits,
    error::Result,
    languages,
    measure::{Figure, Found, Series, median},
    neighbours,
    process::{self, Process},
    rounds::Course,
    switches,
    work::{Answer, CONNECTIONS, Work},
    wrk::{self, Expected, Look},
};

/// Numbers of deployed components.
const SIZES: [usize; 4] = [1, 10, 100, 1000];
const STARTS: usize = 9;
const IN_FLIGHT: u32 = 200;
const OPEN: u32 = 2000;

/// A part of the benchmark that `--only` can select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Components,
    Start,
    Memory,
    Connections,
    Neighbours,
    Switches,
    Languages,
    Edits,
}

impl Part {
    pub(crate) const ALL: [Self; 8] = [
        Self::Languages,
        Self::Components,
        Self::Start,
        Self::Memory,
        Self::Connections,
        Self::Neighbours,
        Self::Switches,
        Self::Edits,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Components => "scale: components",
            Self::Start => "scale: start",
            Self::Memory => "scale: memory",
            Self::Connections => "scale: connections",
            Self::Neighbours => "neighbours",
            Self::Switches => "switches",
            Self::Languages => "languages",
            Self::Edits => "edits",
        }
    }

    /// Returns whether a run of the whole benchmark includes the part. New projects install their tools from the network.
    pub(crate) fn is_in_full_run(self) -> bool {
        self != Self::Edits
    }

    /// Returns the approximate duration of the part in seconds.
    pub(crate) fn seconds(self, course: &Course<'_>) -> f64 {
        match self {
            Self::Components => 20.0 + (2 * SIZES.len() * course.rounds) as f64 * course.seconds as f64,
            Self::Start | Self::Memory | Self::Connections => 5.0,
            Self::Neighbours => neighbours::seconds(course),
            Self::Switches => switches::seconds(course),
            Self::Languages => languages::seconds(course),
            Self::Edits => edits::seconds(course),
        }
    }
}

pub(crate) async fn run(part: Part, course: &mut Course<'_>) -> Result<Found> {
    let seconds = part.seconds(course);
    course.progress.show(part.name());
    let found = match part {
        Part::Components => components(course).await,
        Part::Start => start(course.places).await,
        Part::Memory => memory(course.places).await,
        Part::Connections => connections(course).await,
        Part::Neighbours => neighbours::run(course).await,
        Part::Switches => switches::run(course).await,
        Part::Languages => languages::run(course).await,
        Part::Edits => edits::run(course).await,
    };
    course.progress.done(seconds);
    found
}

/// Returns the name of a series: the number of components, and whether all of them or only one receives the requests.
pub(crate) fn named(size: usize, spread: bool) -> String {
    let plural = if size == 1 { "" } else { "s" };
    format!("hello, {size} component{plural}, {}", if spread { "all asked in turn" } else { "one asked" })
}

/// Writes a configuration with `size` components, each with its own path, and compiles all of them.
async fn deployed(places: &Places, size: usize, port: u16) -> Result<PathBuf> {
    let folder = places.scratch.join("components");
    std::fs::create_dir_all(&folder)?;
    let hello = std::fs::read(places.guest("hello")?)?;
    let mut text = contestants::head(places, port);
    for number in 0..size {
        let path = folder.join(format!("hello-{number}.wasm"));
        std::fs::write(&path, contestants::distinct(hello.clone(), u32::try_from(number)?))?;
        text += &contestants::component(&format!("c{number}"), &path, false);
        let _ = writeln!(text, "[[route]]\npath = \"/c/{number}\"\ncomponent = \"c{number}\"");
    }
    let file = folder.join(format!("carya-{size}.toml"));
    std::fs::write(&file, text)?;
    // Compile on both cores, since this time is not measured.
    let mut check = tokio::process::Command::new("taskset");
    check.args(["-c", "0-1"]).arg(places.carya()?).args(["check", "--config"]).arg(&file);
    process::run(&mut check).await?;
    Ok(file)
}

async fn serve(places: &Places, size: usize) -> Result<Process> {
    let port = process::free_port()?;
    let file = deployed(places, size, port).await?;
    let log = places.scratch.join(format!("carya-{size}-components.log"));
    Process::start(&mut contestants::serve(places, &file)?, port, log).await
}

fn hello(name: &str, paths: Vec<String>) -> Work {
    Work {
        name: name.to_owned(),
        engine: None,
        method: "GET",
        paths,
        body: None,
        status: 200,
        answer: Answer::Text("hello"),
        connections: CONNECTIONS,
        trace: None,
    }
}

async fn components(course: &mut Course<'_>) -> Result<Found> {
    let expected = Expected::Body(b"hello".to_vec());
    let (mut hosts, mut found) = (Vec::new(), Found::default());
    for size in SIZES {
        course.progress.show(&format!("compiling and deploying {size} components"));
        let process = serve(course.places, size).await?;
        let deployed = process.memory_kb();
        for number in 0..size {
            let (status, body) = client::request(process.port, "GET", &format!("/c/{number}"), "".into()).await?;
            if status != 200 || body != "hello" {
                return Err(format!("component {number} of {size} returned {status}\n{}", process.log_tail()).into());
            }
        }
        hosts.push((size, process, deployed));
    }
    if let [(1, one, one_deployed), .., (most, all, all_deployed)] = &hosts[..] {
        let each = |all: u64, one: u64| (all.saturating_sub(one)) as f64 / (*most - 1) as f64;
        let asked = each(all.memory_kb(), one.memory_kb());
        found.figures.push(Figure::new("memory per component, deployed", each(*all_deployed, *one_deployed), "KB"));
        found.figures.push(Figure::new("memory per component, asked once", asked, "KB"));
    }
    let mut series = Vec::new();
    for (size, _, _) in &hosts {
        for spread in [true, false] {
            let paths: Vec<_> = (0..*size).map(|number| format!("/c/{number}")).collect();
            // With several paths, `wrk.lua` prepares its requests in advance. Use two equal paths so that the requests
            // to a single component take the same code path.
            let paths = if spread && *size > 1 { paths } else { vec!["/c/0".to_owned(); 2] };
            let name = named(*size, spread);
            series.push((hello(&name, paths), Series { work: name, server: "carya".to_owned(), rounds: vec![] }));
        }
    }
    for round in 0..=course.rounds {
        for ((work, series), place) in series.iter_mut().zip(0..) {
            let process = &hosts[place / 2].1;
            course.progress.show(&format!("{}: round {round} of {}", work.name, course.rounds));
            let load = if round == 0 { (Look::Closely, 1) } else { (Look::AtStatus, course.seconds) };
            let measure = wrk::drive(process, work, &expected, load, &course.places.scratch).await?;
            if round > 0 {
                series.rounds.push(measure);
            }
        }
    }
    for (_, process, _) in hosts {
        process.stop().await?;
    }
    found.series.extend(series.into_iter().map(|(_, series)| series));
    Ok(found)
}

/// Measures the time from the command to the first response, with all compiled code in the cache.
async fn start(places: &Places) -> Result<Found> {
    const SIZE: usize = 10;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let port = process::free_port()?;
        let file = deployed(places, SIZE, port).await?;
        let mut command = contestants::serve(places, &file)?;
        let begun = Instant::now();
        let process = Process::start(&mut command, port, places.scratch.join("carya-start.log")).await?;
        let (status, body) = client::request(port, "GET", "/c/7", "".into()).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        if status != 200 || body != "hello" {
            return Err(format!("the first answer was {status}\n{}", process.log_tail()).into());
        }
        process.stop().await?;
    }
    let name = format!("start to first answer, {SIZE} components");
    Ok(Found { figures: vec![Figure::new(&name, median(times), "ms")], ..Found::default() })
}

/// Measures the memory of an idle host, and of a host with [`IN_FLIGHT`] requests that wait until the transaction of
/// another client ends.
async fn memory(places: &Places) -> Result<Found> {
    let idle = Contestant::Carya.start(places, None).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle_kb = idle.memory_kb();
    idle.stop().await?;

    let databases = Databases::start(Engine::Sqlite, &places.scratch, true).await?.ok_or("no SQLite")?;
    let url = databases.create("in_flight").await?;
    let host = Contestant::Carya.start(places, Some(&url)).await?;
    let port = host.port;
    let order = || client::request(port, "POST", "/orders", r#"{"item_id":1,"quantity":1}"#.into());
    order().await?;
    let mut other = databases::sqlite(&url).await?;
    other.execute("BEGIN IMMEDIATE").await?;
    let before = host.memory_kb();
    let orders: Vec<_> = (0..IN_FLIGHT).map(|_| tokio::spawn(order())).collect();
    // All requests have arrived once the memory has stopped growing. The check below detects requests that the host
    // answered instead of letting them wait for the lock.
    let (mut held, mut quiet) = (0, 0);
    while quiet < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = host.memory_kb();
        quiet = if now <= held { quiet + 1 } else { 0 };
        held = held.max(now);
    }
    if let Some(answered) = orders.iter().position(tokio::task::JoinHandle::is_finished) {
        return Err(
            format!("request {answered} was answered while the database was locked\n{}", host.log_tail()).into()
        );
    }
    other.execute("ROLLBACK").await?;
    for order in orders {
        let (status, body) = order.await??;
        if status != 201 {
            return Err(format!("an order returned {status} {body:?}\n{}", host.log_tail()).into());
        }
    }
    let written = databases::number(&url, "SELECT count(*) FROM orders").await?;
    if written != i64::from(IN_FLIGHT) + 1 {
        return Err(format!("{IN_FLIGHT} orders were acknowledged, and the database has {}", written - 1).into());
    }
    host.stop().await?;
    let each = held.saturating_sub(before) as f64 / f64::from(IN_FLIGHT);
    let figures = vec![
        Figure::new("memory of an idle host", idle_kb as f64 / 1024.0, "MB"),
        Figure::new("memory per request in flight", each, "KB"),
    ];
    Ok(Found { figures, ..Found::default() })
}

/// Measures the memory of a host with [`OPEN`] connections: idle after a request each, and with a request each.
async fn connections(course: &mut Course<'_>) -> Result<Found> {
    let host = Contestant::Carya.start(course.places, None).await?;
    let mut idle = Vec::new();
    for _ in 0..OPEN {
        let mut connection = Connection::open(host.port).await?;
        let (status, body) = connection.send("GET", "/hello", "".into()).await?;
        if status != 200 || body != "hello" {
            return Err(format!("a connection got {status} {body:?}").into());
        }
        idle.push(connection);
    }
    let idle_kb = host.memory_kb();
    drop(idle);
    let busy = Work { connections: OPEN, ..hello("hello, 2000 connections", vec!["/hello".to_owned()]) };
    let expected = Expected::Body(b"hello".to_vec());
    let load = (Look::AtStatus, course.seconds);
    let measure = wrk::drive(&host, &busy, &expected, load, &course.places.scratch).await?;
    host.stop().await?;
    let figures = vec![
        Figure::new("memory with 2,000 idle connections", idle_kb as f64 / 1024.0, "MB"),
        Figure::new("memory with 2,000 busy connections", measure.memory_kb as f64 / 1024.0, "MB"),
    ];
    Ok(Found { figures, ..Found::default() })
}
