//! Throw-away databases on a server. All names contain the run: the time of its start, by which a later run recognizes
//! left-overs, and a random part.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use tokio::sync::Mutex;

use crate::{
    config::{self, DatabaseConfig, Dialect},
    database::{Administrator, THROW_AWAY},
    sql::error::DbError,
};

/// Age of the left-overs of a killed process.
pub(super) const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Number of hexadecimal digits of a time, and of the random part.
const DIGITS: usize = 8;

/// A server with throw-away databases of one run.
#[derive(Debug)]
pub(super) struct Server {
    /// URL with the login of the administrator.
    url: String,
    /// Settings of a database of the application on a server of this kind.
    settings: DatabaseConfig,
    /// Name of the login for guests, and start of the names of the databases.
    run: String,
    password: String,
    /// Connections that are not in use.
    idle: Mutex<Vec<Administrator>>,
}

impl Server {
    /// Connects, drops left-overs, and creates a login for guests.
    pub(super) async fn new(url: &str, settings: &DatabaseConfig) -> anyhow::Result<Self> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let server = Self {
            url: url.to_owned(),
            settings: settings.clone(),
            run: format!("{THROW_AWAY}{seconds:0DIGITS$x}{:0DIGITS$x}", rand::random::<u32>()),
            password: format!("{:032x}", rand::random::<u128>()),
            idle: Mutex::default(),
        };
        let cannot = || format!("the server for tests, {}", config::shown_url(url));
        let mut administrator = server.connect().await.with_context(cannot)?;
        drop_left_overs(&mut administrator, seconds).await.with_context(cannot)?;
        administrator.create_login(&server.run, &server.password).await.with_context(cannot)?;
        server.idle.lock().await.push(administrator);
        Ok(server)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    /// Replaces the URLs of a database: its guests use the login of the run, and its owner is the administrator. Replicas
    /// are replaced by a simulated one if the database is of a lane.
    pub(super) fn configure(&self, database: &mut DatabaseConfig, name: &str, is_of_lane: bool) {
        let name = self.name(name);
        database.url = config::with_database(&self.url, &name, Some((&self.run, &self.password)));
        database.admin_url = Some(config::with_database(&self.url, &name, None));
        database.reader_url = None;
        database.replicas.truncate(is_of_lane.into());
        database.replicas.fill(database.url.clone());
        database.simulate_replicas = true;
        // A test decides how long the replica lags.
        database.replica_max_lag = Duration::MAX;
        database.check_rights = false;
    }

    /// Creates an empty database.
    pub(super) async fn create(&self, name: &str) -> anyhow::Result<()> {
        self.with(async |administrator| administrator.create(&self.name(name), &self.run).await).await
    }

    /// Prepares a database for [`copy`](Self::copy).
    pub(super) async fn save(&self, name: &str) -> anyhow::Result<()> {
        self.with(async |administrator| administrator.save(&self.name(name), &self.run).await).await
    }

    /// Makes a database a copy of a saved one, as far as the server can copy databases.
    pub(super) async fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        self.with(async |administrator| administrator.copy(&self.name(from), &self.name(to), &self.run).await).await
    }

    /// Drops a database.
    pub(super) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.with(async |administrator| administrator.drop_database(&self.name(name)).await).await
    }

    /// Drops the databases and the login of this run.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        let mut administrator = self.connect().await?;
        let (databases, _) = administrator.list().await?;
        // Their names contain the random part of this run.
        for database in databases.iter().filter(|name| run_of(name) == Some(&self.run)) {
            administrator.drop_database(database).await?;
        }
        Ok(administrator.drop_login(&self.run).await?)
    }

    /// Returns the start of the names of all databases of this run.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.run)
    }

    /// Does some work on a connection. Keeps the connection for other work, unless the work fails.
    async fn with(&self, work: impl AsyncFnOnce(&mut Administrator) -> Result<(), DbError>) -> anyhow::Result<()> {
        let mut administrator = self.connect().await?;
        work(&mut administrator).await?;
        self.idle.lock().await.push(administrator);
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Administrator> {
        match self.idle.lock().await.pop() {
            Some(administrator) => Ok(administrator),
            None => Ok(Administrator::connect(&self.url, &self.settings).await?),
        }
    }
}

/// Drops the databases and logins of runs that began more than a day before `now`, in seconds since 1970.
async fn drop_left_overs(administrator: &mut Administrator, now: u64) -> anyhow::Result<()> {
    let (databases, logins) = administrator.list().await?;
    let is_old = |name: &&str| began(name).is_some_and(|began| now.saturating_sub(began) > LEFT_OVER.as_secs());
    let old: BTreeSet<_> = databases.iter().chain(&logins).filter_map(|name| run_of(name)).filter(is_old).collect();
    for run in old {
        for database in databases.iter().filter(|name| run_of(name) == Some(run)) {
            administrator.drop_database(database).await?;
        }
        administrator.drop_login(run).await?;
    }
    Ok(())
}

/// Returns the run in the name of a database or login. Returns `None` for other names that start like those of a run.
fn run_of(name: &str) -> Option<&str> {
    let (run, rest) = name.split_at_checked(THROW_AWAY.len() + 2 * DIGITS)?;
    let digits = run.strip_prefix(THROW_AWAY)?;
    let is_run = digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && (rest.is_empty() || rest.starts_with('_'));
    is_run.then_some(run)
}

/// Returns the time at which a run began, in seconds since 1970.
fn began(run: &str) -> Option<u64> {
    let digits = run.strip_prefix(THROW_AWAY)?.get(..DIGITS)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_contain_their_run() {
        let run = "carya_test_6750a1b2deadbeef";
        for name in [run, "carya_test_6750a1b2deadbeef_0_saved", "carya_test_6750a1b2deadbeef_0_1_2_carya"] {
            assert_eq!(run_of(name), Some(run), "{name}");
        }
        for name in
            ["carya_test_", "carya_test_shop", "carya_test_6750a1b2deadbeefs", "carya_test_6750a1b2deadbex_1", ""]
        {
            assert_eq!(run_of(name), None, "{name}");
        }
        assert_eq!(began(run), Some(0x6750_a1b2));
    }
}
