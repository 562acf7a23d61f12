//! Rollback across a migration: the host serves the older generation, and the database keeps the newer schema.

use serde_json::json;

use super::{Files, Host, files, own};
use crate::support::{Engine, Result, on_each_engine};

const AHEAD: &str = "the database has migrations that are newer";

/// Returns the files of an application with a second migration.
fn with_more(page: &str) -> Result<Files> {
    let mut files = files(page)?;
    files.insert("migrations/0002_more.sql".to_owned(), b"CREATE TABLE more (x INTEGER)".to_vec());
    Ok(files)
}

async fn a_rollback_across_a_migration_is_served_and_started(engine: Engine) -> Result {
    let host = Host::start_on(engine).await?;
    let one = host.put(&files("one")?).await?;
    assert_eq!(host.activate(&one).await?.status, 200);
    let two = host.put(&with_more("two")?).await?;
    assert_eq!(host.activate(&two).await?.status, 200);

    let answer = host.call("POST", "/rollback", "").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    let line = host.app.log.wait_for(AHEAD).await?;
    assert_eq!((&line["level"], &line["migrations"]), (&json!("WARN"), &json!("0002_more")));

    host.app.signal("HUP").await?;
    host.app.log.wait_for("a new generation is served").await?;
    let host = host.killed().await?;
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    host.app.log.wait_for(AHEAD).await?;
    assert_eq!(host.app.number("SELECT count(*) FROM more").await?, 0);

    // Forward again: no migration is left to run.
    assert_eq!(host.activate(&two).await?.status, 200);
    assert_eq!(host.served().await?, (two.id.to_string(), "two".to_owned()));
    Ok(())
}

async fn a_deployment_refused_after_its_migration_reports_the_remains(engine: Engine) -> Result {
    let host = Host::start_on(engine).await?;
    let one = host.put(&files("one")?).await?;
    assert_eq!(host.activate(&one).await?.status, 200);
    let mut wrong = with_more("two")?;
    let config = String::from_utf8(wrong["carya.toml"].clone())? + "status = [\"409\"]\n";
    wrong.insert("carya.toml".to_owned(), config.into_bytes());
    let answer = host.activate(&host.put(&wrong).await?).await?;
    let expected = "smoke[0]: GET /x answers 200 OK; the migrations that ran before it stay applied: 0002_more";
    assert!(answer.status == 422 && answer.text().contains(expected), "{}", answer.text());
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    assert_eq!(host.app.number("SELECT count(*) FROM more").await?, 0);

    let host = Host::start_in(host.app.kill().await?, &own()).await?;
    assert_eq!(host.served().await?, (one.id.to_string(), "one".to_owned()));
    Ok(())
}

on_each_engine!(
    a_rollback_across_a_migration_is_served_and_started,
    a_deployment_refused_after_its_migration_reports_the_remains,
);
