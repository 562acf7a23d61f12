//! `carya migrate --reset`: saves a database, empties it and runs all migrations again, but not while a host serves it.

use std::{fs, path::Path};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Output, run};
use crate::support::{
    App, Engine, PATIENCE, Result, Wrong, carya, check, check_eq, client::Client, on_each_server, servers, write,
};

const CONFIG: &str = "[database]\nurl = \"sqlite:app.sqlite\"\n[model]\nmigrations = \"migrations\"\n";
const FIRST: &str = "migrations/0001_first.sql";
const OLD: &str = "CREATE TABLE a (x INTEGER)";
const NEW: &str = "CREATE TABLE a (x INTEGER, y INTEGER)";

async fn open(file: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await?)
}

/// Returns the copies and dumps of the old database that `--reset` saved in a folder.
fn copies(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_copy = |path: &&std::path::PathBuf| {
        path.to_string_lossy().ends_with('Z') || path.extension().is_some_and(|end| end == "sql")
    };
    Ok(paths.iter().filter(is_copy).cloned().collect())
}

#[tokio::test]
async fn a_file_is_copied_emptied_and_migrated() -> Result {
    let folder = tempfile::tempdir()?;
    let everything = "CREATE TABLE a (x INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE b (a INTEGER NOT NULL REFERENCES a (x));
        INSERT INTO a VALUES (7); INSERT INTO b VALUES (7);
        CREATE VIEW v AS SELECT x FROM a;
        CREATE INDEX i ON b (a);
        CREATE VIRTUAL TABLE texts USING fts5 (body);
        CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.x); END;
        CREATE TABLE \"odd \"\" name\" (x);";
    write(folder.path(), CONFIG, &[(FIRST, everything)])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    write(folder.path(), CONFIG, &[(FIRST, NEW)])?;
    let refused = run(folder.path(), &["migrate"]).await?;
    assert!(refused.err.contains("migrations/0001_first.sql is not the text that ran"), "{refused:?}");

    let reset = run(folder.path(), &["migrate", "--reset"]).await?;
    assert_eq!((reset.code, reset.err.as_str()), (Some(0), ""));
    let copies = copies(folder.path())?;
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(
        reset.out,
        format!("saved to {}\napplied 0001_first\n", copies[0].file_name().unwrap_or_default().display())
    );
    let mut copy = open(&copies[0]).await?;
    let saved: i64 = sqlx::query("SELECT x FROM v").fetch_one(&mut copy).await?.try_get(0)?;
    assert_eq!(saved, 7);
    let mut database = open(&folder.path().join("app.sqlite")).await?;
    let names = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY name)";
    let names: String = sqlx::query(names).fetch_one(&mut database).await?.try_get(0)?;
    assert_eq!(names, "_sqlx_migrations,a,sqlite_autoindex__sqlx_migrations_1,sqlite_sequence");
    assert_eq!(run(folder.path(), &["migrate"]).await?.out, "nothing is pending; applied before: 1\n");
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_run_leaves_the_database_alone() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[(FIRST, OLD)])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    open(&folder.path().join("app.sqlite")).await?.close().await?;
    write(folder.path(), CONFIG, &[("migrations/1_again.sql", OLD)])?;
    let refused = run(folder.path(), &["migrate", "--reset"]).await?;
    assert!(refused.code == Some(1) && refused.err.contains("1_again.sql have the number 1"), "{refused:?}");
    fs::remove_file(folder.path().join("migrations/1_again.sql"))?;
    let refused = run(folder.path(), &["migrate", "--reset=other.sqlite"]).await?;
    assert!(refused.code == Some(1) && refused.err.contains("run `carya migrate --reset=app.sqlite`"), "{refused:?}");
    assert!(copies(folder.path())?.is_empty());

    // An error after the copy names the copy.
    write(folder.path(), CONFIG, &[("migrations/0002_broken.sql", "INSERT INTO nowhere VALUES (1)")])?;
    let failed = run(folder.path(), &["migrate", "--reset"]).await?;
    let copy = copies(folder.path())?;
    assert!(failed.code == Some(1) && failed.err.contains("still applied: 0001_first"), "{failed:?}");
    assert!(
        failed.err.contains(&format!("was saved to {}", copy[0].file_name().unwrap_or_default().display())),
        "{failed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn one_of_several_databases_is_chosen() -> Result {
    let folder = tempfile::tempdir()?;
    let config = format!("{CONFIG}[database.more]\nurl = \"sqlite:more.sqlite\"\nmigrations = \"migrations\"\n");
    write(folder.path(), &config, &[(FIRST, OLD)])?;
    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    let refused = run(folder.path(), &["migrate", "--reset"]).await?;
    assert!(
        refused.code == Some(1) && refused.err.contains("choose one by `--database`: default, more"),
        "{refused:?}"
    );
    let reset = run(folder.path(), &["migrate", "--reset", "--database", "more", "--json"]).await?.json()?;
    assert_eq!(reset["applied"], serde_json::json!({ "more": ["0001_first"] }));
    assert!(reset["saved"].as_str().is_some_and(|saved| saved.starts_with("more.sqlite.")), "{reset}");
    let refused = run(folder.path(), &["migrate", "--database", "none"]).await?;
    assert!(refused.code == Some(1) && refused.err.contains("there is no database \"none\""), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_a_host_serves_is_left_alone() -> Result {
    let mut wrong = Wrong::default();
    for command in ["serve", "dev"] {
        let config = "[model]\nmigrations = \"migrations\"\n";
        let app = App::run_in(tempfile::tempdir()?, &[command], config, &[(FIRST, OLD)], &[]).await?;
        app.execute("INSERT INTO a VALUES (7)").await?;
        let ran = reset(app.folder.path(), "sqlite:app.sqlite", "--reset").await?;
        check!(
            wrong,
            ran.code == Some(1) && ran.err.contains("the database is in use; stop the host"),
            "{command}: {ran:?}"
        );
        check_eq!(wrong, app.number("SELECT x FROM a").await?, 7, "{command:?}");
        let (folder, _) = app.stop().await?;
        let ran = reset(folder.path(), "sqlite:app.sqlite", "--reset").await?;
        check_eq!(wrong, (ran.code, ran.err.as_str()), (Some(0), ""), "{command}");
    }
    Ok(())
}

/// Runs `carya migrate` with an argument, such as `--reset`, on the database of a URL.
async fn reset(folder: &Path, url: &str, argument: &str) -> Result<Output> {
    let running = carya()
        .args(["migrate", argument])
        .current_dir(folder)
        .env("CARYA_DATABASE__URL", url)
        .env("CARYA_LOG", "off")
        .output();
    let output = tokio::time::timeout(PATIENCE, running).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

async fn a_server_database_is_dumped_emptied_and_migrated(engine: Engine) -> Result {
    let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
    let name = cluster.create_database().await?;
    let url = cluster.primary_url(&name);
    let config = "[model]\nmigrations = \"migrations\"\n";
    let old = match engine {
        Engine::Postgres => {
            "CREATE TABLE a (x serial PRIMARY KEY); CREATE TYPE mood AS ENUM ('good'); CREATE TABLE b (m mood, a int REFERENCES a (x));
             CREATE SCHEMA more; CREATE TABLE more.c (x int); CREATE VIEW v AS SELECT x FROM a; CREATE DOMAIN d AS int;
             CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; INSERT INTO a VALUES (7); CREATE SEQUENCE s"
        }
        _ => {
            "CREATE TABLE a (x INTEGER PRIMARY KEY); CREATE TABLE b (a INTEGER, FOREIGN KEY (a) REFERENCES a (x));
             CREATE VIEW v AS SELECT x FROM a; CREATE PROCEDURE p() SELECT 1; CREATE SEQUENCE s; INSERT INTO a VALUES (7)"
        }
    };
    let app = App::start_in(tempfile::tempdir()?, config, &[(FIRST, old)], &[("CARYA_DATABASE__URL", &url)]).await?;
    let ran = reset(app.folder.path(), &url, &format!("--reset={name}")).await?;
    assert!(ran.code == Some(1) && ran.err.contains("the database is in use by "), "{ran:?}");
    assert_eq!(app.number("SELECT x FROM a").await?, 7);
    let (folder, _) = app.stop().await?;
    let folder = folder.path();
    let mut wrong = Wrong::default();
    for argument in ["--reset", "--reset=other"] {
        let ran = reset(folder, &url, argument).await?;
        check!(
            wrong,
            ran.code == Some(1) && ran.err.contains(&format!("run `carya migrate --reset={name}`")),
            "{argument:?}: {ran:?}"
        );
    }

    // The migration creates the same objects again, so it fails if the reset leaves one of them.
    fs::write(folder.join(FIRST), format!("{old}; CREATE TABLE z (x INTEGER)"))?;
    let ran = reset(folder, &url, &format!("--reset={name}")).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let dump = copies(folder)?.into_iter().next().ok_or("no dump")?;
    let dumped = fs::read(&dump)?;
    let text = String::from_utf8_lossy(&dumped);
    assert!(
        ran.out == format!("saved to {}\napplied 0001_first\n", dump.file_name().unwrap_or_default().display()),
        "{ran:?}"
    );
    assert!(text.contains("CREATE TABLE") && text.contains("_sqlx_migrations"), "{text}");
    assert_eq!(Client::new(&url)?.number("SELECT count(*) FROM z").await?, 0);
    Ok(())
}

async fn without_the_dump_program_nothing_is_deleted(engine: Engine) -> Result {
    let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
    let name = cluster.create_database().await?;
    let url = cluster.primary_url(&name);
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[model]\nmigrations = \"migrations\"\n", &[(FIRST, OLD)])?;
    let run = async |args: &[&str]| -> Result<std::process::Output> {
        let mut program = carya();
        program.args(args).current_dir(folder.path()).env("CARYA_DATABASE__URL", &url).env("PATH", "");
        Ok(program.output().await?)
    };
    assert!(run(&["migrate"]).await?.status.success());
    let ran = run(&["migrate", &format!("--reset={name}")]).await?;
    let (err, program) =
        (String::from_utf8_lossy(&ran.stderr), if engine == Engine::Postgres { "pg_dump" } else { "mariadb-dump" });
    assert!(ran.status.code() == Some(1) && err.contains(&format!("{program} is not installed; install it")), "{err}");
    assert_eq!(Client::new(&url)?.number("SELECT count(*) FROM a").await?, 0);
    Ok(())
}

/// PostgreSQL rolls back a migration that fails. MySQL keeps the part that ran, and records the migration as half done.
async fn reports_the_remedy_for_a_partially_applied_migration(engine: Engine) -> Result {
    let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
    let name = cluster.create_database().await?;
    let url = cluster.primary_url(&name);
    let folder = tempfile::tempdir()?;
    let broken = "CREATE TABLE b (x INTEGER);\n\nINSERT INTO nowhere VALUES (1)";
    let files = [(FIRST, OLD), ("migrations/0002_broken.sql", broken)];
    write(folder.path(), "[model]\nmigrations = \"migrations\"\n", &files)?;
    let run = async |args: &[&str]| -> Result<(Option<i32>, String)> {
        let mut program = carya();
        let ran = program.args(args).current_dir(folder.path()).env("CARYA_DATABASE__URL", &url).output().await?;
        Ok((ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned()))
    };
    let (code, err) = run(&["migrate"]).await?;
    assert!(
        code == Some(1) && err.contains("while executing migration 2") && err.contains("still applied: 0001_first"),
        "{err}"
    );
    if engine == Engine::Postgres {
        assert!(err.contains("migrations/0002_broken.sql:3"), "{err}");
        fs::write(folder.path().join("migrations/0002_broken.sql"), "CREATE TABLE b (x INTEGER)")?;
        assert_eq!(run(&["migrate"]).await?.0, Some(0));
        return Ok(());
    }
    let mut wrong = Wrong::default();
    for args in [["migrate"].as_slice(), &["migrate", "--dry-run"], &["check"], &["serve"]] {
        let (code, err) = run(args).await?;
        check!(wrong, code == Some(1) && err.contains("migration 2 is partially applied"), "{args:?}: {err}");
        check!(
            wrong,
            err.contains("migrations/0002_broken.sql") && err.contains("WHERE version = 2"),
            "{args:?}: {err}"
        );
        check!(wrong, err.contains(&format!("`carya migrate --reset={name}`")), "{args:?}: {err}");
    }
    // The steps that the message recommends.
    fs::write(folder.path().join("migrations/0002_broken.sql"), "CREATE TABLE b (x INTEGER)")?;
    Client::new(&url)?.execute("DROP TABLE b; DELETE FROM _sqlx_migrations WHERE version = 2").await?;
    assert_eq!(run(&["migrate"]).await?.0, Some(0));
    Ok(())
}

/// On MySQL a migration that runs looks like one that failed half-way. A second host must wait for it.
async fn hosts_that_migrate_at_the_same_time_wait_for_each_other(engine: Engine) -> Result {
    let cluster = servers::shared(engine).await?.ok_or_else(|| format!("{engine} is not installed"))?;
    let url = cluster.primary_url(&cluster.create_database().await?);
    let sleep = if engine == Engine::Postgres { "pg_sleep" } else { "SLEEP" };
    let slow = format!("CREATE TABLE b (x INTEGER); SELECT {sleep}(3)");
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[model]\nmigrations = \"migrations\"\n", &[(FIRST, &slow)])?;
    let run = async |pause: u64, args: &[&str]| -> Result<(bool, String)> {
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        let mut program = carya();
        let ran = program.args(args).current_dir(folder.path()).env("CARYA_DATABASE__URL", &url).output().await?;
        Ok((ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned()))
    };
    let (first, second, check) =
        tokio::join!(run(0, &["migrate"]), run(1000, &["migrate"]), run(1200, &["migrate", "--dry-run"]));
    let mut wrong = Wrong::default();
    for (is_well, err) in [first?, second?, check?] {
        check!(wrong, is_well, "{err}");
    }
    Ok(())
}

on_each_server!(
    a_server_database_is_dumped_emptied_and_migrated,
    without_the_dump_program_nothing_is_deleted,
    reports_the_remedy_for_a_partially_applied_migration,
    hosts_that_migrate_at_the_same_time_wait_for_each_other,
);
