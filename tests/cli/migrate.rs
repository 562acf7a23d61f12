//! `carya migrate`: runs each migration once, and leaves nothing of a failed one.

use std::path::Path;

use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    super::support::{Engine, Result, Wrong, carya, check, check_eq, servers, write},
    run,
};

const CONFIG: &str = "[database]\nurl = \"sqlite:app.sqlite\"\n[model]\nmigrations = \"migrations\"\n";
const FIRST: (&str, &str) = ("migrations/0001_first.sql", "CREATE TABLE a (x); INSERT INTO a VALUES (1);");
const SECOND: (&str, &str) = ("migrations/0002_second_one.sql", "INSERT INTO a VALUES (2);");

async fn sum(folder: &Path) -> Result<i64> {
    let options = SqliteConnectOptions::new().filename(folder.join("app.sqlite")).read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await?;
    Ok(sqlx::query("SELECT sum(x) FROM a").fetch_one(&mut database).await?.try_get(0)?)
}

#[tokio::test]
async fn runs_pending_migrations_once() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let migrate = async |more: &[&str]| -> Result<String> {
        let ran = run(folder, &[&["migrate"], more].concat()).await?;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        Ok(ran.out)
    };

    write(folder, CONFIG, &[FIRST])?;
    assert_eq!(migrate(&["--dry-run"]).await?, "pending 0001_first\n");
    assert!(!folder.join("app.sqlite").exists(), "a dry run made the database");
    assert_eq!(migrate(&[]).await?, "applied 0001_first\n");
    assert_eq!(migrate(&[]).await?, "nothing is pending; applied before: 1\n");
    assert_eq!(migrate(&["--dry-run"]).await?, "nothing is pending\n");

    write(folder, CONFIG, &[SECOND])?;
    assert_eq!(migrate(&["--dry-run"]).await?, "pending 0002_second_one\n");
    assert_eq!(sum(folder).await?, 1);
    assert_eq!(migrate(&[]).await?, "applied 0002_second_one\n");
    assert_eq!(sum(folder).await?, 3);
    Ok(())
}

#[tokio::test]
async fn as_json() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[FIRST, SECOND])?;
    let names = ["0001_first", "0002_second_one"];
    let mut wrong = Wrong::default();
    for (args, expected) in [
        (["migrate", "--json", "--dry-run"].as_slice(), json!({ "pending": { "default": names } })),
        (&["migrate", "--json"], json!({ "applied": { "default": names } })),
        (&["migrate", "--json"], json!({ "applied": { "default": [] } })),
        (&["migrate", "--json", "--dry-run"], json!({ "pending": { "default": [] } })),
    ] {
        check_eq!(wrong, run(folder.path(), args).await?.json()?, expected, "{args:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_migration_is_rolled_back_and_earlier_ones_stay() -> Result {
    let folder = tempfile::tempdir()?;
    let broken = ("migrations/0002_broken.sql", "INSERT INTO a VALUES (10); INSERT INTO nowhere VALUES (1);");
    write(folder.path(), CONFIG, &[FIRST, broken, ("migrations/0003_never.sql", "INSERT INTO a VALUES (100);")])?;
    let mut wrong = Wrong::default();
    for (command, is_first) in [("migrate", true), ("serve", false), ("migrate", false)] {
        let ran = run(folder.path(), &[command]).await?;
        check_eq!(wrong, (ran.code, ran.out.as_str()), (Some(1), ""), "{command}");
        let message = "error: migrations in migrations: while executing migration 2: ";
        check!(
            wrong,
            ran.err.starts_with(message) && ran.err.contains("no such table: nowhere"),
            "{command:?}: {}",
            ran.err
        );
        check!(wrong, ran.err.contains("migrations/0002_broken.sql"), "{command:?}: {}", ran.err);
        check_eq!(wrong, ran.err.contains("still applied: 0001_first"), is_first, "{command:?}: {}", ran.err);
        check_eq!(wrong, sum(folder.path()).await?, 1, "{command:?}");
    }

    write(folder.path(), CONFIG, &[("migrations/0002_broken.sql", "INSERT INTO a VALUES (10);")])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.out, "applied 0002_broken\napplied 0003_never\n");
    assert_eq!(sum(folder.path()).await?, 111);
    Ok(())
}

#[tokio::test]
async fn history_cannot_be_changed() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[FIRST, SECOND])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    let refused = async |reason: &str| -> Result {
        let mut wrong = Wrong::default();
        for args in [["migrate", "--json"].as_slice(), &["migrate", "--dry-run"], &["check"], &["serve"]] {
            let ran = run(folder.path(), args).await?;
            let expected = format!("error: migrations in migrations: {reason}");
            check!(wrong, ran.code == Some(1) && ran.err.starts_with(&expected), "{args:?}: {}", ran.err);
            check!(wrong, ran.err.contains("`carya migrate --reset`"), "{args:?}: {}", ran.err);
        }
        Ok(())
    };
    write(folder.path(), CONFIG, &[(FIRST.0, "CREATE TABLE other (x);")])?;
    let edited = "migration 1 was previously applied but has been modified: migrations/0001_first.sql ";
    refused(&format!("{edited}is not the text that ran; put back")).await?;
    write(folder.path(), CONFIG, &[(FIRST.0, &format!("{}\n", FIRST.1))])?;
    refused(&format!("{edited}has other line ends or spaces at its end than when it ran; put back")).await?;
    std::fs::remove_file(folder.path().join(FIRST.0))?;
    refused(
        "migration 1 was previously applied but is missing in the resolved migrations; put the file 0001_first.sql back",
    )
    .await
}

#[tokio::test]
async fn a_number_belongs_to_one_file() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[FIRST, ("migrations/1_other.sql", "CREATE TABLE b (x);")])?;
    let mut wrong = Wrong::default();
    for args in [["migrate"].as_slice(), &["migrate", "--dry-run"], &["check"], &["serve"]] {
        let ran = run(folder.path(), args).await?;
        let expected = "migrations in migrations: migrations/0001_first.sql and migrations/1_other.sql have the number 1; \
                        rename all but one of them\n";
        check!(wrong, ran.code == Some(1) && ran.err.ends_with(expected), "{args:?}: {}", ran.err);
        let is_in_file = ran.err.starts_with("error: carya.toml:4: model.migrations: ");
        check_eq!(wrong, is_in_file, args[0] != "migrate", "{args:?}: {}", ran.err);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_would_never_run_is_refused() -> Result {
    let mut wrong = Wrong::default();
    for (name, shown) in [
        ("migrations/0002_more.SQL", "migrations/0002_more.SQL"),
        ("migrations/0002-more.sql", "migrations/0002-more.sql"),
        ("migrations/0002_more", "migrations/0002_more"),
        ("migrations/2024/0002_more.sql", "migrations/2024"),
    ] {
        let folder = tempfile::tempdir()?;
        if let Some(parent) = Path::new(name).parent() {
            std::fs::create_dir_all(folder.path().join(parent))?;
        }
        write(folder.path(), CONFIG, &[FIRST, (name, "CREATE TABLE b (x);")])?;
        for args in [["migrate"].as_slice(), &["check"], &["serve"]] {
            let ran = run(folder.path(), args).await?;
            let expected = format!("migrations in migrations: {shown} would never run; the name of a migration is ");
            check!(wrong, ran.code == Some(1) && ran.err.contains(&expected), "{args:?}: {}", ran.err);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_ahead_of_the_folder_is_no_error() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[FIRST, SECOND])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    std::fs::remove_file(folder.path().join(SECOND.0))?;
    let mut wrong = Wrong::default();
    for (args, out) in [
        (["migrate"].as_slice(), "nothing is pending; applied before: 1\n"),
        (&["migrate", "--dry-run"], "nothing is pending\n"),
    ] {
        let ran = carya().args(args).current_dir(folder.path()).output().await?;
        let (found, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        check!(wrong, ran.status.success() && found == out, "{args:?}: {found} {err}");
        check!(
            wrong,
            err.contains("newer than those in migrations; they stay applied") && err.contains("0002_second_one"),
            "{args:?}: {err}"
        );
    }
    // A missing migration is an error if the folder has a newer one.
    write(folder.path(), CONFIG, &[("migrations/0003_third.sql", "INSERT INTO a VALUES (4);"), SECOND])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.out, "applied 0003_third\n");
    std::fs::remove_file(folder.path().join(SECOND.0))?;
    let ran = run(folder.path(), &["migrate"]).await?;
    assert!(ran.code == Some(1) && ran.err.contains("migration 2 was previously applied but is missing"), "{ran:?}");
    assert_eq!(sum(folder.path()).await?, 7);
    Ok(())
}

#[tokio::test]
async fn reports_why_nothing_can_be_migrated() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "", &[])?;
    let ran = run(folder.path(), &["migrate"]).await?;
    let expected = "error: no database has migrations: set database.url and model.migrations\n";
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), expected));
    write(folder.path(), CONFIG, &[])?;
    let ran = run(folder.path(), &["migrate"]).await?;
    assert!(ran.code == Some(1) && ran.err.contains("migrations: No such file or directory"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn every_database_has_its_own_migrations() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let config = format!("{CONFIG}[database.reports]\nurl = \"sqlite:reports.sqlite\"\nmigrations = \"more\"\n");
    write(folder, &config, &[FIRST, ("more/0007_other.sql", "CREATE TABLE b (x);")])?;
    let mut wrong = Wrong::default();
    for (args, expected) in [
        (["migrate", "--dry-run"].as_slice(), "pending 0001_first\npending 0007_other to reports\n"),
        (&["migrate"], "applied 0001_first\napplied 0007_other to reports\n"),
        (&["migrate"], "nothing is pending; applied before: 2\n"),
    ] {
        let ran = run(folder, args).await?;
        check_eq!(wrong, (ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), expected, ""), "{args:?}");
    }
    let both = run(folder, &["migrate", "--json"]).await?.json()?;
    assert_eq!(both, json!({ "applied": { "default": [], "reports": [] } }));
    Ok(())
}

#[tokio::test]
async fn two_hosts_at_once_run_a_migration_once() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let url = cluster.database().await?.primary_url();
        let slow = if engine == Engine::Postgres { "SELECT pg_sleep(2)" } else { "DO SLEEP(2)" };
        let migration = format!("CREATE TABLE once (id INTEGER); INSERT INTO once VALUES (1); {slow}");
        let folder = tempfile::tempdir()?;
        let config = format!("[database]\nurl = \"{url}\"\n[model]\nmigrations = \"migrations\"\n");
        write(folder.path(), &config, &[("migrations/0001_once.sql", &migration)])?;
        let hosts = (0..3).map(|_| run(folder.path(), &["migrate"]));
        let ran = futures_util::future::try_join_all(hosts).await?;
        let mut out: Vec<&str> = ran.iter().map(|ran| ran.out.as_str()).collect();
        out.sort_unstable();
        assert!(
            ran.iter().all(|ran| ran.code == Some(0)),
            "{engine}: {:?}",
            ran.iter().map(|ran| &ran.err).collect::<Vec<_>>()
        );
        let nothing = "nothing is pending; applied before: 1\n";
        assert_eq!(out, ["applied 0001_once\n", nothing, nothing], "{engine}");
    }
    Ok(())
}
