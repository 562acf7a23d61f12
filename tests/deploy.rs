//! Deployments to a running host: activation, rollback, restarts and refusals.

mod api;
mod fleet;
mod killed;
mod listener;
mod powers;
mod rollback;

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use carya::deploy::{Digest, Manifest};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{App, Engine, Response, Result, carya, guest};

const TOKEN: &str = "the-token-of-the-tests";

/// Returns the `carya.toml` of the host itself.
fn own() -> String {
    format!("[deploy]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n")
}

/// A running host that accepts deployments.
pub(super) struct Host {
    pub(super) app: App,
    admin: String,
    http: reqwest::Client,
}

impl Host {
    pub(super) async fn start() -> Result<Self> {
        Self::start_on(Engine::Sqlite).await
    }

    pub(super) async fn start_on(engine: Engine) -> Result<Self> {
        Self::start_in(engine.folder().await?, &own()).await
    }

    async fn start_in(folder: TempDir, own: &str) -> Result<Self> {
        Self::of(App::start_in(folder, own, &[], &[]).await?).await
    }

    async fn of(app: App) -> Result<Self> {
        let line = app.log.wait_for("deployment").await?;
        let admin = line["address"].as_str().ok_or("no address")?.to_owned();
        Ok(Self { app, admin, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// Kills the host with SIGKILL and starts it again in the same folder.
    pub(super) async fn killed(self) -> Result<Self> {
        Self::start_in(self.app.kill().await?, &own()).await
    }

    fn url(&self) -> String {
        format!("http://{}", self.admin)
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        self.http.request(method, format!("http://{}{path}", self.admin)).bearer_auth(TOKEN)
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Result<Response> {
        Response::read(self.request(method, path).body(body).send().await?).await
    }

    async fn list(&self) -> Result<Value> {
        self.call("GET", "/generations", "").await?.json()
    }

    /// Uploads the files and the manifest of a generation through the admin API, without `carya deploy`.
    pub(super) async fn put(&self, files: &Files) -> Result<Manifest> {
        for content in files.values() {
            let answer = self.call("PUT", &format!("/blobs/{}", Digest::of(content)), content.clone()).await?;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        let manifest = manifest(files);
        let path = format!("/generations/{}", manifest.id);
        let answer = self.call("PUT", &path, serde_json::to_vec(&manifest)?).await?;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        Ok(manifest)
    }

    pub(super) async fn activate(&self, manifest: &Manifest) -> Result<Response> {
        self.call("POST", &format!("/generations/{}/activate", manifest.id), "").await
    }

    /// Returns the id of the generation that answers requests, and the text of its page. Asserts that this generation
    /// is the active one.
    pub(super) async fn served(&self) -> Result<(String, String)> {
        let (list, page) = (self.list().await?, self.app.get("/static/page.txt").await?);
        let served = self.app.get("/x").await?.header("x-carya-generation").to_owned();
        assert_eq!((&list["active"], &list["serving"]), (&json!(served), &json!(served)), "{list}");
        Ok((served, page.text()))
    }
}

/// Contents of the files of an application, by path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// An application with one component and a page. A host must ignore its `[server]` and `[database]` sections.
pub(super) fn files(page: &str) -> Result<Files> {
    let config = r#"
        [server]
        listen = "192.0.2.1:1"
        [database]
        url = "${A_SECRET_OF_THE_HOST}"
        [model]
        migrations = "migrations"
        [component.probe]
        path = "guests/probe.wasm"
        [[static]]
        path = "/static"
        folder = "static"
        [[route]]
        path = "/{what}"
        component = "probe"
        [[smoke]]
        path = "/x"
    "#;
    Ok([
        ("carya.toml", config.as_bytes().to_vec()),
        ("guests/probe.wasm", fs::read(guest("probe"))?),
        ("static/page.txt", page.as_bytes().to_vec()),
        ("migrations/0001_marks.sql", b"CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)".to_vec()),
    ]
    .map(|(path, content)| (path.to_owned(), content))
    .into())
}

fn manifest(files: &Files) -> Manifest {
    Manifest::new(files.iter().map(|(path, content)| (path.clone(), Digest::of(content))).collect())
}

fn write(folder: &Path, files: &Files) -> Result {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// Result of a run of the program: whether it succeeded, its standard output and its standard error.
struct Output {
    success: bool,
    answer: String,
    messages: String,
}

async fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    let mut command = carya();
    let output = command.args(args).envs(env.iter().copied()).stdin(Stdio::null()).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { success: output.status.success(), answer: text(&output.stdout), messages: text(&output.stderr) })
}

/// Runs `carya deploy` for the application in a folder.
async fn deploy(folder: &Path, host: &Host, more: &[&str]) -> Result<Output> {
    let (config, url) = (folder.join("carya.toml").display().to_string(), host.url());
    let args = [&["deploy", "--config", &config, "--to", &url], more].concat();
    run(&args, &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await
}

#[tokio::test]
async fn a_deployment_is_served_and_rolled_back() -> Result {
    let host = Host::start().await?;
    assert_eq!(host.app.get("/x").await?.status, 404, "the host's own carya.toml has no routes");
    let folder = tempfile::tempdir()?;
    let (first, mut second) = (files("one")?, files("two")?);
    write(folder.path(), &first)?;
    let one = manifest(&first).id.to_string();
    let ran = deploy(folder.path(), &host, &[]).await?;
    assert!(ran.success, "{}", ran.messages);
    assert!(ran.answer.starts_with(&format!("generation {one}: 4 files, 4 uploaded")), "{}", ran.answer);
    assert_eq!(host.served().await?, (one.clone(), "one".to_owned()));
    assert_eq!(host.app.number("SELECT count(*) FROM marks").await?, 0, "the host's database has the table");

    let config = String::from_utf8(second["carya.toml"].clone())?.replace("/{what}", "/{what}/{more}");
    second.insert("carya.toml".to_owned(), config.replace("\"/x\"", "\"/x/y\"").into_bytes());
    second.insert("static/more.txt".to_owned(), b"more".to_vec());
    write(folder.path(), &second)?;
    let two = manifest(&second).id.to_string();
    let ran = deploy(folder.path(), &host, &["--no-activate"]).await?;
    assert!(ran.success && ran.answer.contains("3 uploaded"), "{} {}", ran.answer, ran.messages);
    assert_eq!(host.served().await?.0, one, "`--no-activate` must not activate it");
    let ran = deploy(folder.path(), &host, &[]).await?;
    let lines: Vec<&str> = ran.answer.lines().collect();
    let expected = ["  + static/more.txt", "  ~ carya.toml", "  ~ static/page.txt"];
    assert!(lines[0].contains("0 uploaded") && lines[1..4] == expected, "{}", ran.answer);
    assert!(lines[4].starts_with("  route-lost ") && lines[4].contains(" /{what}: was removed"), "{}", ran.answer);
    assert!(lines[5].starts_with("! route-new ") && lines[5].contains(" /{what}/{more}: is new"), "{}", ran.answer);
    assert_eq!(host.app.get("/static/more.txt").await?.text(), "more");
    assert_eq!(host.app.get("/x").await?.status, 404);
    assert_eq!(host.app.get("/x/y").await?.header("x-carya-generation"), two);

    // After a restart and after SIGHUP the host serves the active generation.
    let host = host.killed().await?;
    assert_eq!(host.app.get("/x/y").await?.header("x-carya-generation"), two);
    host.app.signal("HUP").await?;
    host.app.log.wait_for("a new generation is served").await?;
    assert_eq!(host.app.get("/x/y").await?.header("x-carya-generation"), two);

    let back = ["rollback", "--to", &host.url()];
    let ran = run(&back, &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    assert!(ran.answer.contains(&format!("\nserving {one}: 1 routes")), "{} {}", ran.answer, ran.messages);
    assert_eq!(host.served().await?, (one.clone(), "one".to_owned()));
    let ran = run(&back, &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    assert!(!ran.success && ran.messages.contains("no generation before"), "{}", ran.messages);
    let host = host.killed().await?;
    assert_eq!(host.served().await?, (one.clone(), "one".to_owned()));
    let ran = run(&["generations", "--json", "--to", &host.url()], &[("CARYA_DEPLOY_TOKEN", TOKEN)]).await?;
    let list: Value = serde_json::from_str(&ran.answer)?;
    let ids: Vec<_> = list["generations"].as_array().into_iter().flatten().map(|one| one["id"].clone()).collect();
    assert!(list["active"] == one && ids.contains(&json!(one)) && ids.contains(&json!(two)), "{list}");
    Ok(())
}

#[tokio::test]
async fn sighup_reloads_the_hosts_own_configuration() -> Result {
    let host = Host::start().await?;
    let one = host.put(&files("one")?).await?;
    assert_eq!(host.activate(&one).await?.status, 200);
    let body = "[]".to_owned() + &" ".repeat(100);
    assert_eq!(host.app.post("/x", body.clone()).await?.status, 200);
    fs::write(host.app.folder.path().join("carya.toml"), format!("{}[server]\nmax_body = 50\n", own()))?;
    host.app.signal("HUP").await?;
    host.app.log.wait_until("a reload", |line| line["files"] == "carya.toml").await?;
    assert_eq!(host.app.post("/x", body).await?.status, 413);
    assert_eq!(host.served().await?.0, one.id.to_string());
    Ok(())
}

#[tokio::test]
async fn two_deployments_at_the_same_time_are_activated_one_after_the_other() -> Result {
    let host = Host::start().await?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    for round in 0..3 {
        let pages = [format!("a{round}"), format!("b{round}")];
        write(folders[0].path(), &files(&pages[0])?)?;
        write(folders[1].path(), &files(&pages[1])?)?;
        let (a, b) = tokio::join!(deploy(folders[0].path(), &host, &[]), deploy(folders[1].path(), &host, &[]));
        for ran in [a?, b?] {
            assert!(ran.success && ran.answer.contains("serving"), "{} {}", ran.answer, ran.messages);
        }
        let (served, page) = host.served().await?;
        let winner = files(&page)?;
        assert!(pages.contains(&page) && served == manifest(&winner).id.to_string(), "{served} {page}");
        let answer = host.call("POST", "/rollback", "").await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(host.served().await?.1 != page && pages.contains(&host.served().await?.1), "the other page is back");
    }
    Ok(())
}

#[tokio::test]
async fn rejects_an_application_with_a_folder_outside_its_own() -> Result {
    let host = Host::start().await?;
    let folder = tempfile::tempdir()?;
    let mut wrong = files("one")?;
    wrong.insert("carya.toml".to_owned(), b"[[static]]\npath = \"/etc\"\nfolder = \"/etc\"\n".to_vec());
    write(folder.path(), &wrong)?;
    let ran = deploy(folder.path(), &host, &[]).await?;
    assert!(!ran.success && ran.messages.contains("static[0].folder: /etc is outside of"), "{}", ran.messages);
    // The host refuses the application too, if a client skips the check in `carya deploy`.
    let answer = host.activate(&host.put(&wrong).await?).await?;
    assert!(answer.status == 422 && answer.text().contains("/etc is outside of"), "{}", answer.text());
    Ok(())
}
