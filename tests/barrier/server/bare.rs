//! Set-up without the gate, which shows the statements that the server itself stops. The driver sends each statement
//! with a guest's hardened login, prepared and in a transaction as the host does it.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::{
    super::super::support::{
        Result,
        client::{Client, Connection},
        servers::Pair,
    },
    EngineData, Row, Stop, TIMEOUT,
};

/// A database with a session for each of its hardened logins.
pub struct Bare<'a> {
    data: &'a EngineData,
    name: String,
    reader: Session,
    writer: Session,
}

struct Session {
    client: Client,
    open: Option<Connection>,
    begin: String,
}

impl<'a> Bare<'a> {
    pub async fn start(data: &'a EngineData, pair: &Pair) -> Result<Self> {
        let (name, urls, _) = data.database(pair, true).await?;
        let session = |url: &str, begin: &str| {
            let begin = begin.replace("{timeout}", &TIMEOUT.to_string());
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Session { client: Client::new(url)?, open: None, begin })
        };
        let reader = session(&urls.reader, data.begin[0])?;
        let writer = session(&urls.writer, data.begin[1])?;
        Ok(Self { data, name, reader, writer })
    }

    /// Runs all rows without parameters. Returns a description of each one that does not end at the expected layer.
    pub async fn try_all(&mut self, rows: &[Row]) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for row in rows.iter().filter(|row| row.params.as_array().is_some_and(Vec::is_empty)) {
            let sql = row.sql.replace("{db}", &self.name);
            for (method, expected) in row.handles() {
                let session = if method == "GET" { &mut self.reader } else { &mut self.writer };
                let sent = tokio::time::timeout(Duration::from_secs(15), session.send(self.data, &sql)).await;
                let (stopped, what) =
                    sent.map_err(|_| format!("without the gate: no end of {method} {sql:.200}"))??;
                if stopped != matches!(expected, Stop::Server(_) | Stop::Both(_)) {
                    wrong.push(format!("without the gate: {method} {sql:.200}\n    expected {expected:?}, got {what}"));
                }
            }
        }
        Ok(wrong)
    }
}

impl Session {
    /// Sends a statement in a transaction. Returns whether the server stopped it and kept the transaction open, and a
    /// description of the result.
    async fn send(&mut self, data: &EngineData, sql: &str) -> Result<(bool, String)> {
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.client.connect().await?;
                connection.execute(&data.connected.replace("{timeout}", &TIMEOUT.to_string())).await?;
                connection
            }
        };
        connection.execute(&self.begin).await?;
        let error =
            match tokio::time::timeout(Duration::from_millis(20 * TIMEOUT), prepared(&mut connection, sql)).await {
                Err(_) => return Ok((false, "no end".to_owned())),
                Ok(Ok(what)) => return Ok((false, what)),
                Ok(Err(error)) => error,
            };
        let is_open = connection.execute(data.is_open).await.is_ok();
        if connection.execute("ROLLBACK").await.is_ok() {
            self.open = Some(connection);
        }
        Ok((is_open, format!("{error}{}", if is_open { "" } else { ", and no transaction any more" })))
    }
}

/// Runs a prepared statement as the host does, and reads at most `ENOUGH` rows.
async fn prepared(connection: &mut Connection, sql: &str) -> std::result::Result<String, sqlx::Error> {
    const ENOUGH: usize = 1000;
    let sql = AssertSqlSafe(sql.to_owned());
    let mut count = 0;
    match connection {
        Connection::Sqlite(_) => {}
        Connection::Postgres(connection) => {
            let mut rows = sqlx::query(sql).fetch(connection);
            while count < ENOUGH && rows.try_next().await?.is_some() {
                count += 1;
            }
        }
        Connection::MariaDb(connection) => {
            let mut rows = sqlx::query(sql).fetch(connection);
            while count < ENOUGH && rows.try_next().await?.is_some() {
                count += 1;
            }
        }
    }
    Ok(format!("{count} rows"))
}
