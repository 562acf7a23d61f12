//! `database.echo`: the host logs every statement with its number of rows, its changes and its duration. It logs
//! parameters only if `echo_params` is set too.

use serde_json::{Value as Json, json};

use crate::{
    script::{config, send},
    support::{App, Engine, Result, Wrong, check, check_eq, servers},
};

const TABLES: &str = "CREATE TABLE logins (name VARCHAR(40) PRIMARY KEY NOT NULL, secret VARCHAR(40), n INTEGER)";
/// Log filter that enables every target that could log a statement.
const EVERYTHING: &str = "info,carya=trace,sqlx=trace,hyper=trace,guest=trace";
const SECRET: &str = "hunter2-of-ann";

async fn serve(engine: Engine, keys: &str, log: &str) -> Result<App> {
    let url = match servers::shared(engine).await? {
        Some(cluster) => Some(cluster.database().await?.primary_url()),
        None => None,
    };
    let mut env = vec![("CARYA_LOG", log)];
    env.extend(url.iter().map(|url| ("CARYA_DATABASE__URL", url.as_str())));
    let config = format!("{}\n[database]\n{keys}\n", config());
    App::start_in(tempfile::tempdir()?, &config, &[("migrations/0001_tables.sql", TABLES)], &env).await
}

const INSERT: &str = "INSERT INTO logins VALUES (?, ?, 1)";
const SELECT: &str = "SELECT name FROM logins WHERE secret = ?";
const UPDATE: &str = "UPDATE logins SET n = n + ?";
const NUMBER: &str = "INSERT INTO logins VALUES ('x', 'x', ?)";

/// Returns the echoed lines, one for each statement.
fn echoed(app: &App) -> Vec<Json> {
    app.log.lines().into_iter().filter(|line| line["target"] == "carya::sql").collect()
}

/// Sends statements that succeed, and statements that fail because of their parameters. Returns the id of the first
/// request.
async fn speak(app: &App) -> Result<String> {
    let rows = json!([["ann", SECRET], ["bob", SECRET], ["eve", "x"]]);
    let script = json!([
        { "sql": INSERT, "op": "batch", "params": rows },
        { "sql": SELECT, "params": [SECRET] },
        { "sql": SELECT, "op": "query_json", "params": ["x"] },
        { "sql": UPDATE, "op": "execute", "params": [1] },
    ]);
    let first = send(app, "POST", &script).await?;
    assert_eq!(first.status, 200);
    let taken = json!([{ "sql": INSERT, "op": "execute", "params": [SECRET, "x"] }]);
    assert_eq!(send(app, "POST", &taken).await?.status, 200);
    assert_eq!(send(app, "POST", &taken).await?.status, 500, "it is there already");
    let mut wrong = Wrong::default();
    for params in [json!([SECRET]), json!([{ "t": "other", "v": { "type_name": "DATE", "text": SECRET } }])] {
        for swallow in [false, true] {
            let script = json!([{ "sql": NUMBER, "op": "execute", "params": params, "swallow": swallow }]);
            let status = send(app, "POST", &script).await?.status;
            check!(wrong, status == 500 || app.database_url.is_none(), "{status}: {script}");
        }
    }
    Ok(first.header("x-request-id").to_owned())
}

async fn statements_are_echoed(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = serve(engine, "echo = true", EVERYTHING).await?;
    let id = speak(&app).await?;
    let lines = echoed(&app);
    let expected = [(INSERT, 0, 1), (INSERT, 0, 1), (INSERT, 0, 1), (SELECT, 2, 0), (SELECT, 1, 0), (UPDATE, 0, 3)];
    let mut wrong = Wrong::default();
    for (line, (sql, rows, affected)) in lines.iter().zip(expected) {
        let told = (&line["sql"], &line["rows"], &line["affected"], &line["level"]);
        check_eq!(wrong, told, (&json!(sql), &json!(rows), &json!(affected), &json!("INFO")), "{engine}: {line}");
        check!(wrong, line["us"].is_u64(), "{engine}: {line}");
        let origin = (&line["component"], &line["request"]);
        check_eq!(wrong, origin, (&json!("probe"), &json!(id)), "{engine}: {line}");
    }
    // Failed statements are echoed too.
    assert_eq!(lines.len(), expected.len() + 6, "{engine}: {lines:#?}");
    let log: Vec<_> = app.log.lines().iter().map(Json::to_string).filter(|line| line.contains(SECRET)).collect();
    assert!(log.is_empty(), "{engine}: {log:#?}");

    let app = serve(engine, "echo = true\necho_params = true", "info").await?;
    speak(&app).await?;
    let params = echoed(&app)[0]["params"].to_string();
    assert!(params.contains("ann") && params.contains(SECRET), "{engine}: {params}");

    let app = serve(engine, "echo_params = true", EVERYTHING).await?;
    speak(&app).await?;
    assert!(echoed(&app).is_empty(), "{engine}: nobody asked for an echo");
    Ok(())
}

#[tokio::test]
async fn statements_on_sqlite_are_echoed() -> Result {
    statements_are_echoed(Engine::Sqlite).await
}

#[tokio::test]
async fn statements_on_postgres_are_echoed() -> Result {
    statements_are_echoed(Engine::Postgres).await
}

#[tokio::test]
async fn statements_on_mariadb_are_echoed() -> Result {
    statements_are_echoed(Engine::MariaDb).await
}
