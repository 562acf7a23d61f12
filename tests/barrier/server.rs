//! The barrier around a server, tried like the embedded one's, in three set-ups at once: hardened logins behind the
//! gate, one superuser behind the gate, and hardened logins without the gate. The first two must hold; with the third
//! they tell who stops a statement, and that has to be what the table says. Knows no statement and no engine.

mod bare;
mod watched;

use serde_json::Value as Json;

use self::{bare::Bare, watched::Watched};
use super::super::{
    harden::{Urls, apply},
    support::{Engine, Result, client::Client, servers::Pair},
};

/// How long a statement may run, in milliseconds.
const TIMEOUT: u64 = 400;

/// Who stops a statement, with the kinds of error that a guest is told: `a|b` is either.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// The gate, or what prepares its parameters. The server would let it through.
    Gate(&'static str),
    /// The server's rights, read-only transactions, timeouts and prepared protocol. It passes the gate. With a superuser's login
    /// it may be `ok`: then it must do no harm either.
    Server(&'static str),
    /// The gate; and the server would.
    Both(&'static str),
    /// The host's limits of what a statement returns.
    Host(&'static str),
    /// Nobody: it does what it says, and no harm.
    Nobody,
}

/// Statements that are after the same, and what comes of them through either handle.
pub struct Group {
    pub reader: Stop,
    /// None where a writer may, for good.
    pub writer: Option<Stop>,
    pub statements: &'static [&'static str],
}

/// One statement, `{db}` in it stands for the database's name. With parameters it is not tried without the gate.
pub struct Row {
    pub sql: String,
    pub params: Json,
    pub reader: Stop,
    pub writer: Option<Stop>,
}

impl Row {
    /// The handles that it is tried through.
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

/// What the watcher has to know of an engine. `{db}` stands for the database's name.
pub struct Product {
    pub engine: Engine,
    /// The application's tables. `turns` is counted up by each ordinary request that writes.
    pub schema: &'static str,
    /// What only the owner can add once the logins are there.
    pub grants: &'static str,
    /// Queries, each of one column of texts, for all that must stay as it is.
    pub state: &'static [&'static str],
    /// A query for all that a session could differ in; guests may send it.
    pub session: &'static str,
    /// Queries by which functions of the application leave something on the session, if the login may.
    pub leaving: &'static [&'static str],
    /// A query for what guests' sessions must not have when they are at rest: running statements, transactions, locks.
    pub unrest: &'static str,
    /// The folder of the server's data.
    pub folder: &'static str,
    /// What the host says on a new connection, to begin, and to see whether the transaction is still there.
    pub connected: &'static str,
    pub begin: [&'static str; 2],
    pub is_open: &'static str,
}

impl Product {
    /// A database with the application's tables. With logins for guests, hardened, or with the owner's alone.
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

/// Tries all of it.
pub async fn holds(product: &Product, rows: &[Row]) -> Result {
    let Some(pair) = Pair::start(product.engine).await? else { return Ok(()) };
    // What is the whole server's is watched too, so the set-ups stand before the first statement.
    let mut hardened = Watched::start(product, &pair, true).await?;
    let mut superuser = Watched::start(product, &pair, false).await?;
    let mut bare = Bare::start(product, &pair).await?;
    let wrong = tokio::try_join!(hardened.try_all(rows), superuser.try_all(rows), bare.try_all(rows))?;
    let wrong: Vec<String> = [wrong.0, wrong.1, wrong.2].concat();
    let all: Vec<Stop> = rows.iter().flat_map(Row::handles).map(|(_, stop)| stop).collect();
    let count = |is: fn(&Stop) -> bool| all.iter().filter(|stop| is(stop)).count();
    println!(
        "{}: {} rows of {} statements; stopped by the server alone {}, by the gate alone {}, by both {}, by the host's \
         limits {}; {} may run and do no harm",
        product.engine,
        all.len(),
        rows.len(),
        count(|stop| matches!(stop, Stop::Server(_))),
        count(|stop| matches!(stop, Stop::Gate(_))),
        count(|stop| matches!(stop, Stop::Both(_))),
        count(|stop| matches!(stop, Stop::Host(_))),
        count(|stop| matches!(stop, Stop::Nobody)),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
