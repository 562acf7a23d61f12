//! Privileges of the logins that `carya harden` sets up on MariaDB.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, mysql::MySqlDatabaseError};

use super::{
    super::support::{Result, Wrong, check, check_eq, servers},
    Urls, apply, harden,
};

const SCHEMA: &str = "CREATE TABLE items (id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL);
    CREATE TABLE notes (id int AUTO_INCREMENT PRIMARY KEY, item int, FOREIGN KEY (item) REFERENCES items (id));
    CREATE VIEW names AS SELECT name FROM items;
    INSERT INTO items (name) VALUES ('Pecan');";

/// Statements that a hardened login must not run. `{db}` stands for the application's database.
const HOSTILE: [&str; 46] = [
    // Files.
    "SELECT * FROM items INTO OUTFILE '/tmp/carya-stolen'",
    "SELECT 1 INTO DUMPFILE '/tmp/carya-stolen'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE items",
    // Definitions. Each of these statements would commit the transaction.
    "CREATE TABLE x (a int)",
    "CREATE TEMPORARY TABLE x (a int)",
    "DROP TABLE items",
    "ALTER TABLE items ADD x int",
    "TRUNCATE items",
    "RENAME TABLE items TO x",
    "CREATE INDEX i ON items (name)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW SET @a = 1",
    "CREATE FUNCTION f() RETURNS int RETURN 1",
    "CREATE PROCEDURE p() SELECT 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "CREATE SEQUENCE s",
    "CREATE DATABASE evil",
    "DROP DATABASE {db}",
    "CREATE TABLE {db}_carya.x (a int)",
    // Locks, the server, other sessions.
    "LOCK TABLES items WRITE",
    "FLUSH TABLES WITH READ LOCK",
    "FLUSH PRIVILEGES",
    "SET GLOBAL max_connections = 10",
    "SET GLOBAL read_only = 1",
    "SET SESSION binlog_format = 'ROW'",
    "SET SESSION sql_log_bin = 0",
    "SHOW ENGINE INNODB STATUS",
    "SHOW BINARY LOGS",
    "SELECT * FROM information_schema.innodb_trx",
    "INSTALL SONAME 'ha_connect'",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
    "SHUTDOWN",
    // Privileges.
    "CREATE USER evil",
    "GRANT SELECT ON {db}.* TO evil",
    "SET PASSWORD FOR root@localhost = PASSWORD('x')",
    "SELECT * FROM mysql.user",
    "SELECT * FROM mysql.global_priv",
    "CALL mysql.AddGeometryColumn('', '', '', '', 1)",
    // Tables of other databases and of the host. A grant on the database must not treat the `_` in its name as a
    // wildcard.
    "SELECT * FROM {other}.secrets",
    "INSERT INTO {other}.secrets VALUES (1)",
    "SELECT * FROM {db}_carya.carya_outbox",
    "UPDATE {db}_carya.carya_outbox SET attempts = 0",
    "DELETE FROM {db}_carya.carya_outbox",
    "INSERT INTO {db}_carya.carya_outbox SELECT * FROM {db}_carya.carya_outbox",
    "INSERT INTO {db}_carya.carya_outbox (id, component, name, payload, attempts, due_at) VALUES ('1', 'a', 'b', '{}', 0, 0)",
    "SELECT * FROM {db}_carya.carya_outbox_secret",
];

const READS: [&str; 4] = [
    "SELECT name FROM items WHERE id = 1",
    "SELECT * FROM names",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n",
    "SELECT rand(), now(), uuid(), json_arrayagg(name) FROM items",
];

const WRITES: [&str; 6] = [
    "INSERT INTO items (name) VALUES ('Hickory') RETURNING id",
    "INSERT INTO notes (item) SELECT id FROM items",
    "UPDATE items SET name = CONCAT(name, '!') WHERE id = 1",
    "INSERT INTO items (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'Pecan'",
    "REPLACE INTO items (id, name) VALUES (9, 'x')",
    "DELETE FROM notes",
];

/// A call that changes nothing without the secret.
const OUTBOX: &str = "CALL {db}_carya.carya_outbox_done('wrong', '1', 0)";

/// Runs a statement and returns the number of its error, if it failed.
async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<Option<u16>> {
    match connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => Ok(Some(error.downcast_ref::<MySqlDatabaseError>().number())),
        Err(other) => Err(format!("{sql}: {other}").into()),
    }
}

/// Returns whether an error number means that the login lacks a privilege.
fn is_denied(number: Option<u16>) -> bool {
    number.is_some_and(|number| [1044, 1045, 1142, 1143, 1227, 1370, 1419].contains(&number))
}

struct Start {
    urls: Urls,
    database: String,
    admin: MySqlConnection,
    folder: tempfile::TempDir,
}

async fn start() -> Result<Option<Start>> {
    let Some(cluster) = servers::mariadb().await? else { return Ok(None) };
    let database = cluster.database().await?.name;
    let urls = Urls::new(cluster.primary_url(&database), &database)?;
    let mut admin = MySqlConnection::connect(&urls.admin).await?;
    admin.execute(sqlx::raw_sql(SCHEMA)).await?;
    let folder = tempfile::tempdir()?;
    urls.configure(folder.path())?;
    Ok(Some(Start { urls, database, admin, folder }))
}

#[tokio::test]
async fn hardened_logins_can_do_their_work_and_nothing_else() -> Result {
    let Some(Start { urls, database, mut admin, folder }) = start().await? else { return Ok(()) };
    for round in 1..=2 {
        let missing = apply(folder.path()).await?;
        assert!(missing.is_empty(), "round {round}: {missing:#?}");
    }
    // The name of the application's database would match this one if its `_` were a wildcard.
    assert!(database.contains('_'), "{database}");
    let other = database.replace('_', "x");
    let more = format!(
        "CREATE DATABASE {other}; CREATE TABLE {other}.secrets (x int);
        CREATE TABLE later (id int AUTO_INCREMENT PRIMARY KEY, x int)"
    );
    admin.execute(sqlx::raw_sql(AssertSqlSafe(more))).await?;

    let (mut reader, mut writer) =
        (MySqlConnection::connect(&urls.reader).await?, MySqlConnection::connect(&urls.writer).await?);
    let mut wrong = Wrong::default();
    for sql in HOSTILE {
        let sql = sql.replace("{db}", &database).replace("{other}", &other);
        for (who, connection) in [("reader", &mut reader), ("writer", &mut writer)] {
            let end = run(connection, &sql).await?;
            check!(wrong, is_denied(end), "{who}: {sql}: {end:?}");
        }
    }
    let files: Option<Vec<u8>> = sqlx::query_scalar("SELECT LOAD_FILE('/etc/passwd')").fetch_one(&mut writer).await?;
    assert_eq!(files, None);
    for sql in READS.into_iter().chain(["SELECT * FROM later"]) {
        check_eq!(wrong, run(&mut reader, sql).await?, None, "{sql}");
        check_eq!(wrong, run(&mut writer, sql).await?, None, "{sql}");
    }
    for sql in WRITES.into_iter().chain(["INSERT INTO later (x) VALUES (2)", "DELETE FROM later", OUTBOX]) {
        let sql = sql.replace("{db}", &database);
        let end = run(&mut reader, &sql).await?;
        check!(wrong, is_denied(end), "{sql}: {end:?}");
        check_eq!(wrong, run(&mut writer, &sql).await?, None, "{sql}");
    }
    // The login's `MAX_STATEMENT_TIME` ends the statement.
    assert_eq!(run(&mut reader, "SELECT SLEEP(30)").await?, Some(1969));
    admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {other}")))).await?;
    Ok(())
}

#[tokio::test]
async fn reports_missing_restrictions() -> Result {
    let Some(Start { urls, database, mut admin, folder }) = start().await? else { return Ok(()) };
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert!(code == Some(1) && err.contains("carya harden --apply"), "{err}");

    // Operators often create the logins with privileges like these.
    let (reader, writer) = (format!("{database}_ro"), format!("{database}_rw"));
    let naive = format!(
        r"CREATE USER '{reader}'@'%' IDENTIFIED BY 's\'e\\cret'; CREATE USER '{writer}'@'%' IDENTIFIED BY 's\'e\\cret';
        GRANT ALL ON {database}.* TO '{writer}'@'%'; GRANT SELECT, EXECUTE ON {database}.* TO '{reader}'@'%';
        CREATE TABLE old (x int) ENGINE = Aria; CREATE TABLE _sqlx_migrations (x int)"
    );
    admin.execute(sqlx::raw_sql(AssertSqlSafe(naive))).await?;
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert_eq!(code, Some(1));
    let mut wrong = Wrong::default();
    for what in [
        format!("{reader}@% has EXECUTE on `{database}`.*"),
        format!("{writer}@% has ALL PRIVILEGES on `{database}`.*"),
        format!("{writer}@% has no limit by max_statement_time"),
        "tables that are not InnoDB: old".to_owned(),
        "tables of the host in the application's database: _sqlx_migrations".to_owned(),
    ] {
        check!(wrong, err.contains(&format!("missing: {what}")), "{what}: {err}");
    }
    // `--apply` never changes data: it reports these tables and leaves them to the operator.
    let missing = apply(folder.path()).await?;
    assert_eq!(missing.len(), 2, "{missing:#?}");
    let cure =
        format!("ALTER TABLE old ENGINE = InnoDB; RENAME TABLE _sqlx_migrations TO {database}_carya._sqlx_migrations");
    admin.execute(sqlx::raw_sql(AssertSqlSafe(cure))).await?;
    assert_eq!(apply(folder.path()).await?, [""; 0]);

    super::super::support::write(folder.path(), &format!("[database]\nurl = \"{}\"\n", urls.admin), &[])?;
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    assert!(code == Some(1) && err.contains("has ALL PRIVILEGES on *.*"), "{err}");
    Ok(())
}

/// A login that defines the procedures of the outbox receives the secret of the host.
#[tokio::test]
async fn reports_procedures_of_another_definer() -> Result {
    let Some(Start { urls, database, mut admin, folder }) = start().await? else { return Ok(()) };
    assert_eq!(apply(folder.path()).await?, [""; 0]);
    let other = format!("'{database}_other'@'localhost'");
    let define = |definer: &str| {
        format!(
            "DROP PROCEDURE {database}_carya.carya_outbox_add;
            CREATE DEFINER = {definer} PROCEDURE {database}_carya.carya_outbox_add() SELECT 1;
            GRANT EXECUTE ON PROCEDURE {database}_carya.carya_outbox_add TO '{database}_rw'@'%'"
        )
    };
    admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE USER {other}; {}", define(&other))))).await?;
    let (code, _, err) = harden(folder.path(), &["--check"]).await?;
    let mut wrong = Wrong::default();
    let what = "calls procedures of the outbox that the login of admin_url has not defined: carya_outbox_add of";
    let found = err.contains(&format!("missing: {database}_rw@% {what} {database}_other@localhost"));
    check!(wrong, code == Some(1) && found && !err.contains(&format!("{database}_ro@%")), "{err}");

    // Without `admin_url` the owner is unknown, but it is no login for guests.
    let Urls { writer, reader, .. } = &urls;
    let config = format!("[database]\nurl = \"{writer}\"\nreader_url = \"{reader}\"\n");
    super::super::support::write(folder.path(), &config, &[])?;
    let (_, _, err) = harden(folder.path(), &["--check"]).await?;
    check!(wrong, !err.contains(what), "{err}");
    let by_guest = define(&format!("'{database}_rw'@'%'"));
    admin.execute(sqlx::raw_sql(AssertSqlSafe(by_guest))).await?;
    let (_, _, err) = harden(folder.path(), &["--check"]).await?;
    check!(wrong, err.contains(&format!("{what} {database}_rw@%")), "{err}");

    urls.configure(folder.path())?;
    check_eq!(wrong, apply(folder.path()).await?, [""; 0], "--apply defines the procedures again");
    Ok(admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP USER {other}")))).await.map(drop)?)
}

#[tokio::test]
async fn logins_with_powers_are_left_alone() -> Result {
    let Some(Start { database, mut admin, folder, .. }) = start().await? else { return Ok(()) };
    let writer = format!("'{database}_rw'@'%'");
    let mut wrong = Wrong::default();
    for (give, take) in [
        (format!("CREATE USER {writer}; GRANT FILE ON *.* TO {writer}"), format!("REVOKE FILE ON *.* FROM {writer}")),
        (format!("GRANT SELECT ON mysql.* TO {writer}"), format!("REVOKE SELECT ON mysql.* FROM {writer}")),
    ] {
        admin.execute(sqlx::raw_sql(AssertSqlSafe(give))).await?;
        let (code, _, err) = harden(folder.path(), &["--apply"]).await?;
        check!(wrong, code == Some(1) && err.contains("logins for guests that have other powers"), "{take}: {err}");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(take))).await?;
    }
    assert_eq!(apply(folder.path()).await?, [""; 0]);
    Ok(())
}
