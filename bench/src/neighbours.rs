//! Measures the cost of bad neighbours: the response times of two routes, alone and beside each kind of neighbour.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use sqlx::Executor;
use tokio::{process::Command, time::sleep};

use crate::{
    client::Connection,
    contestants::{self, Places},
    databases::{self, Databases, Engine},
    error::Result,
    measure::{Figure, Found, median},
    process::Process,
    rounds::Course,
};

/// A kind of neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbour {
    None,
    /// One client with 200 HTTP/2 streams.
    Streams,
    Sleep,
    /// Writers of another component, which wait for the lock of another database.
    Stalled,
    Spin,
    Eat,
    Trap,
}

/// The measured routes, without and with a database.
const ROUTES: [(&str, &str); 2] = [("hello", "/hello"), ("GET one row", "/items/42")];
/// Connections that measure, each with a request at a time and a pause after it.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);
/// Time for a neighbour to occupy the places that it gets.
const WARM_UP: Duration = Duration::from_secs(1);

impl Neighbour {
    const ALL: [Self; 7] = [Self::None, Self::Streams, Self::Sleep, Self::Stalled, Self::Spin, Self::Eat, Self::Trap];

    fn name(self) -> &'static str {
        match self {
            Self::None => "alone",
            Self::Streams => "one client with 200 HTTP/2 streams",
            Self::Sleep => "400 clients of a component that sleeps 500 ms",
            Self::Stalled => "200 writers of another, locked database",
            Self::Spin => "64 clients of a component that computes",
            Self::Eat => "64 clients of a component that takes 48 MiB",
            Self::Trap => "64 clients of a component that traps",
        }
    }

    /// Returns the command that sends its requests for a time.
    fn command(self, port: u16, seconds: u64, folder: &Path) -> Result<Option<Command>> {
        // The client that measures runs on the same core and goes first.
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).kill_on_drop(true);
        let mut wrk = |path: &str, connections: &str| {
            command.args(["wrk", "-t1", "--timeout", "10s", "-c", connections, "-d", &format!("{seconds}s")]);
            command.arg(format!("http://127.0.0.1:{port}{path}"));
        };
        match self {
            Self::None => return Ok(None),
            Self::Streams => {
                let url = format!("http://127.0.0.1:{port}/hello");
                command.args(["h2load", "-c1", "-m200", &format!("-D{seconds}"), &url]);
            }
            Self::Sleep => wrk("/bad/sleep", "400"),
            Self::Spin => wrk("/bad/spin", "64"),
            Self::Eat => wrk("/bad/eat", "64"),
            Self::Trap => wrk("/bad/trap", "64"),
            Self::Stalled => {
                wrk("/orders", "200");
                let body = folder.join("order");
                std::fs::write(&body, r#"{"item_id":42,"quantity":3}"#)?;
                command.args(["-s", concat!(env!("CARGO_MANIFEST_DIR"), "/wrk.lua")]);
                command.env("BENCH_METHOD", "POST").env("BENCH_PATHS", "/orders").env("BENCH_STATUS", "201");
                command.env("BENCH_BODY", body);
            }
        }
        Ok(Some(command))
    }
}

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    5.0 + (Neighbour::ALL.len() * course.rounds * ROUTES.len()) as f64 * (course.seconds as f64 + 1.5)
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let databases = Databases::start(Engine::Sqlite, &course.places.scratch, true).await?.ok_or("no SQLite")?;
    let (url, stalled) = (databases.create("neighbours").await?, databases.create("stalled").await?);
    let host = serve(course.places, &url, &stalled).await?;
    let mut found = Found::default();
    for (route, path) in ROUTES {
        let mut all = Neighbour::ALL.map(|neighbour| (neighbour, Vec::new(), 0));
        for round in 1..=course.rounds {
            for (neighbour, p99, failed) in &mut all {
                course.progress.show(&format!("{route}, {}: round {round} of {}", neighbour.name(), course.rounds));
                let mut lock = databases::sqlite(&stalled).await?;
                if *neighbour == Neighbour::Stalled {
                    lock.execute("BEGIN IMMEDIATE").await?;
                }
                let time = WARM_UP + Duration::from_secs(course.seconds);
                let command = neighbour.command(host.port, time.as_secs() + 1, &course.places.scratch)?;
                let neighbours = command.map(|mut command| {
                    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()
                });
                let mut neighbours = neighbours.transpose()?;
                sleep(WARM_UP).await;
                let times = times(host.port, path, Duration::from_secs(course.seconds)).await?;
                if let Some(neighbours) = &mut neighbours {
                    if neighbours.try_wait()?.is_some() {
                        return Err(format!("{}: the clients ended early", neighbour.name()).into());
                    }
                    neighbours.kill().await?;
                }
                *failed += times.failed;
                p99.push(times.p99);
                drop(lock);
                // Requests of the killed clients end in this time.
                sleep(Duration::from_millis(500)).await;
            }
        }
        for (neighbour, p99, failed) in all {
            let name = format!("{route}, {}: p99", neighbour.name());
            found.figures.push(Figure::new(&name, median(p99), "ms"));
            if failed > 0 {
                found.figures.push(Figure::new(&format!("{name}, failed"), f64::from(failed), "requests"));
            }
        }
    }
    host.stop().await?;
    Ok(found)
}

async fn serve(places: &Places, url: &str, stalled: &str) -> Result<Process> {
    let mut text = format!("[database]\nurl = {url:?}\n[database.stalled]\nurl = {stalled:?}\nbusy_timeout = \"2s\"\n");
    for guest in ["hello", "items", "neighbour"] {
        text += &contestants::component(guest, &places.guest(guest)?, false);
    }
    let writer = places.scratch.join("writer.wasm");
    std::fs::write(&writer, contestants::distinct(std::fs::read(places.guest("items")?)?, 1))?;
    text += &contestants::component("writer", &writer, false);
    for (path, component, method) in [
        ("/hello", "hello", "GET"),
        ("/bad/{how}", "neighbour", "GET"),
        ("/items/{id}", "items", "GET"),
        ("/orders", "writer", "POST"),
    ] {
        text += &format!("[[route]]\npath = {path:?}\ncomponent = {component:?}\nmethods = [{method:?}]\n");
    }
    // The keys of the last route.
    text += "database = \"stalled\"\n";
    contestants::start(places, "neighbours", &text, &[]).await
}

/// Response times of one run.
struct Times {
    /// In milliseconds.
    p99: f64,
    /// Number of responses with another status than 200.
    failed: u32,
}

/// Sends requests for a time, on connections that stay open.
async fn times(port: u16, path: &str, time: Duration) -> Result<Times> {
    let until = Instant::now() + time;
    let all = try_join_all((0..CLIENTS).map(|_| client(port, path, until))).await?;
    let failed = all.iter().map(|(_, failed)| failed).sum();
    let mut times: Vec<_> = all.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    let p99 = times.get(times.len() * 99 / 100).ok_or("no response")?;
    Ok(Times { p99: p99.as_secs_f64() * 1e3, failed })
}

async fn client(port: u16, path: &str, until: Instant) -> Result<(Vec<Duration>, u32)> {
    let mut connection = Connection::open(port).await?;
    let (mut times, mut failed) = (Vec::new(), 0);
    while Instant::now() < until {
        let begun = Instant::now();
        let (status, _) = connection.send("GET", path, "".into()).await?;
        failed += u32::from(status != 200);
        times.push(begun.elapsed());
        sleep(PAUSE).await;
    }
    Ok((times, failed))
}
