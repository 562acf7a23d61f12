//! An outbox that an older version of the host has created.

use serde_json::json;

use super::{SCHEMA, durable, until_recorded};
use crate::{
    script::{config, results},
    support::{App, Engine, Result, on_each_engine},
};

/// The columns of version 0.1.0.
fn old_table(engine: Engine, outbox: &str) -> String {
    let columns = match engine {
        Engine::Sqlite => {
            "seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, component TEXT NOT NULL, name TEXT NOT NULL, \
             payload TEXT NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL"
        }
        Engine::Postgres => {
            "seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, component text NOT NULL, \
             name text NOT NULL, payload text NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL"
        }
        Engine::MariaDb => {
            "seq bigint AUTO_INCREMENT PRIMARY KEY, id varchar(64) NOT NULL UNIQUE, component varchar(255) NOT NULL, \
             name varchar(255) NOT NULL, payload longtext NOT NULL, attempts bigint NOT NULL, due_at bigint NOT NULL"
        }
    };
    let place = match (engine, outbox.split_once('.')) {
        (Engine::Postgres, Some((schema, _))) => format!("CREATE SCHEMA {schema}; "),
        (Engine::MariaDb, Some((database, _))) => format!("CREATE DATABASE {database}; "),
        _ => String::new(),
    };
    format!(
        "{place}CREATE TABLE {outbox} ({columns}); INSERT INTO {outbox} (id, component, name, payload, attempts, due_at) \
         VALUES ('old-1', 'probe', 'kept', '7', 1, 0)"
    )
}

async fn an_older_outbox_is_upgraded_and_delivered(engine: Engine) -> Result {
    // A first start creates the database.
    let app = App::start_on(engine, "", &[]).await?;
    let (client, outbox) = (app.client()?, app.outbox());
    let (folder, _) = app.stop().await?;
    client.execute(&old_table(engine, &outbox)).await?;
    let files = [("migrations/0001_tables.sql", SCHEMA)];
    let app = App::start_in(folder, &config(), &files, &[]).await?;
    let ran = app.log.wait_for("action kept 7").await?;
    assert_eq!(ran["request"], "old-1", "an older host recorded no request");
    until_recorded(&app, 0).await?;
    results(&app, "POST", &json!([durable("new", "8")])).await?;
    app.log.wait_for("action new 8").await?;
    until_recorded(&app, 0).await?;
    // The columns are there, so the next start changes nothing.
    let (folder, _) = app.stop().await?;
    let app = App::start_in(folder, &config(), &files, &[]).await?;
    let index = match engine {
        Engine::Sqlite => "SELECT count(*) FROM sqlite_schema WHERE name = 'carya_outbox_due'",
        Engine::Postgres => "SELECT count(*) FROM pg_indexes WHERE indexname = 'carya_outbox_due'",
        Engine::MariaDb => {
            "SELECT count(*) FROM information_schema.statistics WHERE index_name = 'carya_outbox_due' \
             AND table_schema = CONCAT(DATABASE(), '_carya')"
        }
    };
    assert_eq!(app.number(index).await?, 1);
    Ok(())
}

on_each_engine! {
    an_older_outbox_is_upgraded_and_delivered,
}
