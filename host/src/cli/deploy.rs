//! `carya deploy`, `carya generations` and `carya rollback`: the client commands for the admin API of a host.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method, StatusCode};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::{client::Client, diff, output::print};
use crate::{
    component::build_remedy,
    config::{self, Place, Problem, Problems},
    deploy::{Digest, Manifest, NAME},
};

/// Maximum number of attempts to upload. Another attempt is needed if a collection by another client removes uploaded
/// files.
const ROUNDS: usize = 5;

/// Options that select a host and authenticate to it.
#[derive(Debug, Args)]
pub(super) struct Host {
    /// The host's deploy.listen: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file with the host's deploy.token. The default is the environment variable CARYA_DEPLOY_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Host {
    fn client(&self) -> anyhow::Result<Client> {
        let token = match &self.token_file {
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => config::deploy_token(),
        };
        Client::new(&self.to, token)
    }
}

/// The files of an application, by their paths relative to its folder.
struct Application {
    manifest: Manifest,
    /// Local path and size in bytes of each file's content.
    sources: BTreeMap<Digest, (PathBuf, u64)>,
}

impl Application {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut paths = BTreeMap::from([(NAME.to_owned(), file.to_owned())]);
        let parts = config::application(file)?;
        let missing: Vec<_> = parts.iter().filter(|(_, path)| !path.exists()).map(|part| missing(file, part)).collect();
        ensure!(missing.is_empty(), "{}", Problems::new(missing));
        for (_, path) in parts {
            add(folder, path, &mut paths)?;
        }
        let mut files = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for (name, path) in paths {
            let cannot = || format!("{} cannot be read", path.display());
            let digest = Digest::of_file(&path).with_context(cannot)?;
            let size = fs::metadata(&path).with_context(cannot)?.len();
            files.insert(name, digest);
            sources.insert(digest, (path, size));
        }
        let manifest = Manifest::new(files);
        manifest.check()?;
        Ok(Self { manifest, sources })
    }
}

/// Returns the problem of a file or folder that does not exist.
fn missing(file: &Path, (place, path): &(Place, PathBuf)) -> Problem {
    let config = config::load(file).ok();
    let component = config.as_ref().and_then(|config| config.components.values().find(|one| one.path == *path));
    let remedy = match component {
        Some(component) => build_remedy(component.build.as_ref()),
        None if place.key.starts_with("component.") => build_remedy(None),
        None => "create it, or correct the path".to_owned(),
    };
    place.clone().problem(format!("{} does not exist; {remedy}", path.display()))
}

/// Adds a file, or all files in a folder.
fn add(folder: &Path, path: PathBuf, paths: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be read", path.display());
    if fs::metadata(&path).with_context(cannot)?.is_dir() {
        for entry in fs::read_dir(&path).with_context(cannot)? {
            add(folder, entry.with_context(cannot)?.path(), paths)?;
        }
        return Ok(());
    }
    let steps = path.strip_prefix(folder)?.components().map(|step| step.as_os_str().to_str());
    let steps: Option<Vec<&str>> = steps.collect();
    let name = steps.with_context(|| format!("{} has a name that is not Unicode", path.display()))?.join("/");
    paths.insert(name, path);
    Ok(())
}

/// Sends a request without a body, and returns the response. A status that is not a success is an error.
async fn request(client: &Client, method: Method, path: &str) -> anyhow::Result<Value> {
    Ok(client.send(method, path, "").await??)
}

/// Uploads an application to a host, and activates it if `activate` is set.
pub(super) async fn deploy(file: &Path, host: &Host, activate: bool) -> anyhow::Result<String> {
    let client = host.client()?;
    let application = Application::read(file)?;
    let id = &application.manifest.id;
    let before = request(&client, Method::GET, "/generations").await?;
    let (count, bytes) = put(&client, &application).await?;
    let files = application.manifest.files.len();
    let mut answer = format!("generation {id}: {files} files, {count} uploaded ({bytes} bytes)\n");
    let mut problem = Value::Null;
    if let Some(served) = before["serving"].as_str().filter(|served| *served != id.to_string()) {
        let mut found = request(&client, Method::GET, &format!("/generations/{served}/diff/{id}")).await?;
        write_diff(&mut answer, &found)?;
        problem = found["problem"].take();
    }
    if activate {
        // Print the differences before the activation, which may fail.
        print(&answer)?;
        answer.clear();
        let change = request(&client, Method::POST, &format!("/generations/{id}/activate")).await?;
        write_change(&mut answer, &change)?;
    } else if let Some(problem) = problem.as_str() {
        print(&answer)?;
        bail!("the host has generation {id} now, and would not serve it: {problem}");
    } else {
        writeln!(answer, "not activated; run the command without --no-activate to activate it")?;
    }
    Ok(answer)
}

/// Uploads the files that the host lacks, then the manifest. Returns the number and total size of the uploaded files.
async fn put(client: &Client, application: &Application) -> anyhow::Result<(usize, u64)> {
    let Application { manifest, sources } = application;
    let (list, path) = (serde_json::to_vec(manifest)?, format!("/generations/{}", manifest.id));
    let mut uploaded = (0, 0);
    for _ in 0..ROUNDS {
        let refusal = match client.send(Method::PUT, &path, list.clone()).await? {
            Ok(_) => return Ok(uploaded),
            Err(refusal) => refusal,
        };
        let missing: Option<Vec<Digest>> = serde_json::from_value(refusal.body["missing"].clone()).ok();
        let Some(missing) = missing.filter(|_| refusal.status == StatusCode::CONFLICT) else {
            return Err(refusal.into());
        };
        let found: Option<Vec<_>> = missing.iter().map(|digest| sources.get_key_value(digest)).collect();
        let found = found.context("the host requests files that are not in the manifest")?;
        let total = found.iter().map(|(_, (_, size))| size).sum();
        // `indicatif` hides the bar if standard error is no terminal.
        let bar = ProgressBar::new(total)
            .with_style(ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}")?);
        for (digest, (file, _)) in &found {
            bar.set_message(file.display().to_string());
            upload(client, digest, file, &bar).await.with_context(|| format!("{} was not uploaded", file.display()))?;
        }
        bar.finish_and_clear();
        uploaded = (uploaded.0 + found.len(), uploaded.1 + total);
    }
    bail!(
        "uploaded files were removed again during {ROUNDS} attempts; does another client run collections all the time?"
    )
}

async fn upload(client: &Client, digest: &Digest, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let (bytes, bar) = (ReaderStream::new(tokio::fs::File::open(file).await?), bar.clone());
    let bytes = bytes.inspect_ok(move |bytes| bar.inc(u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
    client.send(Method::PUT, &format!("/blobs/{digest}"), Body::wrap_stream(bytes)).await??;
    Ok(())
}

/// Formats the differences in files and capabilities.
fn write_diff(answer: &mut String, diff: &Value) -> anyhow::Result<()> {
    for (sign, key) in [("+", "added"), ("~", "changed"), ("-", "removed")] {
        for name in diff["files"][key].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(answer, "  {sign} {name}")?;
        }
    }
    write_differences(answer, diff)
}

fn write_differences(answer: &mut String, of: &Value) -> anyhow::Result<()> {
    for one in of["differences"].as_array().into_iter().flatten() {
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let what = format!("{}: {}", text("place"), text("words"));
        writeln!(answer, "{}", diff::line(one["widens"] == true, text("kind"), &what))?;
    }
    Ok(())
}

fn write_change(answer: &mut String, change: &Value) -> anyhow::Result<()> {
    let text = |key: &str| change[key].as_str().unwrap_or_default();
    let (id, before) = (text("id"), text("before"));
    let (routes, ms) = (&change["routes"], &change["took_ms"]);
    writeln!(answer, "serving {id}: {routes} routes, after {before} (ready in {ms} ms)")?;
    Ok(())
}

/// Lists the generations of a host.
pub(super) async fn generations(host: &Host, json: bool) -> anyhow::Result<String> {
    let found = request(&host.client()?, Method::GET, "/generations").await?;
    if json {
        return Ok(format!("{found:#}\n"));
    }
    let all = found["generations"]
        .as_array()
        .context("the response has no list of generations; is --to the deploy.listen of a carya host?")?;
    let mut answer = String::new();
    for one in all {
        let text = |key: &str| one[key].as_str().unwrap_or("-");
        let mark = if one["active"] == true { "active" } else { "" };
        let age = age(one["created_at"].as_u64().unwrap_or_default());
        writeln!(
            answer,
            "{}  {age:>12}  {:>5} files  {mark:6}  after {}",
            text("id"),
            one["files"],
            text("predecessor")
        )?;
    }
    if found["serving"] != found["active"] {
        writeln!(answer, "{} is served", found["serving"].as_str().unwrap_or_default())?;
    }
    write_fleet(&mut answer, &found["fleet"])?;
    Ok(answer)
}

/// Formats the hosts of a fleet, if there is one.
fn write_fleet(answer: &mut String, fleet: &Value) -> anyhow::Result<()> {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    for one in fleet["hosts"].as_array().into_iter().flatten() {
        let (name, generation, error) = (text(one, "name"), text(one, "generation"), text(one, "error"));
        let ago = |key: &str| age(one[key].as_u64().unwrap_or_default());
        let mark = if fleet["host"] == one["name"] { "this host" } else { "" };
        write!(answer, "{name}  {generation}  since {}, seen {}  {mark}", ago("since"), ago("seen"))?;
        let error = if error.is_empty() { error } else { format!("\n  cannot follow: {error}") };
        writeln!(answer, "{error}")?;
    }
    if fleet["hosts"].is_null() && fleet["error"].is_string() {
        writeln!(answer, "the hosts of the fleet are not known: {}", text(fleet, "error"))?;
    }
    Ok(())
}

/// Formats how long ago a time was that is given in seconds since 1970.
fn age(seconds: u64) -> String {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let age = then.elapsed().unwrap_or_default().as_secs();
    match age {
        0..120 => format!("{age} s ago"),
        120..7200 => format!("{} min ago", age / 60),
        7200..172_800 => format!("{} h ago", age / 3600),
        _ => format!("{} days ago", age / 86_400),
    }
}

/// Activates the generation that the host had active before.
pub(super) async fn rollback(host: &Host) -> anyhow::Result<String> {
    let change = request(&host.client()?, Method::POST, "/rollback").await?;
    ensure!(change.is_object(), "the response has no served generation; is --to the deploy.listen of a carya host?");
    let mut answer = String::new();
    write_differences(&mut answer, &change)?;
    write_change(&mut answer, &change)?;
    Ok(answer)
}
