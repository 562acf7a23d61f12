//! Several databases in one application, of one engine or of different ones: each route uses its own database, and so
//! do the hooks and actions of its requests.

use std::process::Stdio;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::{
    metrics,
    script::{answer, insert, marks, play},
    support::{App, Engine, Log, PATIENCE, Result, Wrong, carya, check_eq, client::Client, eventually, servers, write},
};

const CONFIG: &str = r#"
    [server]
    metrics = "127.0.0.1:0"
    [component.probe]
    path = "{guest:probe}"
    [component.hook]
    path = "{guest:trace-hook}"
    settings = { after = "write", sql = "INSERT INTO hooks VALUES (1)" }
    [model]
    migrations = "migrations"
    [[route]]
    path = "/main"
    component = "probe"
    methods = ["POST"]
    hooks = ["hook"]
    [[route]]
    path = "/main"
    component = "probe"
    methods = ["GET"]
    [[route]]
    path = "/ledger"
    component = "probe"
    methods = ["POST"]
    database = "ledger"
    hooks = ["hook"]
    [[route]]
    path = "/ledger"
    component = "probe"
    methods = ["GET"]
    database = "ledger"
"#;

const MARKS: &str = "CREATE TABLE marks (mark VARCHAR(20) PRIMARY KEY NOT NULL); CREATE TABLE hooks (n INTEGER);";

/// An application with two databases, and the URLs to start it again.
struct Two {
    app: App,
    main_url: Option<String>,
    ledger_url: String,
}

impl Two {
    /// Returns `None` if an engine is not installed.
    async fn start(main: Engine, ledger: Engine) -> Result<Option<Self>> {
        if [main, ledger].iter().any(|engine| !engine.is_installed()) {
            return Ok(None);
        }
        let main_url = database(main).await?;
        let ledger_url = database(ledger).await?.unwrap_or_else(|| "sqlite://ledger.sqlite".to_owned());
        Self::start_in(tempfile::tempdir()?, main_url, ledger_url).await.map(Some)
    }

    async fn start_in(folder: TempDir, main_url: Option<String>, ledger_url: String) -> Result<Self> {
        let config = format!("{CONFIG}[database.ledger]\nurl = \"{ledger_url}\"\nmigrations = \"ledger\"\n");
        let ledger = format!("{MARKS} CREATE TABLE entries (entry INTEGER);");
        let files = [("migrations/0001_marks.sql", MARKS), ("ledger/0001_marks.sql", ledger.as_str())];
        let env: Vec<_> = main_url.iter().map(|url| ("CARYA_DATABASE__URL", url.as_str())).collect();
        let app = App::start_in(folder, &config, &files, &env).await?;
        Ok(Self { app, main_url, ledger_url })
    }

    async fn start_again(self) -> Result<Self> {
        let (folder, _) = self.app.stop().await?;
        Self::start_in(folder, self.main_url, self.ledger_url).await
    }

    /// Returns a second client of the database `ledger`.
    fn ledger(&self) -> Result<Client> {
        if self.ledger_url.starts_with("sqlite:") {
            let file = self.app.folder.path().join("ledger.sqlite");
            return Ok(Client::Sqlite(SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE)));
        }
        Client::new(&self.ledger_url)
    }
}

/// Creates a database and returns its URL. Returns `None` for SQLite, which uses a file.
async fn database(engine: Engine) -> Result<Option<String>> {
    let Some(cluster) = servers::shared(engine).await? else { return Ok(None) };
    Ok(Some(cluster.database().await?.primary_url()))
}

/// Requests on a route, and the hooks of that route, write to the route's database only.
async fn commits_go_to_the_database_of_the_route(two: &Two) -> Result {
    let (app, ledger) = (&two.app, two.ledger()?);
    for (path, mark, status) in
        [("/main", "a", 200), ("/ledger", "b", 200), ("/ledger", "c", 200), ("/main", "d", 409), ("/ledger", "e", 409)]
    {
        let script = json!([insert(mark), answer(status)]);
        assert_eq!(play(app, "POST", path, &script).await?.status, status, "{path} {mark}");
    }
    let in_ledger = ledger.texts("SELECT mark FROM marks ORDER BY mark").await?.join(" ");
    assert_eq!((marks(app).await?.as_str(), in_ledger.as_str()), ("a", "b c"));
    assert_eq!(app.number("SELECT count(*) FROM hooks").await?, 1);
    assert_eq!(ledger.number("SELECT count(*) FROM hooks").await?, 2);

    // Each database has its own migrations and its own reader.
    let entries = json!([{ "sql": "SELECT count(*) FROM entries", "op": "query_one" }]);
    assert_eq!(play(app, "GET", "/ledger", &entries).await?.json()?[0]["row"][0]["v"], "0");
    assert_eq!(play(app, "GET", "/main", &entries).await?.status, 500);
    let metrics = metrics::of(app).await?;
    let mut wrong = Wrong::default();
    for (database, begun) in [("default", 3.0), ("ledger", 4.0)] {
        check_eq!(
            wrong,
            metrics[&format!("carya_begin_total{{database=\"{database}\",target=\"primary\"}}")],
            begun,
            "{database:?}"
        );
    }
    Ok(())
}

/// The host records a durable action in the database of its request, and delivers it from there.
async fn actions_wait_in_the_database_of_the_route(two: Two) -> Result {
    let (main, ledger) = (two.app.client()?, two.ledger()?);
    let (in_main, in_ledger) = (main.outbox().await?, ledger.outbox().await?);
    let count = |table: &str| format!("SELECT count(*) FROM {table}");
    let register = |name: &str| json!([{ "after_commit": name, "payload": "to-ann", "delivery": "at-least-once" }]);

    assert_eq!(play(&two.app, "POST", "/ledger", &register("note")).await?.status, 200);
    two.app.log.wait_for("action note to-ann").await?;
    eventually("the outbox is empty", async || Ok(ledger.number(&count(&in_ledger)).await? == 0)).await?;
    assert_eq!(main.number(&count(&in_main)).await?, 0);

    assert_eq!(play(&two.app, "POST", "/ledger", &register("fail")).await?.status, 200);
    two.app.log.wait_for("an action failed; it will be run again").await?;
    assert_eq!((main.number(&count(&in_main)).await?, ledger.number(&count(&in_ledger)).await?), (0, 1));
    // The host reads the outbox when it starts, if it has not read the outbox before.
    ledger.execute(&format!("UPDATE {in_ledger} SET name = 'later', due_at = 0")).await?;
    let two = two.start_again().await?;
    two.app.log.wait_for("action later to-ann").await?;
    eventually("the outbox is empty", async || Ok(ledger.number(&count(&in_ledger)).await? == 0)).await?;
    Ok(())
}

async fn two_databases(main: Engine, ledger: Engine) -> Result {
    let Some(two) = Two::start(main, ledger).await? else { return Ok(()) };
    commits_go_to_the_database_of_the_route(&two).await?;
    actions_wait_in_the_database_of_the_route(two).await
}

#[tokio::test]
async fn two_files() -> Result {
    two_databases(Engine::Sqlite, Engine::Sqlite).await
}

#[tokio::test]
async fn a_file_and_postgres() -> Result {
    two_databases(Engine::Sqlite, Engine::Postgres).await
}

#[tokio::test]
async fn postgres_and_mariadb() -> Result {
    two_databases(Engine::Postgres, Engine::MariaDb).await
}

#[tokio::test]
async fn mariadb_and_a_file() -> Result {
    two_databases(Engine::MariaDb, Engine::Sqlite).await
}

/// If all configured databases have names, a route without a `database` is served, but its statements fail.
#[tokio::test]
async fn a_route_without_a_database() -> Result {
    let folder = tempfile::tempdir()?;
    let config = CONFIG.replace("    [model]\n    migrations = \"migrations\"\n", "");
    let config = format!("{config}[database.ledger]\nurl = \"sqlite://ledger.sqlite\"\nmigrations = \"ledger\"\n");
    write(folder.path(), &config, &[("ledger/0001_marks.sql", MARKS)])?;
    let mut process = carya()
        .args(["serve", "--log-format", "json"])
        .current_dir(folder.path())
        .env("CARYA_SERVER__LISTEN", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    let address = log.wait_for("serving").await?["address"].as_str().ok_or("no address")?.to_owned();
    let query = json!([{ "sql": "SELECT count(*) FROM marks" }]).to_string();
    let mut wrong = Wrong::default();
    for (path, script, status) in [("main", "[]", 200), ("ledger", &*query, 200), ("main", &*query, 500)] {
        let request = reqwest::Client::new().get(format!("http://{address}/{path}")).body(script.to_owned());
        check_eq!(wrong, request.send().await?.status(), status, "{path} {script}");
    }
    log.wait_for("no [database] is configured").await?;
    Ok(process.kill().await?)
}
