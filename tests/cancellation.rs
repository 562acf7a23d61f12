//! Clients that disconnect at random moments: each of their requests writes everything or nothing, and the pools
//! recover.
//!
//! The test prints the seed; `CANCELLATION_SEED` sets another one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    metrics, script,
    support::{App, Engine, Result, eventually},
};

const CUT_OFF: u64 = 1000;
const ORDINARY: u64 = 200;
const POOL: u64 = 4;
/// More clients than the pool has connections, so that some disconnect while they wait for a connection.
const CLIENTS: u64 = 16;
const TABLES: &str = "CREATE TABLE ones (id INTEGER PRIMARY KEY);
    CREATE TABLE others (id INTEGER PRIMARY KEY);
    CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
    INSERT INTO counters VALUES (1, 0)";

async fn serve(engine: Engine) -> Result<App> {
    let lock_timeout = if engine == Engine::Sqlite { "busy_timeout" } else { "lock_timeout" };
    let more = format!(
        r#"
        [server]
        metrics = "127.0.0.1:0"
        [database]
        max_connections = {POOL}
        acquire_timeout = "30s"
        {lock_timeout} = "5s"
        statement_timeout = "5s"
        "#
    );
    App::start_on(engine, &(script::config() + &more), &[("migrations/0001_tables.sql", TABLES)]).await
}

/// Returns a script that inserts a row into two tables and increments a counter that all requests share.
fn write(id: u64) -> Json {
    json!([
        { "sql": "INSERT INTO ones VALUES (?)", "op": "execute", "params": [id] },
        { "sql": "UPDATE counters SET n = n + 1 WHERE id = 1", "op": "execute" },
        { "sql": "INSERT INTO others VALUES (?)", "op": "execute", "params": [id] },
    ])
}

fn read() -> Json {
    json!([{ "sql": "SELECT count(*) FROM ones" }, { "sql": "SELECT n FROM counters" }])
}

/// Generator of pseudo-random numbers (SplitMix64). Equal seeds give equal numbers.
pub struct Dice(pub AtomicU64);

impl Dice {
    pub fn below(&self, bound: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Sends a request or a part of it, and disconnects after a random time.
async fn go_away(app: &App, id: u64, dice: &Dice) -> Result {
    let (method, script) = if dice.below(3) == 0 { ("GET", read()) } else { ("POST", write(id)) };
    let body = script.to_string();
    let mut request =
        format!("{method} /x HTTP/1.1\r\nhost: carya\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    if dice.below(8) == 0 {
        request.truncate(dice.below(request.len() as u64) as usize);
    }
    let mut client = TcpStream::connect(app.address()).await?;
    client.write_all(&request).await?;
    // After a cancelled request, the next one may have to open a new database connection first. Let some clients wait
    // longer, so that their requests get beyond that.
    let longest = match dice.below(40) {
        0 => 2_000_000,
        1..10 => 300_000,
        _ => 8_000,
    };
    tokio::time::sleep(Duration::from_micros(dice.below(longest))).await;
    Ok(())
}

/// Sends ordinary requests, as many at a time as the pool has connections, and asserts that all succeed.
async fn all_is_well(app: &App) -> Result {
    let ask = |client: u64| async move {
        for turn in 0..ORDINARY / POOL {
            let (method, script) = match turn % 2 {
                0 => ("POST", write(CUT_OFF + turn * POOL + client)),
                _ => ("GET", read()),
            };
            script::results(app, method, &script).await?;
        }
        Result::Ok(())
    };
    try_join_all((0..POOL).map(ask)).await.map(drop)
}

/// Asserts that all connections of the pool can be in use at the same time, and return to it.
async fn all_slots_are_there(app: &App) -> Result {
    let hold = json!([{ "sql": "SELECT 1" }, { "log": "held" }, { "sleep_ms": 2000 }]);
    let holding = try_join_all((0..POOL).map(|_| script::results(app, "GET", &hold)));
    let looking = async { eventually("all connections are lent", async || Ok(used(app).await? == POOL as f64)).await };
    tokio::try_join!(holding, looking)?;
    eventually("all connections are back", async || Ok(used(app).await? == 0.0)).await
}

/// Returns the number of connections in use, of all pools.
pub async fn used(app: &App) -> Result<f64> {
    let metrics = metrics::of(app).await?;
    let lent = metrics
        .iter()
        .filter(|(series, _)| series.starts_with("carya_pool_connections{") && series.contains("state=\"used\""));
    Ok(lent.map(|(_, count)| count).sum())
}

/// Asserts that the disconnected clients left no session, no transaction and no lock on the server.
async fn the_server_is_tidy(app: &App, engine: Engine) -> Result {
    let (sessions, transactions, lock) = match engine {
        Engine::Postgres => (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
            "BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE ones, others, counters IN ACCESS EXCLUSIVE MODE; ROLLBACK",
        ),
        Engine::MariaDb => (
            "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            "SELECT count(*) FROM information_schema.innodb_trx, information_schema.processlist \
             WHERE trx_mysql_thread_id = id AND db = DATABASE() AND id <> CONNECTION_ID()",
            "SET lock_wait_timeout = 5; LOCK TABLES ones WRITE, others WRITE, counters WRITE; UNLOCK TABLES",
        ),
        Engine::Sqlite => {
            // Each connection has one thread. Open files are no measure: SQLite may keep the file of a closed
            // connection for the next one.
            let threads = || {
                let tasks = std::fs::read_dir(format!("/proc/{}/task", app.pid()))?.flatten();
                let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
                Result::Ok(names.filter(|name| name.starts_with("sqlx-sqlite")).count() as u64)
            };
            // `POOL` readers and one writer.
            eventually("there is no connection too many", async || Ok(threads()? <= POOL + 1)).await?;
            return app.execute("BEGIN EXCLUSIVE; ROLLBACK").await;
        }
    };
    let mut other = app.client()?.connect().await?;
    eventually("there is no session too many", async || Ok(other.number(sessions).await? <= POOL as i64)).await?;
    // The host reads the outbox now and then, so a transaction may be open for a moment.
    eventually("there is no open transaction", async || Ok(other.number(transactions).await? == 0)).await?;
    other.execute(lock).await
}

async fn disconnected_clients_leave_nothing_behind(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let seed = std::env::var("CANCELLATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("{engine}: seed {seed}");
    let app = serve(engine).await?;
    let dice = Dice(AtomicU64::new(seed));
    let next = AtomicU64::new(0);
    let clients = (0..CLIENTS).map(|_| async {
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= CUT_OFF {
                return Result::Ok(());
            }
            go_away(&app, id, &dice).await?;
        }
    });
    join_all(clients).await.into_iter().collect::<Result<Vec<_>>>()?;
    all_is_well(&app).await?;
    all_slots_are_there(&app).await?;
    the_server_is_tidy(&app, engine).await?;

    let halves = app.number(
        "SELECT (SELECT count(*) FROM ones WHERE id NOT IN (SELECT id FROM others)) \
              + (SELECT count(*) FROM others WHERE id NOT IN (SELECT id FROM ones))",
    );
    assert_eq!(halves.await?, 0, "{engine}: half a transaction");
    let (rows, n) = (app.number("SELECT count(*) FROM ones").await?, app.number("SELECT n FROM counters").await?);
    assert_eq!(rows, n, "{engine}: half a transaction");
    let done = app.number(&format!("SELECT count(*) FROM ones WHERE id < {CUT_OFF}")).await?;
    assert_eq!(rows - done, ORDINARY as i64 / 2, "{engine}");
    let messages: Vec<_> = app.log.lines().into_iter().map(|line| line["message"].to_string()).collect();
    let gone = messages.iter().filter(|message| message.contains("the client disconnected")).count();
    println!("{engine}: of {CUT_OFF} clients that disconnected {gone} were noticed in time, {done} had been served");
    assert!(done > 0 && gone > 0, "{engine}: the moments were no mix");
    Ok(())
}

#[tokio::test]
async fn disconnected_clients_on_sqlite() -> Result {
    disconnected_clients_leave_nothing_behind(Engine::Sqlite).await
}

#[tokio::test]
async fn disconnected_clients_on_postgres() -> Result {
    disconnected_clients_leave_nothing_behind(Engine::Postgres).await
}

#[tokio::test]
async fn disconnected_clients_on_mariadb() -> Result {
    disconnected_clients_leave_nothing_behind(Engine::MariaDb).await
}
