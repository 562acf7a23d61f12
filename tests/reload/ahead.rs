//! Folders of migrations that are behind their database, or that differ from the migrations that ran.

use std::fs;

use super::Watched;
use crate::support::{App, Engine, Result, on_each_engine};

const AHEAD: &str = "the database has migrations that are newer";
const MORE: &str = "migrations/0002_more.sql";

async fn the_newest_migration_files_can_be_removed(engine: Engine) -> Result {
    let mut watched = Watched::start_on(engine).await?;
    watched.put(MORE, "CREATE TABLE more (x INTEGER)")?;
    watched.served().await?;
    watched.put("migrations/0003_most.sql", "CREATE TABLE most (x INTEGER)")?;
    watched.served().await?;
    fs::remove_file(watched.path().join("migrations/0003_most.sql"))?;
    let line = watched.next(AHEAD).await?;
    assert_eq!((line["level"].as_str(), line["migrations"].as_str()), (Some("WARN"), Some("0003_most")));
    watched.served().await?;
    // If a migration before the newest one is missing, the folder is not merely behind its database. This is an error.
    fs::remove_file(watched.path().join("migrations/0001_marks.sql"))?;
    let why = watched.refused().await?;
    assert!(
        why.contains("migration 1 was previously applied but is missing") && why.contains("0001_marks.sql"),
        "{why}"
    );
    watched.put("migrations/0001_marks.sql", super::FILES[1].1)?;
    watched.served().await?;
    fs::remove_file(watched.path().join(MORE))?;
    watched.served().await?;

    // The host applies the same rule when it starts.
    let (folder, code) = watched.app.stop().await?;
    assert_eq!(code, Some(0));
    let app = App::start_in(folder, super::CONFIG, &[], &[]).await?;
    let line = app.log.wait_for(AHEAD).await?;
    assert_eq!(line["migrations"].as_str(), Some("0002_more, 0003_most"));
    Ok(())
}

async fn a_reload_that_fails_after_its_migration_reports_the_remains(engine: Engine) -> Result {
    let mut watched = Watched::start_on(engine).await?;
    let before = watched.page().await?;
    let broken = ("migrations/0003_broken.sql", "INSERT INTO nowhere VALUES (1)");
    let draft = tempfile::tempdir_in(watched.path())?;
    fs::create_dir(draft.path().join("migrations"))?;
    for (name, text) in [super::FILES[1], (MORE, "CREATE TABLE more (x INTEGER)"), broken] {
        fs::write(draft.path().join(name), text)?;
    }
    // Replace the whole folder, so that the host detects both migrations at once.
    fs::rename(watched.path().join("migrations"), draft.path().join("old"))?;
    fs::rename(draft.path().join("migrations"), watched.path().join("migrations"))?;
    let why = loop {
        let why = watched.refused().await?;
        if why.contains("nowhere") {
            break why;
        }
    };
    assert!(why.contains("while executing migration 3") && why.contains("still applied: 0002_more"), "{why}");
    assert_eq!(watched.page().await?, before);
    fs::remove_file(watched.path().join(broken.0))?;
    watched.served().await?;
    assert_eq!(watched.app.number("SELECT count(*) FROM more").await?, 0);
    Ok(())
}

on_each_engine!(the_newest_migration_files_can_be_removed, a_reload_that_fails_after_its_migration_reports_the_remains,);
