//! Measures the same controller in each language: `GET one row` of the shop on SQLite, with fresh instances, with a warm
//! image, and with `reuse`. Pecan with SQLAlchemy takes part if it is installed.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use crate::{
    client,
    contestants::{self, Contestant, Places},
    error::Result,
    measure::{Found, Series},
    process::{Process, existing},
    rounds::Course,
    work::{Answer, CONNECTIONS, Work},
    wrk::Expected,
};

/// Language or engine of a guest, its file, and whether it can have a warm image.
const GUESTS: [(&str, &str, bool); 6] = [
    ("Rust", "items", false),
    ("C", "items-c", false),
    ("JavaScript, QuickJS", "items-qjs", false),
    ("JavaScript, StarlingMonkey", "items-js", true),
    ("Python", "items-python", true),
    (SQLALCHEMY, "items-sqlalchemy", true),
];
const SQLALCHEMY: &str = "Python with SQLAlchemy";

/// How instances are made, and the keys of the component.
const INSTANCES: [(&str, &str); 3] =
    [("fresh", ""), (WARM, "warm = { path = \"/items/2\" }"), ("reuse", "reuse = { max_requests = 1000 }")];
const WARM: &str = "warm";

const PATH: &str = "/items/2";
/// Beginning of the response, as a pattern.
const ROW: &str = "^{\"id\": ?2,";
/// Pause between two requests while a host starts.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time until a host answers. Python compiles twice for a warm image.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    60.0 + (rows().count() * course.rounds * course.seconds as usize) as f64
}

/// Returns the guest of each row, and how its instances are made.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, (&'static str, &'static str))> {
    GUESTS.into_iter().flat_map(|(language, file, can_be_warm)| {
        let made = INSTANCES.into_iter().filter(move |(made, _)| *made != WARM || can_be_warm);
        made.map(move |made| (language, file, made))
    })
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let mut hosts = Vec::new();
    for (language, file, (made, keys)) in rows() {
        course.progress.show(&format!("{language}, {made}: starting"));
        let name = format!("{file}-{made}");
        let series =
            Series { work: format!("GET one row, {language}"), server: format!("carya, {made}"), rounds: vec![] };
        let process = serve(course.places, &name, file, keys).await?;
        wait_for_answer(&process).await?;
        hosts.push((process, series));
    }
    if existing(&course.places.target, "bench/pecan/bin/gunicorn").is_ok() {
        let url = format!("sqlite://{}", database(course.places, "items-sqlalchemy-fresh").display());
        let process = Contestant::PecanSync.start(course.places, Some(&url)).await?;
        wait_for_answer(&process).await?;
        let server = Contestant::PecanSync.to_string();
        hosts.push((process, Series { work: format!("GET one row, {SQLALCHEMY}"), server, rounds: vec![] }));
    }
    let work = Work {
        name: "GET one row".to_owned(),
        engine: None,
        method: "GET",
        paths: vec![PATH.to_owned()],
        body: None,
        status: 200,
        answer: Answer::Pattern(ROW),
        connections: CONNECTIONS,
        trace: None,
    };
    let series = course.alternate(&work, &Expected::Pattern(ROW), hosts).await?;
    Ok(Found { series, ..Found::default() })
}

/// Starts the shop with a guest as the controller of its items.
async fn serve(places: &Places, name: &str, file: &str, keys: &str) -> Result<Process> {
    let shop = places.sources.join("../guest-examples");
    let guest = |name: &str| existing(&shop.join("dist"), &format!("{name}.wasm"));
    let database = database(places, name);
    remove(&database)?;
    let text = format!(
        "[database]\nurl = \"sqlite://{}\"\nmax_connections = 4\nacquire_timeout = \"10s\"\n\
         [model]\ncomponent = \"model\"\nmigrations = {:?}\n[component.model]\npath = {:?}\n\
         [component.items]\npath = {:?}\ntimeout = \"30s\"\nmemory = \"256MiB\"\n{keys}\n\
         [[route]]\npath = \"/items/{{id}}\"\ncomponent = \"items\"\n",
        database.display(),
        shop.join("migrations"),
        guest("shop-model")?,
        guest(file)?,
    );
    contestants::start(places, name, &text, &[]).await
}

/// Returns the file of a host's database.
fn database(places: &Places, name: &str) -> PathBuf {
    places.scratch.join(format!("{name}.sqlite"))
}

/// Waits until the host answers. It listens before it has compiled its components.
async fn wait_for_answer(process: &Process) -> Result {
    let begun = Instant::now();
    loop {
        match timeout(PAUSE, client::request(process.port, "GET", PATH, "".into())).await {
            Ok(Ok((200, _))) => return Ok(()),
            _ if begun.elapsed() > PATIENCE => return Err(format!("no answer\n{}", process.log_tail()).into()),
            _ => sleep(PAUSE).await,
        }
    }
}

/// Removes the database of an earlier run.
fn remove(database: &Path) -> Result {
    match std::fs::remove_file(database) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
