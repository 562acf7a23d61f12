//! Saves and empties a MySQL database. Keeps grants and the host's own database.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use sqlx::{AssertSqlSafe, MySqlConnection, mysql::MySqlConnectOptions};

use super::Error;
use crate::config;

/// Query for statements that drop all objects of the database. Triggers and indexes are dropped with their tables.
const OBJECTS: &str = "
    SELECT CONCAT('DROP ', CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END,
        ' IF EXISTS `', REPLACE(table_name, '`', '``'), '`')
    FROM information_schema.tables WHERE table_schema = DATABASE()
    UNION ALL
    SELECT CONCAT('DROP ', routine_type, ' IF EXISTS `', REPLACE(routine_name, '`', '``'), '`')
    FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL
    SELECT CONCAT('DROP EVENT IF EXISTS `', REPLACE(event_name, '`', '``'), '`')
    FROM information_schema.events WHERE event_schema = DATABASE()";

/// Returns the id of this session.
pub(super) async fn session(connection: &mut MySqlConnection) -> Result<u64, sqlx::Error> {
    sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS UNSIGNED)").fetch_one(connection).await
}

/// Returns the sessions in this database other than this one and `own`, as far as this login can see them.
pub(super) async fn others(connection: &mut MySqlConnection, own: u64) -> Result<Vec<String>, sqlx::Error> {
    let others = "
        SELECT CONCAT(user, ' (from ', host, ', session ', id, ')') FROM information_schema.processlist
        WHERE db = DATABASE() AND id NOT IN (CONNECTION_ID(), ?)";
    sqlx::query_scalar(others).bind(own).fetch_all(connection).await
}

/// Returns the command that saves the database of a URL to a file.
pub(super) fn dump(url: &str, file: &Path) -> Result<Command, Error> {
    let options: MySqlConnectOptions = url.parse()?;
    let is_there = |program: &&str| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let mut command = Command::new(["mariadb-dump", "mysqldump"].into_iter().find(is_there).unwrap_or("mariadb-dump"));
    command.args(["--single-transaction", "--routines", "--events", "--triggers", "--hex-blob"]);
    command.arg(format!("--result-file={}", file.display()));
    command.arg(format!("--user={}", options.get_username()));
    match options.get_socket() {
        Some(socket) => command.arg(format!("--socket={}", socket.display())),
        // For the host `localhost` the program would use a local socket instead of TCP.
        None => command.args([
            format!("--host={}", options.get_host()),
            format!("--port={}", options.get_port()),
            "--protocol=TCP".to_owned(),
        ]),
    };
    for option in ["ssl-ca", "ssl-cert", "ssl-key"] {
        command.args(config::option_of_url(url, option).map(|path| format!("--{option}={path}")));
    }
    // Not as an argument: every user can read the arguments of a process.
    command.env("MYSQL_PWD", config::password_of(url)).args(options.get_database());
    Ok(command)
}

pub(super) async fn empty(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let statements: Vec<String> = sqlx::query_scalar(OBJECTS).fetch_all(&mut *connection).await?;
    sqlx::raw_sql("SET FOREIGN_KEY_CHECKS = 0").execute(&mut *connection).await?;
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    sqlx::raw_sql("SET FOREIGN_KEY_CHECKS = 1").execute(connection).await.map(drop)
}
