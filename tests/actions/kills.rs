//! Hosts that are killed at the points of the commits of a request and of its action.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value as Json, json};

use super::{
    durable, running,
    stress::{FILES, delivered, each_once, long_on_each_engine},
};
use crate::{
    script::{config, send},
    support::{
        App, Engine, Result, on_each_engine,
        proxy::{Fate, Proxy},
    },
};

/// When the host is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    /// After a transaction has sent a statement that contains the text, at its COMMIT: before the server receives it
    /// ([`Fate::Lost`]), or before the host receives its response ([`Fate::Unanswered`]).
    Commit(&'static str, Fate),
    /// On SQLite, at this change of the write-ahead log after the request was sent, counted from 1.
    Change(usize),
    /// As soon as the client has the response.
    Answered,
}

/// A statement of the request's transaction.
const REQUEST: &str = "INSERT INTO orders";
/// A statement of the action's transaction, which also removes the action from the outbox.
const ACTION: &str = "INSERT INTO effects";
/// The same in the payload of the action, which the request's transaction sends to the outbox.
const ESCAPED: &str = r"INSERT INTO \u0065ffects";

/// Maximum time until a commit changes the write-ahead log. Two commits within one tick of the file system's clock are
/// one change.
const COMMIT_TIME: Duration = Duration::from_secs(5);

const ON_SERVERS: [Point; 5] = [
    Point::Commit(REQUEST, Fate::Lost),
    Point::Commit(REQUEST, Fate::Unanswered),
    Point::Answered,
    Point::Commit(ACTION, Fate::Lost),
    Point::Commit(ACTION, Fate::Unanswered),
];

/// The first change is the request's commit, the second its action's.
const ON_SQLITE: [Point; 5] = [Point::Change(1), Point::Answered, Point::Change(2), Point::Change(1), Point::Change(2)];

/// Returns a script that inserts an order and registers a durable action, which inserts an effect of the order. The
/// number is in the text of the statements, since the host sends the text of a prepared statement only once.
fn order(id: usize) -> Json {
    let insert = |table: &str| json!({ "sql": format!("INSERT INTO {table} VALUES ({id})"), "op": "execute" });
    let effect = running(json!([{ "sleep_ms": 40 }, insert("effects")])).replace(ACTION, ESCAPED);
    json!([insert("orders"), durable("effect", &effect)])
}

/// Returns when the write-ahead log of an application on SQLite was last changed.
fn changed(app: &App) -> Option<SystemTime> {
    std::fs::metadata(app.folder.path().join("app.sqlite-wal")).and_then(|wal| wal.modified()).ok()
}

/// Waits until the host reaches a point.
async fn reached(point: Point, app: &App, proxy: Option<&Proxy>) -> Result {
    match (point, proxy) {
        (Point::Commit(statement, fate), Some(proxy)) => {
            let before = proxy.sprung_so_far();
            proxy.trap(statement, Fate::Held);
            proxy.sprung(before + 1).await?;
            proxy.trap("COMMIT", fate);
            proxy.release();
            proxy.sprung(before + 2).await
        }
        (Point::Change(count), _) => {
            let (begun, mut last) = (Instant::now(), changed(app));
            for _ in 0..count {
                // Without a pause, because the host must be killed while the commit runs.
                while changed(app) == last && begun.elapsed() < COMMIT_TIME {
                    tokio::task::yield_now().await;
                }
                last = changed(app);
            }
            Ok(())
        }
        _ => std::future::pending().await,
    }
}

/// Kills the host at each point, `rounds` times. Each order must have one effect in the end.
async fn kill_at_each_point(engine: Engine, rounds: usize) -> Result {
    let folder = engine.folder().await?;
    let app = App::start_in(folder, &config(), &FILES, &[]).await?;
    let (client, outbox) = (app.client()?, app.outbox());
    let proxy = match &app.database_url {
        Some(url) => Some(Proxy::to(url).await?),
        None => None,
    };
    let (mut folder, _) = app.stop().await?;
    let points = if proxy.is_some() { ON_SERVERS } else { ON_SQLITE };
    for (point, id) in points.repeat(rounds).into_iter().zip(1..) {
        let through = proxy.as_ref().map(|proxy| ("CARYA_DATABASE__URL", proxy.url()));
        let app = App::start_in(folder, &config(), &FILES, through.as_slice()).await?;
        // Deliveries of actions that the host before has left behind would reach the points first.
        delivered(&app).await?;
        // The action takes long enough that the commits of the request and of the action can be distinguished.
        let script = order(id);
        let posting = async {
            let answer = send(&app, "POST", &script).await;
            match point {
                Point::Answered => answer,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            reached = reached(point, &app, proxy.as_ref()) => reached?,
            answer = posting => assert_eq!(answer?.status, 200),
        }
        folder = app.kill().await?;
        // Without waiting for the lease of the host that was killed.
        client.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
        let orders = client.number(&format!("SELECT count(*) FROM orders WHERE id = {id}")).await?;
        match point {
            Point::Commit(REQUEST, Fate::Lost) => assert_eq!(orders, 0, "{id}: {point:?}"),
            Point::Change(1) => {} // during the commit
            _ => assert_eq!(orders, 1, "{id}: {point:?}"),
        }
    }
    let app = App::start_in(folder, &config(), &FILES, &[]).await?;
    delivered(&app).await?;
    println!("{engine}: {} orders, {} kills", each_once(&app).await?, points.len() * rounds);
    Ok(())
}

async fn each_order_has_one_effect_after_a_kill_at_each_point(engine: Engine) -> Result {
    kill_at_each_point(engine, 1).await
}

on_each_engine! { each_order_has_one_effect_after_a_kill_at_each_point }

async fn each_order_has_one_effect_after_fifty_kills(engine: Engine) -> Result {
    kill_at_each_point(engine, 10).await
}

long_on_each_engine! { fifty_kills: each_order_has_one_effect_after_fifty_kills }
