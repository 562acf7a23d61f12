//! The webhook of the shop, to which the action `confirm` posts each order: it receives every committed order at least once,
//! even if the host is killed, and no other order.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{change, config, files_on};
use crate::support::{App, Engine, Result, eventually, on_each_engine, upstream::Upstream};

/// Serves the shop in a folder, with a webhook.
async fn serve(folder: TempDir, engine: Engine, upstream: &Upstream) -> Result<App> {
    let (to, url) = (upstream.url(""), upstream.url("/orders"));
    let orders = format!("[component.orders]\nhttp = [\"{to}\"]\nsettings = {{ webhook = \"{url}\" }}\n");
    let outbound = format!("[outbound]\nallow = [\"{to}\"]\nallow_private = true\n");
    let config = config()?.replace("[component.orders]\n", &orders) + &outbound;
    let files = files_on(engine)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    App::start_in(folder, &config, &files, &[]).await
}

/// Sends orders, one after the other, until the host no longer answers. Some orders exceed the stock. `placed` counts the
/// orders that the host accepted.
async fn order(app: &App, placed: &AtomicU32) {
    for number in 0.. {
        let quantity = if number % 5 == 4 { 1000 } else { 1 };
        match change(app, "POST", "/orders", json!({ "item_id": 2, "quantity": quantity })).await {
            Ok(answer) if answer.status == 201 => _ = placed.fetch_add(1, Relaxed),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Kills the host this many times while clients order.
async fn kills(engine: Engine, times: u32) -> Result {
    let upstream = Upstream::start().await?;
    let mut app = serve(engine.folder().await?, engine, &upstream).await?;
    for time in 0..times {
        // Less than the quantity of every fifth order, and more than a round sells.
        app.execute("UPDATE items SET stock = 900 WHERE id = 2").await?;
        let placed = AtomicU32::new(0);
        let pause = async {
            eventually("an order was placed", async || Ok(placed.load(Relaxed) > 0)).await?;
            tokio::time::sleep(Duration::from_millis(u64::from(time * 37 % 120))).await;
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        tokio::select! {
            _ = futures_util::future::join_all((0..3).map(|_| order(&app, &placed))) => {}
            paused = pause => paused?,
        }
        app = serve(app.kill().await?, engine, &upstream).await?;
    }
    change(&app, "POST", "/orders", json!({ "item_id": 2, "quantity": 1 })).await?;
    let outbox = app.client()?.outbox().await?;
    eventually("the outbox is empty", async || {
        // After a delivery was cut off, the next one waits for the end of the lease.
        app.execute(&format!("UPDATE {outbox} SET due_at = 0")).await?;
        Ok(app.number(&format!("SELECT count(*) FROM {outbox}")).await? == 0)
    })
    .await?;

    let mut keys: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    let received = upstream.received();
    for request in &received {
        assert_eq!(request.line, "POST /orders");
        let order: Value = serde_json::from_slice(&request.body)?;
        let key = request.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).ok_or("no key")?;
        keys.entry(order["id"].as_i64().ok_or("no order")?).or_default().insert(key.to_owned());
    }
    let orders: BTreeSet<i64> = app
        .texts("SELECT CAST(id AS CHAR(20)) FROM orders")
        .await?
        .iter()
        .map(|id| id.trim().parse())
        .collect::<std::result::Result<_, _>>()?;
    println!("{engine}: {} kills, {} orders, {} deliveries", times, orders.len(), received.len());
    assert!(orders.len() >= times as usize, "{} orders", orders.len());
    assert_eq!(keys.keys().copied().collect::<BTreeSet<_>>(), orders, "the orders that the webhook received");
    assert!(keys.values().all(|keys| keys.len() == 1), "each delivery of an order has the same key: {keys:?}");
    Ok(())
}

async fn committed_orders_reach_the_webhook_although_the_host_is_killed(engine: Engine) -> Result {
    kills(engine, 4).await
}

on_each_engine! { committed_orders_reach_the_webhook_although_the_host_is_killed }

#[tokio::test]
#[ignore = "takes minutes: make test-all"]
async fn committed_orders_reach_the_webhook_over_fifty_kills() -> Result {
    for engine in Engine::all() {
        kills(engine, 50).await?;
    }
    Ok(())
}
