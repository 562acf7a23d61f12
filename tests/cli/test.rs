//! `carya test`: the application on throw-away databases, with the tests of a project.

mod control;
mod replicas;
mod servers;

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::super::support::{PATIENCE, Result, Wrong, carya, check, check_eq, eventually, write};

const CONFIG: &str = r#"
    [database]
    url = "sqlite://shop.sqlite"
    [database.other]
    url = "sqlite://other.sqlite"
    [model]
    migrations = "migrations"
    [component.items]
    path = "{guest:items}"
    [[route]]
    path = "/items"
    component = "items"
"#;

const MIGRATION: (&str, &str) =
    ("migrations/0001_items.sql", include_str!("../../guest-examples/migrations/0001_shop.sql"));

/// Tests that print their addresses and run until the file `done` exists, which contains their exit code.
const WAIT: &str = "echo \"$CARYA_TEST_URL $CARYA_TEST_CONTROL\" > .urls && mv .urls urls
until [ -f done ]; do sleep 0.02; done; exit \"$(cat done)\"";

/// A running `carya test` with the tests [`WAIT`].
struct Running {
    folder: TempDir,
    /// Folder for temporary files.
    temporary: TempDir,
    process: Child,
    url: String,
    control: String,
    client: Client,
}

impl Running {
    async fn start(options: &[&str]) -> Result<Self> {
        Self::start_with(CONFIG, MIGRATION, options, &[]).await
    }

    async fn start_with(config: &str, migration: (&str, &str), options: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let (folder, temporary) = (tempfile::tempdir()?, tempfile::tempdir()?);
        // The account of a private server must be able to enter the folder.
        std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        write(folder.path(), config, &[migration])?;
        let mut command = carya();
        command.arg("test").args(options).args(["--", "sh", "-c", WAIT]).env("TMPDIR", temporary.path());
        command.envs(env.iter().copied());
        let process = command.current_dir(folder.path()).stderr(Stdio::piped()).spawn()?;
        let begun = Instant::now();
        let urls = loop {
            match std::fs::read_to_string(folder.path().join("urls")) {
                Ok(urls) => break urls,
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let (url, control) = urls.trim().split_once(' ').ok_or("no control")?;
        let (url, control) = (url.to_owned(), control.to_owned());
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { folder, temporary, process, url, control, client })
    }

    /// Creates an item at a lane.
    async fn create(&self, url: &str, name: &str) -> Result<u16> {
        let item = json!({"name": name, "price_cents": 1, "stock": 1});
        Ok(self.client.post(format!("{url}/items")).body(item.to_string()).send().await?.status().as_u16())
    }

    /// Creates an item and resets the databases, three times: each round begins without items.
    async fn reset_thrice(&self, wrong: &mut Wrong) -> Result {
        for round in 0..3 {
            check_eq!(wrong, self.count(&self.url).await?, 0, "round {round}");
            check_eq!(wrong, self.create(&self.url, "pecan").await?, 201, "round {round}");
            check_eq!(wrong, self.count(&self.url).await?, 1, "round {round}");
            check_eq!(wrong, self.control("/lanes/0/reset", "").await?, (204, String::new()), "round {round}");
        }
        Ok(())
    }

    /// Returns the number of items at a lane.
    async fn count(&self, url: &str) -> Result<Value> {
        let page = self.client.get(format!("{url}/items")).send().await?.bytes().await?;
        Ok(serde_json::from_slice::<Value>(&page)?["total"].take())
    }

    /// Sends a POST request to the control, and returns the status and the body.
    async fn control(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<(u16, String)> {
        self.send_control(reqwest::Method::POST, path, body).await
    }

    /// Sends a PUT request to the control, and returns the status and the body.
    async fn put_control(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<(u16, String)> {
        self.send_control(reqwest::Method::PUT, path, body).await
    }

    async fn send_control(
        &self,
        method: reqwest::Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<(u16, String)> {
        let answer = self.client.request(method, format!("{}{path}", self.control)).body(body).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Ends the tests with an exit code. Returns the exit code of `carya test`, its standard error, and the names of the
    /// files in the two folders.
    async fn end(self, code: i32) -> Result<Ended> {
        std::fs::write(self.folder.path().join(".done"), code.to_string())?;
        std::fs::rename(self.folder.path().join(".done"), self.folder.path().join("done"))?;
        self.ended().await
    }

    async fn ended(self) -> Result<Ended> {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait_with_output()).await??;
        let err = String::from_utf8(ended.stderr)?;
        Ok(Ended {
            code: ended.status.code(),
            err,
            files: entries(self.folder.path())?,
            left: entries(self.temporary.path())?,
        })
    }
}

/// An ended `carya test`.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    err: String,
    /// Files in the folder of the project.
    files: Vec<String>,
    /// Files in the folder for temporary files.
    left: Vec<String>,
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

#[tokio::test]
async fn tests_reset_and_query_throw_away_databases() -> Result {
    let tests = Running::start(&[]).await?;
    let mut wrong = Wrong::default();
    tests.reset_thrice(&mut wrong).await?;
    let run = async |sql: &str, params: Value| {
        tests.control("/lanes/0/sql", json!({"sql": sql, "params": params}).to_string()).await
    };
    let insert = "INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?)";
    check_eq!(wrong, run(insert, json!(["walnut", 250, 3])).await?, (200, "[]".to_owned()), "insert");
    let rows = r#"[{"name":"walnut","price_cents":250}]"#.to_owned();
    check_eq!(wrong, run("SELECT name, price_cents FROM items", json!([])).await?, (200, rows), "select");
    check_eq!(wrong, tests.count(&tests.url).await?, 1, "the guest reads the row of the test");
    let made = entries(tests.temporary.path())?;
    check!(wrong, matches!(&*made, [name] if name.starts_with("carya_test_")), "{made:?}");
    let ended = tests.end(3).await?;
    check_eq!(wrong, (ended.code, ended.left.len()), (Some(3), 0), "{ended:?}");
    check!(wrong, ended.err.contains("ended with exit status: 3"), "{ended:?}");
    // The databases of the configuration were not created.
    check!(wrong, !ended.files.iter().any(|name| name.contains("sqlite")), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn each_lane_has_its_own_databases() -> Result {
    let tests = Running::start(&[]).await?;
    let mut wrong = Wrong::default();
    let (status, second) = tests.control("/lanes", "").await?;
    let second: Value = serde_json::from_str(&second)?;
    let url = second["url"].as_str().unwrap_or_default();
    check_eq!(wrong, (status, &second["lane"]), (200, &json!(1)), "the second lane");
    check_eq!(wrong, tests.create(url, "pecan").await?, 201, "the second lane");
    check_eq!(wrong, (tests.count(&tests.url).await?, tests.count(url).await?), (json!(0), json!(1)), "before");
    check_eq!(wrong, tests.control("/lanes/0/reset", "").await?.0, 204, "the first lane");
    check_eq!(wrong, tests.count(url).await?, 1, "after the reset of the first lane");
    for lane in 2..16 {
        check_eq!(wrong, tests.control("/lanes", "").await?.0, 200, "lane {lane}");
    }
    let (status, refusal) = tests.control("/lanes", "").await?;
    check!(wrong, status == 400 && refusal.contains("there are 16 lanes, which is the maximum"), "{refusal}");
    let lanes = tests.client.get(format!("{}/lanes", tests.control)).send().await?.bytes().await?;
    let lanes: Vec<Value> = serde_json::from_slice(&lanes)?;
    check_eq!(wrong, (lanes.len(), &lanes[0]["url"], &lanes[1]["url"]), (16, &json!(tests.url), &json!(url)), "list");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}

#[tokio::test]
async fn the_control_explains_its_refusals() -> Result {
    let tests = Running::start(&[]).await?;
    let mut wrong = Wrong::default();
    for (path, body, expected) in [
        ("/lanes/7/reset", "", "there is no lane 7; the lanes are 0 to 0; POST /lanes adds one"),
        ("/lanes/0/sql", "SELECT 1", r#"the body must be JSON such as {"sql":"#),
        (
            "/lanes/0/sql",
            r#"{"sql": "SELECT ?", "params": [[1]]}"#,
            "parameter 1 must be null, a boolean, a number or text",
        ),
        ("/lanes/0/sql", r#"{"sql": "SELECT * FROM itms"}"#, "no such table: itms"),
        ("/lanes/0/sql", r#"{"sql": "SELECT 1", "database": "third"}"#, "there is no database \"third\""),
    ] {
        let (status, text) = tests.control(path, body).await?;
        check!(wrong, status == 400 && text.contains(expected), "{path} {body}: {status} {text}");
    }
    let (status, rows) = tests.control("/lanes/0/sql", r#"{"sql": "SELECT 1", "database": "other"}"#).await?;
    check_eq!(wrong, (status, rows.as_str()), (200, r#"[{"1":1}]"#), "another database");
    let elsewhere = tests.control.rsplit_once('/').ok_or("no token")?.0;
    let answer = tests.client.post(format!("{elsewhere}/lanes")).send().await?;
    check_eq!(wrong, answer.status().as_u16(), 404, "without the token");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_the_tests_and_removes_the_databases() -> Result {
    let tests = Running::start(&[]).await?;
    let id = tests.process.id().ok_or("it has ended")?;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(id)?).ok_or("no process")?,
        rustix::process::Signal::TERM,
    )?;
    let ended = tests.ended().await?;
    assert_eq!((ended.code, ended.left.len()), (Some(1), 0), "{ended:?}");
    assert!(ended.err.contains("a signal ended the tests"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn databases_of_killed_processes_are_removed_after_a_day() -> Result {
    let (folder, temporary) = (tempfile::tempdir()?, tempfile::tempdir()?);
    write(folder.path(), CONFIG, &[MIGRATION])?;
    let hours = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
    for (name, changed) in [("carya_test_1", hours(25)), ("carya_test_2", hours(23)), ("other", hours(25))] {
        std::fs::create_dir(temporary.path().join(name))?;
        std::fs::File::open(temporary.path().join(name))?.set_modified(changed)?;
    }
    let mut command = carya();
    command.args(["test", "--", "true"]).env("TMPDIR", temporary.path()).current_dir(folder.path());
    let ran = tokio::time::timeout(PATIENCE, command.output()).await??;
    let mut left = entries(temporary.path())?;
    left.sort();
    assert_eq!((ran.status.code(), left), (Some(0), vec!["carya_test_2".to_owned(), "other".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn databases_are_kept_on_request() -> Result {
    let tests = Running::start(&["--keep"]).await?;
    assert_eq!(tests.create(&tests.url, "pecan").await?, 201);
    let ended = tests.end(0).await?;
    assert_eq!((ended.code, ended.left.len()), (Some(0), 1), "{ended:?}");
    assert!(ended.err.contains("the databases are kept in ") && ended.err.contains(&ended.left[0]), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn the_command_of_the_configuration_runs_in_its_folder() -> Result {
    let folder = tempfile::tempdir()?;
    let config = format!("{CONFIG}\n[test]\ncommand = 'pwd > here; [ -n \"$CARYA_TEST_URL\" ]'");
    write(folder.path(), &config, &[MIGRATION])?;
    let file = folder.path().join("carya.toml");
    let ran = super::run(Path::new("/"), &["test", "--config", &file.to_string_lossy()]).await?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let here = std::fs::read_to_string(folder.path().join("here"))?;
    assert_eq!(Path::new(here.trim()).canonicalize()?, folder.path().canonicalize()?);
    Ok(())
}

#[tokio::test]
async fn the_tests_run_again_after_a_change() -> Result {
    let (folder, temporary) = (tempfile::tempdir()?, tempfile::tempdir()?);
    write(folder.path(), CONFIG, &[MIGRATION, ("tests/one.txt", "first")])?;
    let mut command = carya();
    let note = "cat tests/one.txt >> .seen; echo >> .seen; exit 1";
    command.args(["test", "--watch", "--", "sh", "-c", note]).env("TMPDIR", temporary.path());
    let process = command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let seen = || std::fs::read_to_string(folder.path().join(".seen")).unwrap_or_default();
    eventually("the first run", async || Ok(seen() == "first\n")).await?;
    std::fs::write(folder.path().join("tests/one.txt"), "second")?;
    eventually("the second run", async || Ok(seen() == "first\nsecond\n")).await?;
    // A hidden file is no source. The same content again is no change.
    std::fs::write(folder.path().join(".hidden"), "x")?;
    std::fs::write(folder.path().join("tests/one.txt"), "second")?;
    std::fs::write(folder.path().join("tests/two.txt"), "new")?;
    eventually("the third run", async || Ok(seen() == "first\nsecond\nsecond\n")).await?;
    let id = process.id().ok_or("it has ended")?;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(id)?).ok_or("no process")?,
        rustix::process::Signal::TERM,
    )?;
    let ended = tokio::time::timeout(PATIENCE, process.wait_with_output()).await??;
    let out = String::from_utf8(ended.stdout)?;
    assert_eq!((ended.status.code(), entries(temporary.path())?.len()), (Some(1), 0), "{out}");
    assert!(out.contains("the tests ended with exit status: 1; waiting for a change"), "{out}");
    assert!(out.contains("tests/one.txt changed"), "{out}");
    Ok(())
}

/// Returns the configuration with a server that does not exist.
fn on_server() -> String {
    CONFIG.replace("sqlite://shop.sqlite", "postgres://ann:secret@localhost/shop")
}

#[tokio::test]
async fn what_cannot_be_tested_is_an_error() -> Result {
    let mut wrong = Wrong::default();
    let broken =
        CONFIG.replace("path = \"{guest:items}\"", "path = 'it.wasm'\nbuild = 'exit 7'\nsource = 'migrations'");
    for (config, args, expected) in [
        (CONFIG, ["test"].as_slice(), r#"there is no command that runs the tests; add [test] command = "..""#),
        (&broken, &["test", "--", "true"], "items could not be built; see the messages above"),
        (CONFIG, &["test", "--", "./no-such-program"], "cannot run `./no-such-program`: No such file or directory"),
        (
            &on_server(),
            &["test", "--", "true"],
            "database.url: names a server, and `carya test` never uses its databases; to create throw-away databases, set \
             [test] url to an administrator's login on a PostgreSQL server for tests, or run `carya test --start postgres`",
        ),
        (
            &format!("{}[test]\nurl = 'postgres://ann:secret@localhost/shop'", on_server()),
            &["test", "--", "true"],
            "test.url: names the same database as [database]; name one that the application does not use",
        ),
        (CONFIG, &["test", "--start", "mariadb", "--", "true"], "no database of the configuration is on MySQL"),
    ] {
        let folder = tempfile::tempdir()?;
        write(folder.path(), config, &[MIGRATION])?;
        let ran = super::run(folder.path(), args).await?;
        check!(wrong, ran.code == Some(1) && ran.err.contains(expected), "{args:?}: {ran:?}");
    }
    Ok(())
}
