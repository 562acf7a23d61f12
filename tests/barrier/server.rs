//! Harness for tests of the barrier around a database server. Statements and the data about an engine come from the
//! caller. Each statement runs in three set-ups:
//!
//! - through the gate, with hardened logins ([`Watched`]),
//! - through the gate, with a superuser's login ([`Watched`]),
//! - without the gate, with hardened logins ([`Bare`]).
//!
//! The set-ups with the gate must contain every statement. All three together show which layer stops a statement, and
//! that layer must be the expected [`Stop`].

mod bare;
mod watched;

use serde_json::Value as Json;

use self::{bare::Bare, watched::Watched};
use super::super::{
    harden::{Urls, apply},
    support::{Engine, Result, client::Client, servers::Pair},
};

/// Statement timeout, in milliseconds.
const TIMEOUT: u64 = 400;

/// Layer that stops a statement, with the kind of error that the guest receives. `a|b` accepts both kinds.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// The gate, or the code that binds parameters, refuses the statement. The server would run it.
    Gate(&'static str),
    /// The statement passes the gate. The server stops it by missing rights, a read-only transaction, a timeout or the
    /// prepared protocol. If `ok` is among the kinds, the statement may succeed with a superuser's login, and must do
    /// no harm then.
    Server(&'static str),
    /// The gate refuses the statement, and the server would refuse it too.
    Both(&'static str),
    /// The host refuses the rows: they exceed a limit, or have a type that the host cannot read.
    Host(&'static str),
    /// No layer stops the statement. It runs and does no harm.
    Runs,
}

/// Statements with the same purpose, and the layer that stops them through each handle.
pub struct Group {
    pub reader: Stop,
    /// `None` if the statements are not run through the writer: it allows them, and their effect would outlive the
    /// transaction.
    pub writer: Option<Stop>,
    pub statements: &'static [&'static str],
}

/// One statement. `{db}` stands for the name of the database. A row with parameters is not run without the gate.
pub struct Row {
    pub sql: String,
    pub params: Json,
    pub reader: Stop,
    pub writer: Option<Stop>,
}

impl Row {
    /// Methods that run the statement, each with the layer that must stop it.
    fn handles(&self) -> impl Iterator<Item = (&'static str, Stop)> {
        [("GET", Some(self.reader)), ("POST", self.writer)]
            .into_iter()
            .filter_map(|(method, stop)| Some((method, stop?)))
    }
}

pub fn rows(groups: &[Group]) -> Vec<Row> {
    let row = |group: &Group, sql: &str| Row {
        sql: sql.to_owned(),
        params: Json::Array(vec![]),
        reader: group.reader,
        writer: group.writer,
    };
    groups.iter().flat_map(|group| group.statements.iter().map(move |sql| row(group, sql))).collect()
}

/// Data about an engine. `{db}` stands for the name of the database.
pub struct EngineData {
    pub engine: Engine,
    /// SQL that creates the application's tables. Each ordinary request that writes increments `turns`.
    pub schema: &'static str,
    /// SQL that the owner runs after `carya harden` has created the guests' logins.
    pub grants: &'static str,
    /// Queries with one text column each, which together return everything that must not change.
    pub state: &'static [&'static str],
    /// Query for the state of a session. The gate allows it.
    pub session: &'static str,
    /// Queries that call application functions which change the session, if the login has the right to.
    pub leaving: &'static [&'static str],
    /// Query for running statements, transactions and locks of guests' sessions. Returns no rows if all are at rest.
    pub unrest: &'static str,
    /// Query for the server's data directory.
    pub folder: &'static str,
    /// SQL that the host sends on a new connection.
    pub connected: &'static str,
    /// SQL that begins a read-only and a read-write transaction.
    pub begin: [&'static str; 2],
    /// SQL that fails unless a transaction is open.
    pub is_open: &'static str,
}

impl EngineData {
    /// Creates a database with the application's tables. Returns its name, its URLs and a client of its owner. Without
    /// `hardened`, the reader and the writer use the owner's login.
    async fn database(&self, pair: &Pair, hardened: bool) -> Result<(String, Urls, Client)> {
        let name = pair.database().await?.name;
        let mut urls = Urls::new(pair.primary_url(&name), &name)?;
        let owner = Client::new(&urls.admin)?;
        owner.execute(&self.schema.replace("{db}", &name)).await?;
        if hardened {
            let folder = tempfile::tempdir()?;
            urls.configure(folder.path())?;
            apply(folder.path()).await?;
            owner.execute(&self.grants.replace("{db}", &name)).await?;
        } else {
            (urls.reader, urls.writer) = (urls.admin.clone(), urls.admin.clone());
        }
        Ok((name, urls, owner))
    }
}

/// Runs all rows in all set-ups, and asserts that the expected layer stops each of them.
pub async fn holds(data: &EngineData, rows: &[Row]) -> Result {
    let Some(pair) = Pair::start(data.engine).await? else { return Ok(()) };
    // The fingerprint includes state of the whole server, such as its databases. Therefore all set-ups exist before the
    // first statement runs.
    let mut hardened = Watched::start(data, &pair, true).await?;
    let mut superuser = Watched::start(data, &pair, false).await?;
    let mut bare = Bare::start(data, &pair).await?;
    let wrong = tokio::try_join!(hardened.try_all(rows), superuser.try_all(rows), bare.try_all(rows))?;
    let wrong: Vec<String> = [wrong.0, wrong.1, wrong.2].concat();
    let all: Vec<Stop> = rows.iter().flat_map(Row::handles).map(|(_, stop)| stop).collect();
    let count = |is: fn(&Stop) -> bool| all.iter().filter(|stop| is(stop)).count();
    println!(
        "{}: {} rows of {} statements; stopped by the server alone {}, by the gate alone {}, by both {}, by the host's \
         limits {}; {} may run and do no harm",
        data.engine,
        all.len(),
        rows.len(),
        count(|stop| matches!(stop, Stop::Server(_))),
        count(|stop| matches!(stop, Stop::Gate(_))),
        count(|stop| matches!(stop, Stop::Both(_))),
        count(|stop| matches!(stop, Stop::Host(_))),
        count(|stop| matches!(stop, Stop::Runs)),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
