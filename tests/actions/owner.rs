//! The functions of the owner, by which the host writes to the outbox with the login of guests.

use serde_json::json;

use super::{SCHEMA, durable, running};
use crate::{
    harden::{Urls, apply},
    script::{config, results, serve},
    support::{App, Engine, Result, client::Client, eventually, on_each_server, servers, write},
};

/// A database with the logins that `carya harden` creates.
struct Hardened {
    urls: Urls,
    folder: tempfile::TempDir,
}

impl Hardened {
    async fn new(engine: Engine) -> Result<Self> {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.create_database().await?;
        let urls = Urls::new(cluster.primary_url(&database), &database)?;
        let folder = tempfile::tempdir()?;
        urls.configure(folder.path())?;
        Ok(Self { urls, folder })
    }

    async fn serve(self) -> Result<App> {
        let Urls { admin, reader, writer } = &self.urls;
        let database = format!("[database]\nurl = \"{writer}\"\nreader_url = \"{reader}\"\nadmin_url = \"{admin}\"\n");
        let config = format!("{}{database}", config());
        let files = [("migrations/0001_tables.sql", SCHEMA)];
        App::start_in(self.folder, &config, &files, &[("CARYA_DATABASE__URL", writer)]).await
    }
}

async fn delivers(app: &App, admin: &Client) -> Result {
    let script = running(json!([{ "sql": "INSERT INTO t VALUES ('x')", "op": "execute" }]));
    results(app, "POST", &json!([durable("a", &script)])).await?;
    let outbox = admin.outbox().await?;
    let count = format!("SELECT count(*) FROM {outbox}");
    eventually("the action is delivered", async || Ok(admin.number(&count).await? == 0)).await?;
    assert_eq!(admin.number("SELECT count(*) FROM t").await?, 1);
    Ok(())
}

/// With hardened logins, only the functions write to the outbox.
async fn hardened_logins_register_and_complete_actions(engine: Engine) -> Result {
    let hardened = Hardened::new(engine).await?;
    let missing = apply(hardened.folder.path()).await?;
    assert!(missing.is_empty(), "{missing:#?}");
    let (admin, writer) = (Client::new(&hardened.urls.admin)?, Client::new(&hardened.urls.writer)?);
    let app = hardened.serve().await?;
    delivers(&app, &admin).await?;
    let outbox = admin.outbox().await?;
    let place = outbox.trim_end_matches("carya_outbox");
    let call = if engine == Engine::MariaDb { "CALL" } else { "SELECT" };
    for forbidden in [
        format!(
            "INSERT INTO {outbox} (id, component, name, payload, attempts, due_at) VALUES ('1', 'a', 'b', '', 0, 0)"
        ),
        format!("SELECT secret FROM {place}carya_outbox_secret"),
        format!("DELETE FROM {outbox}"),
    ] {
        assert!(writer.execute(&forbidden).await.is_err(), "{forbidden}");
    }
    // A call with another secret changes nothing.
    admin
        .execute(&format!(
            "INSERT INTO {outbox} (id, component, name, payload, attempts, due_at) VALUES ('1', 'a', 'b', '', 0, 99999999999999)"
        ))
        .await?;
    writer.execute(&format!("{call} {place}carya_outbox_add('wrong', '2', 'a', 'b', '', '', '', 1, 0)")).await?;
    writer.execute(&format!("{call} {place}carya_outbox_done('wrong', '1', 99999999999999)")).await?;
    assert_eq!(admin.texts(&format!("SELECT id FROM {outbox}")).await?, ["1"]);
    // With the right secret, the lease decides.
    let secret = admin.texts(&format!("SELECT secret FROM {place}carya_outbox_secret")).await?.pop().ok_or("none")?;
    assert_eq!(secret.len(), 64);
    writer.execute(&format!("{call} {place}carya_outbox_done('{secret}', '1', 0)")).await?;
    assert_eq!(admin.texts(&format!("SELECT id FROM {outbox}")).await?, ["1"]);
    writer.execute(&format!("{call} {place}carya_outbox_done('{secret}', '1', 99999999999999)")).await?;
    assert_eq!(admin.number(&format!("SELECT count(*) FROM {outbox}")).await?, 0);
    Ok(())
}

/// With `admin_url`, a host creates the functions and their secret at its first start. Two hosts share the secret.
async fn a_host_creates_the_functions_once(engine: Engine) -> Result {
    let hardened = Hardened::new(engine).await?;
    apply(hardened.folder.path()).await?;
    let (admin, urls) = (Client::new(&hardened.urls.admin)?, &hardened.urls);
    let outbox = admin.outbox().await?;
    let place = outbox.trim_end_matches("carya_outbox").to_owned();
    // As an older version of `carya harden` left them.
    let word = if engine == Engine::MariaDb { "PROCEDURE" } else { "FUNCTION" };
    admin
        .execute(&format!(
            "DROP {word} {place}carya_outbox_add; DROP {word} {place}carya_outbox_done; DROP TABLE {place}carya_outbox_secret"
        ))
        .await?;
    let other = Hardened {
        urls: Urls { admin: urls.admin.clone(), reader: urls.reader.clone(), writer: urls.writer.clone() },
        folder: tempfile::tempdir()?,
    };
    write(other.folder.path(), "", &[])?;
    let (one, other) = tokio::try_join!(hardened.serve(), other.serve())?;
    delivers(&one, &admin).await?;
    admin.execute("DELETE FROM t").await?;
    delivers(&other, &admin).await?;
    assert_eq!(admin.number(&format!("SELECT count(*) FROM {place}carya_outbox_secret")).await?, 1);
    for app in [&one, &other] {
        let lines = app.log.lines();
        let is_warning = |line: &&serde_json::Value| {
            line["level"] != "INFO" && line["message"].as_str().is_some_and(|text| text.contains("outbox"))
        };
        let warned = lines.iter().find(is_warning);
        assert!(warned.is_none(), "{warned:#?}");
    }
    Ok(())
}

/// Without `admin_url` the login of guests' statements writes to the outbox, and the host logs it.
async fn a_host_without_an_owner_reports_it(engine: Engine) -> Result {
    let app = serve(engine, SCHEMA).await?;
    let line = app.log.wait_for("the login for guests' statements also writes to the outbox").await?;
    assert!(
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| text.contains("admin_url")),
        "{line}"
    );
    delivers(&app, &app.client()?).await
}

on_each_server! {
    a_host_without_an_owner_reports_it,
    hardened_logins_register_and_complete_actions,
    a_host_creates_the_functions_once,
}
