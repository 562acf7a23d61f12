//! Measures the same controller in each language: `GET one row` of the shop on SQLite, with fresh instances, with a warm
//! image, and with `reuse`. The native program takes part, and Pecan with SQLAlchemy, Node and workerd if they are
//! installed.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;
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

/// Language or engine of a guest, and its file. If it can have a warm image, also `server.keep_resident` for the image.
pub(crate) const GUESTS: [(&str, &str, Option<&str>); 6] = [
    ("Rust", "items", None),
    ("C", "items-c", None),
    ("JavaScript, QuickJS", "items-qjs", None),
    ("JavaScript, StarlingMonkey", "items-js", Some(KEPT)),
    ("Python", "items-python", Some(KEPT)),
    (SQLALCHEMY, "items-sqlalchemy", Some("32MiB")),
];
/// Default of `server.keep_resident`.
const KEPT: &str = "8MiB";
const SQLALCHEMY: &str = "Python with SQLAlchemy";

/// Servers without guests. The native program is the reference for the ratios.
pub(crate) const PEERS: [Contestant; 4] =
    [Contestant::Native, Contestant::Node, Contestant::Workerd, Contestant::PecanSync];

/// Work of all series.
pub(crate) const WORK: &str = "GET one row of the shop, SQLite";

/// How instances are made, and the keys of the component.
const INSTANCES: [(&str, &str); 3] =
    [(FRESH, ""), (WARM, "warm = { path = \"/items/2\" }"), (REUSE, "reuse = { max_requests = 1000 }")];
pub(crate) const FRESH: &str = "fresh";
pub(crate) const WARM: &str = "warm";
pub(crate) const REUSE: &str = "reuse";

const PATH: &str = "/items/2";
/// Beginning of the response, as a pattern.
const ROW: &str = "^{\"id\": ?2,";
/// Pause between two requests while a host starts.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time until a host answers. Python compiles twice for a warm image.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    60.0 + ((rows().count() + PEERS.len()) * course.rounds * course.seconds as usize) as f64
}

/// A guest, and how its instances are made.
struct Row {
    language: &'static str,
    file: &'static str,
    made: &'static str,
    /// Keys of the component.
    keys: &'static str,
    keep_resident: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    GUESTS.into_iter().flat_map(|(language, file, warm)| {
        INSTANCES.into_iter().filter_map(move |(made, keys)| {
            let keep_resident = if made == WARM { warm? } else { KEPT };
            Some(Row { language, file, made, keys, keep_resident })
        })
    })
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let (mut hosts, mut row) = (Vec::new(), None);
    for guest in rows() {
        course.progress.show(&format!("{}, {}: starting", guest.language, guest.made));
        let name = format!("{}-{}", guest.file, guest.made);
        let process = serve(course.places, &name, &guest).await?;
        check(&process, &name, &mut row).await?;
        hosts.push((process, series(server(guest.language, guest.made))));
    }
    let url = format!("sqlite://{}", database(course.places, "items-fresh").display());
    for peer in PEERS.into_iter().filter(|peer| is_installed(*peer, course.places)) {
        let name = peer.to_string();
        course.progress.show(&format!("{name}: starting"));
        let process = peer.start(course.places, Some(&url)).await?;
        check(&process, &name, &mut row).await?;
        hosts.push((process, series(name)));
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
    let mut series = course.alternate(&work, &Expected::Pattern(ROW), hosts, fill).await?;
    // Tables begin with the reference. It starts last because a host creates its database.
    series.sort_by_key(|series| series.server != Contestant::Native.to_string());
    Ok(Found { series, ..Found::default() })
}

/// Returns whether a server can take part. `bench/build.sh` installs Node, workerd and Pecan only on request.
fn is_installed(peer: Contestant, places: &Places) -> bool {
    let file = match peer {
        Contestant::Node => "bench/node/installed",
        Contestant::Workerd => "bench/workerd/installed",
        Contestant::PecanSync => "bench/pecan/bin/gunicorn",
        _ => return true,
    };
    existing(&places.target, file).is_ok()
}

fn series(server: String) -> Series {
    Series { work: WORK.to_owned(), server, rounds: vec![] }
}

/// Returns the name of carya with a guest in this language.
pub(crate) fn server(language: &str, made: &str) -> String {
    format!("carya: {language}, {made}")
}

/// Starts the shop with a guest as the controller of its items.
async fn serve(places: &Places, name: &str, Row { file, keys, keep_resident, .. }: &Row) -> Result<Process> {
    let shop = places.sources.join("../guest-examples");
    let guest = |name: &str| existing(&shop.join("dist"), &format!("{name}.wasm"));
    let database = database(places, name);
    remove(&database)?;
    let text = format!(
        "keep_resident = {keep_resident:?}\n\
         [database]\nurl = \"sqlite://{}\"\nmax_connections = 4\nacquire_timeout = \"10s\"\n\
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

/// Checks that all servers return the same JSON. The first call stores the response in `row`; the others compare theirs
/// with it.
async fn check(process: &Process, name: &str, row: &mut Option<Value>) -> Result {
    let answer = wait_for_answer(process).await?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| format!("{name} returned no JSON: {error}"))?;
    let expected = row.get_or_insert_with(|| answer.clone());
    match answer == *expected {
        true => Ok(()),
        false => Err(format!("{name} returned {answer}, expected {expected}").into()),
    }
}

/// Waits until the server answers, and returns the body. carya listens before it has compiled its components.
async fn wait_for_answer(process: &Process) -> Result<Bytes> {
    let begun = Instant::now();
    loop {
        match timeout(PAUSE, client::request(process.port, "GET", PATH, "".into())).await {
            Ok(Ok((200, body))) => return Ok(body),
            _ if begun.elapsed() > PATIENCE => return Err(format!("no answer\n{}", process.log_tail()).into()),
            _ => sleep(PAUSE).await,
        }
    }
}

/// Sends a request on each connection, so that the requests of the round find instances that have served one. carya drops
/// instances that were idle for 10 s during the rounds of other servers, and the first request of an instance with
/// SQLAlchemy takes so long that these requests would fill the round.
async fn fill(process: &Process) -> Result {
    let port = process.port;
    let send = |_| tokio::spawn(async move { client::request(port, "GET", PATH, "".into()).await });
    for request in (0..CONNECTIONS).map(send).collect::<Vec<_>>() {
        let (status, _) = request.await??;
        if status != 200 {
            return Err(format!("a request before the round returned {status}\n{}", process.log_tail()).into());
        }
    }
    Ok(())
}

/// Removes the database of an earlier run.
fn remove(database: &Path) -> Result {
    match std::fs::remove_file(database) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
