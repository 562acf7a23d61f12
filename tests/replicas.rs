//! Replicas: reads use them and writes do not, a client that sends its position reads its own writes, and the host uses
//! a server again as soon as it is back.

mod conflicts;
mod health;
mod load;
mod tokens;

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};

use crate::{
    script,
    support::{
        App, Response, Result,
        servers::{Engine, Pair},
    },
};

const POSITION: &str = "x-carya-position";
const TABLE: &str = "CREATE TABLE ones (id BIGINT PRIMARY KEY)";
const PINNED: &str = "[[route]]\npath = \"/pinned\"\ncomponent = \"probe\"\nprimary = true\n[[route]]\npath = \"/once\"\ncomponent = \"probe\"\nretries = 0\n";

/// Serves the guest `probe` with one table, on a primary and its replicas.
async fn serve(primary: &str, replicas: &[&str], settings: &str) -> Result<App> {
    let config = format!("{}{PINNED}[database]\nreplicas = {replicas:?}\n{settings}", script::config());
    // Queries that run for a second on an idle machine run for many on a busy one.
    let env = [
        ("CARYA_DATABASE__URL", primary),
        ("CARYA_SERVER__METRICS", "127.0.0.1:0"),
        ("CARYA_COMPONENT__PROBE__TIMEOUT", "60s"),
    ];
    App::start_in(tempfile::tempdir()?, &config, &[("migrations/0001_table.sql", TABLE)], &env).await
}

/// A primary and a replica that no other test uses, and an application on them.
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

/// Inserts one row.
async fn write(app: &App) -> Result<Response> {
    let answer = script::send(app, "POST", &insert()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(answer)
}

/// Returns the number of rows that a request sees.
async fn rows(app: &App, method: &str, path: &str, headers: HeaderMap) -> Result<usize> {
    let script = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
    let answer = app.send(method, path, headers, script.to_string()).await?;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    let count = answer.json()?[0]["row"][0]["v"].as_str().ok_or("no count")?.parse()?;
    Ok(count)
}

/// Returns the number of rows that a GET sees.
async fn seen(app: &App) -> Result<usize> {
    rows(app, "GET", "/x", HeaderMap::new()).await
}

/// Returns the number of transactions that began on the primary and on replicas, from the host's metrics.
async fn begun(app: &App) -> Result<[usize; 2]> {
    let count =
        async |target| app.metric(&format!("carya_begin_total{{database=\"default\",target=\"{target}\"}}")).await;
    Ok([count("primary").await?, count("replica").await?])
}
