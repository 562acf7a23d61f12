//! Rows that the host streams to clients: large results in constant memory, their limits, and their ends.

mod ends;
mod head;
mod limits;
mod rows;

use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    script,
    support::{App, Engine, PATIENCE, Result},
};

/// Table with the numbers from 0 to 999.
const THOUSAND: &str = "CREATE TABLE thousand (n INTEGER PRIMARY KEY NOT NULL);
    INSERT INTO thousand WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 999) SELECT i FROM c";

/// Starts an application with `probe` behind every path and the table `thousand`.
async fn start(engine: Engine, extra: &str) -> Result<App> {
    script::serve_with(engine, THOUSAND, extra).await
}

/// Returns a query for `thousands` times 1000 rows `(i, name)`, in no particular order.
fn many(thousands: usize) -> String {
    let i = "a.n * 1000 + b.n";
    format!(
        "SELECT {i} AS i, 'a row of the table' AS name FROM thousand a CROSS JOIN thousand b WHERE a.n < {thousands}"
    )
}

/// Returns a query for 1000 rows of which the row with `n = 900` fails while it is read.
fn failing(engine: Engine) -> String {
    let broken = match engine {
        // JSON has no infinity.
        Engine::Sqlite => "CASE WHEN n = 900 THEN 9e999 ELSE n END",
        Engine::Postgres => "1 / (900 - n)",
        Engine::MariaDb => "exp(CASE WHEN n = 900 THEN 710 ELSE 1 END)",
    };
    let filler = "x".repeat(200);
    format!("SELECT n, '{filler}' AS filler, {broken} AS broken FROM thousand ORDER BY n")
}

/// Returns a script that responds with the rows of a query.
fn rows(sql: &str, format: &str) -> Json {
    json!([{ "answer": { "rows": { "sql": sql, "format": format } } }])
}

/// Sends a request for the rows of a query as CSV, and returns the response after its head.
async fn begin(app: &App, sql: &str) -> Result<reqwest::Response> {
    Ok(app.request("GET", "/x").headers(HeaderMap::new()).body(rows(sql, "csv").to_string()).send().await?)
}

/// Reads the rest of a response without keeping it. Returns its length.
async fn length(mut answer: reqwest::Response) -> Result<usize> {
    let mut length = 0;
    while let Some(chunk) = timeout(PATIENCE, answer.chunk()).await?? {
        length += chunk.len();
    }
    Ok(length)
}

/// Sends a request on a socket of its own, with the given version of HTTP.
async fn send_raw(app: &App, method: &str, version: &str, script: &Json) -> Result<TcpStream> {
    let (mut client, body) = (TcpStream::connect(app.address()).await?, script.to_string());
    let head = format!(
        "{method} /x HTTP/{version}\r\nhost: carya\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await?;
    Ok(client)
}

/// Reads until the host closes the connection.
async fn read_raw(mut client: TcpStream) -> Result<String> {
    let mut received = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut received)).await??;
    Ok(String::from_utf8_lossy(&received).into_owned())
}
