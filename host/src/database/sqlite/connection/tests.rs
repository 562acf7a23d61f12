//! Tests of connections whose thread does not answer, or has ended.

use std::sync::mpsc;

use super::*;
use crate::{
    config,
    database::{
        options::TransactionOptions,
        sqlite::{SqliteDatabase, rules},
    },
    sql::value::Rows,
    telemetry,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn database(folder: &tempfile::TempDir, busy_timeout: &str) -> Result<Arc<SqliteDatabase>> {
    let url = format!("url = \"sqlite://{}\"", folder.path().join("t.sqlite").display());
    let times = format!("statement_timeout = \"100ms\"\nbusy_timeout = {busy_timeout:?}\nmax_connections = 1");
    let config =
        config::parse(&format!("[database]\n{url}\n{times}"), &folder.path().join("carya.toml"), &Default::default())?;
    let mut database = SqliteDatabase::open("default", &config.database.expect("it is set")).await?;
    let shared = Arc::get_mut(&mut database.shared).expect("no connection is open");
    shared.limits.commit_timeout = Duration::from_millis(100);
    database.run_ddl("CREATE TABLE t (n)".into()).await?;
    Ok(Arc::new(database))
}

async fn insert(database: &Arc<SqliteDatabase>) -> Result<Connection> {
    let mut connection = database.begin(&TransactionOptions::new(Access::ReadWrite)).await?;
    connection.run_as_host("INSERT INTO t VALUES (1)".into(), Vec::new(), Sink::Nothing).await?;
    Ok(connection)
}

#[tokio::test]
async fn a_commit_without_an_answer_ends_and_its_connection_is_replaced() -> Result {
    let folder = tempfile::tempdir()?;
    let database = database(&folder, "100ms").await?;
    let mut connection = insert(&database).await?;
    let (release, wait) = mpsc::channel::<()>();
    let mut handle = connection.connection()?.lock_handle().await?;
    handle.set_commit_hook(move || wait.recv().is_err());
    drop(handle);
    let error = connection.commit().await.expect_err("it waits for the hook");
    assert_eq!(error.kind, Kind::Lost, "{error}");
    drop(release);
    insert(&database).await?.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_statement_without_an_answer_ends_and_its_connection_is_replaced() -> Result {
    let folder = tempfile::tempdir()?;
    let database = database(&folder, "100ms").await?;
    let mut connection = database.begin(&TransactionOptions::new(Access::ReadWrite)).await?;
    let (release, wait) = mpsc::channel::<()>();
    let mut handle = connection.connection()?.lock_handle().await?;
    handle.set_update_hook(move |_| _ = wait.recv());
    drop(handle);
    let sql = "INSERT INTO t VALUES (2)";
    let checked = rules().check(sql, &[], Access::ReadWrite)?;
    let mut receiver = Receiver::new(Sink::Nothing, connection.limits(), checked.verb);
    let error = connection.run(sql.into(), &checked, Vec::new(), &mut receiver).await;
    assert_eq!(error.map_err(|error| error.kind), Err(Kind::Timeout));
    drop(connection);
    drop(release);
    insert(&database).await?.commit().await?;
    Ok(())
}

/// The driver's thread panics on a row with more columns than the statement had when it was first compiled. For guests
/// the authorizer prevents this.
#[tokio::test]
async fn a_panic_of_the_drivers_thread_is_an_error_and_no_empty_result() -> Result {
    let folder = tempfile::tempdir()?;
    // The driver's thread holds its lock while it writes the backtrace of the panic.
    let database = database(&folder, "10s").await?;
    insert(&database).await?.commit().await?;
    let query = async |access| {
        let mut connection = database.begin(&TransactionOptions::new(access)).await?;
        let mut rows = Rows::default();
        connection.run_as_host("SELECT * FROM t".into(), Vec::new(), Sink::Rows(&mut rows)).await?;
        connection.commit().await?;
        Ok::<_, DbError>(rows.rows.len())
    };
    let both = [Access::ReadOnly, Access::ReadWrite];
    for access in both {
        assert_eq!(query(access).await?, 1);
    }
    database.run_ddl("ALTER TABLE t ADD COLUMN m DEFAULT 7".into()).await?;
    for access in both {
        assert_eq!(query(access).await.map_err(|error| error.kind), Err(Kind::Lost));
        assert_eq!(query(access).await?, 1, "on another connection");
    }
    Ok(())
}

#[test]
#[ignore = "a part of a_panic_of_the_drivers_thread_is_one_record"]
fn logs_a_panic_of_the_drivers_thread() {
    telemetry::start(
        telemetry::Format::Json,
        "info",
        telemetry::Limits { max_per_request: 1, max_per_second: 1 << 20 },
    );
    a_panic_of_the_drivers_thread_is_an_error_and_no_empty_result().expect("the panic is an error");
}

#[test]
fn a_panic_of_the_drivers_thread_is_one_record() {
    let test = "database::sqlite::connection::tests::logs_a_panic_of_the_drivers_thread";
    let log = telemetry::tests::in_own_process(test, "0");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("each line is a record")).collect();
    let panics: Vec<_> = lines.iter().filter(|line| line["target"] == "carya::panic").collect();
    assert_eq!(panics.len(), 2, "{log}");
    assert!(panics.iter().all(|line| line["thread"].as_str().is_some_and(|name| name.contains("sqlx"))), "{log}");
}
