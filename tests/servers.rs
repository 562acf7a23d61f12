//! Tests of the database servers in `support/servers`, which other tests rely on.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, process::Stdio, time::Duration};

use tokio::process::Command;

use super::support::{
    App, Result,
    client::Client,
    eventually,
    servers::{self, Cluster, Engine, Pair},
};

const ROWS: &str = "SELECT count(*) FROM t";

/// Checks that both servers of a cluster answer queries, and that the replica replicates the primary.
async fn follows(cluster: &Cluster) -> Result {
    let database = cluster.database().await?;
    let (primary, replica) = (database.primary()?, database.replica()?);
    assert_eq!(replica.number("SELECT 1").await?, 1, "the replica has no new database");
    primary.execute("CREATE TABLE t (x text); INSERT INTO t VALUES ('a'), ('b')").await?;
    cluster.synchronize().await?;
    assert_eq!(replica.texts("SELECT x FROM t ORDER BY x").await?, ["a", "b"]);
    assert_eq!(replica.number(ROWS).await?, 2);
    assert_ne!(database.name, cluster.database().await?.name);

    let login = database.create_login("reader").await?;
    let host = if cluster.engine == Engine::MariaDb { "@'127.0.0.1'" } else { "" };
    primary.execute(&format!("GRANT SELECT ON t TO {}{host}", login.name)).await?;
    cluster.synchronize().await?;
    for url in [&login.primary_url, &login.replica_url] {
        let client = Client::new(url)?;
        assert_eq!(client.number(ROWS).await?, 2);
        assert!(client.execute("INSERT INTO t VALUES ('c')").await.is_err(), "the login can write");
    }
    Ok(())
}

#[tokio::test]
async fn postgres_is_a_primary_with_a_hot_standby() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    follows(cluster).await?;
    assert_eq!(cluster.primary()?.number("SELECT pg_is_in_recovery()").await?, 0);
    assert_eq!(cluster.replica()?.number("SELECT pg_is_in_recovery()").await?, 1);
    assert_eq!(cluster.primary()?.number("SELECT active FROM pg_replication_slots").await?, 1);
    assert_eq!(cluster.primary()?.texts("SHOW synchronous_commit").await?, ["on"]);
    assert!(cluster.primary()?.number("SHOW server_version_num").await? >= 150_000);
    Ok(())
}

#[tokio::test]
async fn mariadb_is_a_primary_with_a_replica_by_gtid() -> Result {
    let Some(cluster) = servers::mariadb().await? else { return Ok(()) };
    follows(cluster).await?;
    assert_eq!(cluster.primary()?.number("SELECT @@read_only").await?, 0);
    assert_eq!(cluster.replica()?.number("SELECT @@read_only").await?, 1);
    assert_eq!(cluster.primary()?.texts("SELECT @@gtid_binlog_pos").await?.len(), 1);
    let mut open = reqwest::Url::parse(&cluster.primary_url("mysql"))?;
    open.set_password(None).map_err(|()| "the URL cannot have a password")?;
    assert!(Client::new(open.as_str())?.connect().await.is_err(), "the server requires no password");
    Ok(())
}

#[tokio::test]
async fn tests_share_a_cluster() -> Result {
    for engine in Engine::servers() {
        assert!(engine.is_installed());
        let (one, other) = tokio::try_join!(servers::shared(engine), servers::shared(engine))?;
        let (one, other) = one.zip(other).ok_or("not started")?;
        assert!(std::ptr::eq(one, other));
    }
    Ok(())
}

#[tokio::test]
async fn a_primary_is_killed_and_keeps_what_it_committed() -> Result {
    for engine in Engine::servers() {
        let pair = Pair::start(engine).await?.ok_or("not installed")?;
        let database = pair.database().await?;
        let (primary, replica) = (database.primary()?, database.replica()?);
        primary.execute("CREATE TABLE t (x integer)").await?;
        for killed in 1..=3 {
            let mut open = primary.connect().await?;
            open.execute("BEGIN; INSERT INTO t VALUES (-1)").await?;
            primary.execute("INSERT INTO t VALUES (1)").await?;
            pair.kill_primary().await?;
            assert!(open.execute("COMMIT").await.is_err(), "{engine}: a connection survived the kill");
            assert!(primary.connect().await.is_err(), "{engine}: the primary still runs");
            assert_eq!(replica.number("SELECT 1").await?, 1, "{engine}: the replica does not answer");
            pair.start_primary().await?;
            assert_eq!(primary.texts("SELECT x FROM t").await?, vec!["1"; killed], "{engine}");
            pair.synchronize().await?;
            assert_eq!(replica.texts("SELECT x FROM t").await?, vec!["1"; killed], "{engine}");
        }
        pair.restart_primary().await?;
        assert_eq!(primary.number(ROWS).await?, 3, "{engine}");
    }
    Ok(())
}

#[tokio::test]
async fn a_replica_is_stopped_killed_and_held_back() -> Result {
    for engine in Engine::servers() {
        let pair = Pair::start(engine).await?.ok_or("not installed")?;
        let database = pair.database().await?;
        let (primary, replica) = (database.primary()?, database.replica()?);
        primary.execute("CREATE TABLE t (x integer)").await?;
        pair.synchronize().await?;

        pair.pause_replica().await?;
        primary.execute("INSERT INTO t VALUES (1)").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(replica.number(ROWS).await?, 0, "{engine}: the replica is paused");
        pair.resume_replica().await?;
        pair.synchronize().await?;
        assert_eq!(replica.number(ROWS).await?, 1, "{engine}: the replica was resumed");

        pair.stop_replica().await?;
        assert!(replica.connect().await.is_err(), "{engine}: the replica still runs");
        primary.execute("INSERT INTO t VALUES (2)").await?;
        pair.start_replica().await?;
        pair.synchronize().await?;
        assert_eq!(replica.number(ROWS).await?, 2, "{engine}: the replica was restarted");

        pair.kill_replica().await?;
        primary.execute("INSERT INTO t VALUES (3)").await?;
        pair.start_replica().await?;
        pair.synchronize().await?;
        assert_eq!(replica.number(ROWS).await?, 3, "{engine}: the replica was restarted after a kill");
    }
    Ok(())
}

/// Environment variable with the path of the file that `starts_servers_and_never_ends` writes.
const REPORT: &str = "SERVERS_REPORT";

/// Helper process of [`servers_end_with_a_test_process_that_was_killed`]. Passes at once if [`REPORT`] is not set.
#[tokio::test]
async fn starts_servers_and_never_ends() -> Result {
    let Some(report) = std::env::var_os(REPORT) else { return Ok(()) };
    let mut urls = String::new();
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        urls.push_str(&format!("{}\n{}\n", database.primary_url(), database.replica_url()));
    }
    std::fs::write(&report, urls + "all\n")?;
    std::future::pending().await
}

#[tokio::test]
async fn servers_end_with_a_test_process_that_was_killed() -> Result {
    let folder = tempfile::tempdir()?;
    let (report, servers) = (folder.path().join("report"), folder.path().join("servers"));
    std::fs::create_dir(&servers)?;
    // If the tests run as root, the servers run as other users, which need access to these folders.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    std::fs::set_permissions(&servers, Permissions::from_mode(0o1777))?;
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--exact", "servers::starts_servers_and_never_ends"])
        .env(REPORT, &report)
        .env("TMPDIR", &servers)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let read = || std::fs::read_to_string(&report).unwrap_or_default();
    tokio::select! {
        reported = eventually("the report is complete", async || Ok(read().ends_with("all\n"))) => reported?,
        status = process.wait() => return Err(format!("the process with the servers ended: {}", status?).into()),
    }
    let urls = read();
    let urls: Vec<_> = urls.lines().filter(|line| *line != "all").collect();
    assert_eq!(urls.len(), 2 * Engine::servers().len());
    for url in &urls {
        assert_eq!(Client::new(url)?.number("SELECT 1").await?, 1);
    }

    process.kill().await?;
    eventually("the server folder is empty", async || Ok(std::fs::read_dir(&servers)?.next().is_none())).await?;
    for url in &urls {
        assert!(Client::new(url)?.connect().await.is_err(), "{url} is still served");
    }
    Ok(())
}

#[tokio::test]
async fn another_client_sees_the_application_s_database() -> Result {
    let app = App::start_on(Engine::Sqlite, "", &[]).await?;
    app.execute("CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('a')").await?;
    assert_eq!(app.texts("SELECT x FROM t").await?, ["a"]);
    assert_eq!(app.number(ROWS).await?, 1);
    Ok(())
}
