//! The examples `orders-drizzle` and `orders-kysely`: models of object-relational mappers in guests, on every engine.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::process::Command;

use super::package;
use crate::{
    shop,
    support::{App, Engine, Result, Wrong, carya, check, check_eq},
};

/// Builds a program for an engine of JavaScript, and compiles it. Returns the path of the component.
pub(super) async fn build(folder: &Path, source: &str, engine: &str) -> Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let component = folder.join(source.replace('/', "-")).with_extension(format!("{engine}.wasm"));
    let built = Command::new("node")
        .args(["guest/javascript/bin/carya-guest.mjs", "build", source, "-e", engine, "-o"])
        .arg(&component)
        .current_dir(&repository)
        .env("NODE_PATH", repository.join("guest/javascript/node_modules"))
        .kill_on_drop(true)
        .output()
        .await?;
    assert!(built.status.success(), "{source}: {}", String::from_utf8_lossy(&built.stderr));
    let compiled = carya().arg("inspect").arg(&component).stdout(Stdio::null()).status().await?;
    assert!(compiled.success(), "{source} for {engine} cannot be compiled");
    Ok(component)
}

/// Sends orders to an example on an engine.
async fn takes_orders(engine: Engine, component: &Path) -> Result {
    let config = format!(
        r#"
        [model]
        component = "shop-model"
        migrations = "migrations"
        [component.shop-model]
        path = "{{guest:shop-model}}"
        [component.orders]
        path = "{}"
        [[route]]
        path = "/items/{{id}}"
        component = "orders"
        [[route]]
        path = "/items/{{id}}/orders"
        component = "orders"
        "#,
        component.display()
    );
    let files = shop::files_on(engine)?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let app = App::start_on(engine, &config, &files).await?;
    let order = async |quantities: &str| {
        app.request("POST", "/items/1/orders")
            .header("content-type", "application/json")
            .body(quantities.to_owned())
            .send()
            .await
    };
    let item = |stock: i64, orders| json!({ "id": 1, "name": "Pecans, roasted, 250 g", "priceCents": 690, "stock": stock, "orders": orders });
    let name = format!("{} on {engine}", component.display());
    let mut wrong = Wrong::default();
    check_eq!(wrong, app.get("/items/1").await?.json()?, item(40, json!([])), "{name}");
    check_eq!(wrong, app.get("/items/4711").await?.status, 404, "{name}");

    // The nested transaction fails in each of these requests, and undoes its own changes.
    let made = order("[1,2]").await?;
    check_eq!(wrong, made.status(), 201, "{name}");
    let orders = json!([{ "id": 1, "quantity": 1 }, { "id": 2, "quantity": 2 }]);
    let expected = json!({ "keys": [1, 2], "item": item(37, orders.clone()) });
    check_eq!(wrong, made.json::<serde_json::Value>().await?, expected, "{name}");

    // The second order violates a constraint, so the first one is undone too.
    let refused = order("[1,100000]").await?;
    check_eq!(wrong, refused.status(), 409, "{name}");
    check_eq!(wrong, app.get("/items/1").await?.json()?, item(37, orders), "{name}");
    check_eq!(wrong, app.number("SELECT count(*) FROM orders").await?, 2, "{name}");
    check!(wrong, app.number("SELECT count(*) FROM items WHERE price_cents = 1").await? == 0, "{name}");
    Ok(())
}

/// Runs the examples for one engine of databases, on both engines of JavaScript.
async fn orms(engine: Engine, drizzle: &str) -> Result {
    if !engine.is_installed() || !package::has_node().await? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for source in [drizzle, "guest-examples/orders-kysely/orders.ts"] {
        for script_engine in ["quickjs", "starlingmonkey"] {
            let component = build(folder.path(), source, script_engine).await?;
            takes_orders(engine, &component).await?;
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "builds and compiles four components"]
async fn orms_run_on_sqlite() -> Result {
    orms(Engine::Sqlite, "guest-examples/orders-drizzle/sqlite.ts").await
}

#[tokio::test]
#[ignore = "builds and compiles four components"]
async fn orms_run_on_postgres() -> Result {
    orms(Engine::Postgres, "guest-examples/orders-drizzle/postgres.ts").await
}

#[tokio::test]
#[ignore = "builds and compiles four components"]
async fn orms_run_on_mariadb() -> Result {
    orms(Engine::MariaDb, "guest-examples/orders-drizzle/mysql.ts").await
}
