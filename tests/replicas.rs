//! Replicas: reads go there and writes do not, nobody reads older than what it has written, and neither server is missed
//! longer than it is away.

mod conflicts;
mod health;
mod load;
mod tokens;

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};

use crate::{
    script,
    support::{
        Answer, App, Result,
        servers::{Engine, Pair},
    },
};

const POSITION: &str = "x-carya-position";
const TABLE: &str = "CREATE TABLE ones (id BIGINT PRIMARY KEY)";
const PINNED: &str = "[[route]]\npath = \"/pinned\"\ncomponent = \"probe\"\nprimary = true\n[[route]]\npath = \"/once\"\ncomponent = \"probe\"\nretries = 0\n";

/// Has the guest `probe` read and write one table, with replicas of its database.
async fn serve(primary: &str, replicas: &[&str], settings: &str) -> Result<App> {
    let config = format!("{}{PINNED}[database]\nreplicas = {replicas:?}\n{settings}", script::config());
    let env = [("CARYA_DATABASE__URL", primary), ("CARYA_SERVER__METRICS", "127.0.0.1:0")];
    App::start_in(tempfile::tempdir()?, &config, &[("migrations/0001_table.sql", TABLE)], &env).await
}

/// Two servers of one's own, and an application on them.
struct Stage {
    pair: Pair,
    urls: [String; 2],
    app: App,
}

impl Stage {
    async fn new(engine: Engine, settings: &str) -> Result<Self> {
        let pair = Pair::start(engine).await?.ok_or("not installed")?;
        let database = pair.database().await?;
        let urls = [database.primary_url(), database.replica_url()];
        let app = serve(&urls[0], &[&urls[1]], settings).await?;
        pair.synchronize().await?;
        Ok(Self { pair, urls, app })
    }
}

fn insert() -> Json {
    json!([{ "sql": "INSERT INTO ones SELECT coalesce(max(id), 0) + 1 FROM ones", "op": "execute" }])
}

/// Writes one row more.
async fn write(app: &App) -> Result<Answer> {
    let answer = script::send(app, "POST", &insert()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(answer)
}

/// How many rows a method sees at a path.
async fn rows(app: &App, method: &str, path: &str, headers: HeaderMap) -> Result<usize> {
    let script = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
    let answer = app.send(method, path, headers, script.to_string()).await?;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    let count = answer.json()?[0]["row"][0]["v"].as_str().ok_or("no count")?.parse()?;
    Ok(count)
}

/// How many rows a GET sees.
async fn seen(app: &App) -> Result<usize> {
    rows(app, "GET", "/x", HeaderMap::new()).await
}

/// How many transactions began on the primary and on replicas, as the host counts.
async fn begun(app: &App) -> Result<[usize; 2]> {
    let count =
        async |target| app.metric(&format!("carya_begin_total{{database=\"default\",target=\"{target}\"}}")).await;
    Ok([count("primary").await?, count("replica").await?])
}
