//! Requests that wait for a connection and take over its open transaction. Each of them must read the current data.

use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    script::{send, serve_with},
    support::{Engine, Result, eventually, on_each_engine},
};

const QUEUE: usize = 24;
const ROUNDS: i64 = 10;

async fn a_waiting_request_reads_the_current_data(engine: Engine) -> Result {
    let app = serve_with(engine, "CREATE TABLE t (n BIGINT PRIMARY KEY)", "[database]\nmax_connections = 1").await?;
    let count = json!({ "sql": "SELECT count(*) FROM t", "op": "query_one" });
    // A request without statements takes over a transaction too, and must also not keep it open.
    let scripts = [json!([count]), json!([])];
    let (app, scripts) = (&app, &scripts);
    let crowd = (0..QUEUE).map(|number| async move {
        for _ in 0..ROUNDS {
            let answer = send(app, "GET", &scripts[number % scripts.len()]).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        Result::Ok(())
    });
    let changes = async {
        for round in 1..=ROUNDS {
            let insert = json!([{ "sql": "INSERT INTO t VALUES (?)", "op": "execute", "params": [round] }]);
            assert_eq!(send(app, "POST", &insert).await?.status, 200);
            let answer = send(app, "GET", &scripts[0]).await?;
            assert_eq!(answer.json()?[0]["row"][0]["v"], round.to_string(), "{}", answer.text());
        }
        Result::Ok(())
    };
    tokio::try_join!(try_join_all(crowd), changes)?;
    if engine == Engine::Sqlite {
        // SQLite cannot truncate the write-ahead log while a read transaction is open.
        let client = app.client()?;
        eventually("nobody reads", async || Ok(client.number("PRAGMA wal_checkpoint(TRUNCATE)").await? == 0)).await?;
    }
    Ok(())
}

on_each_engine!(a_waiting_request_reads_the_current_data);
