//! State that the hosts of a fleet share in tables of the application's database: deployed files, the generations that
//! consist of them, the active generation, and the reports of the hosts. This module contains the SQL; `fleet` decides
//! when to run it.
//!
//! All times are the database's, in seconds since 1970, because the clocks of hosts differ.

mod activation;
mod collect;
mod files;

use std::time::Duration;

use tokio::sync::OnceCell;

use crate::{
    config::{self, Access, Dialect},
    database::{Connection, Database, Listener, host_tables},
    deploy::{self, Digest, Id},
    sql::{error::DbError, value::Value},
};

/// PostgreSQL channel on which activations are notified.
const CHANNEL: &str = "carya_activations";
/// Maximum time of a statement, which may wait for a slow disk or for another host's activation.
const STATEMENT: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(5);
/// Size of the connection pool. Several connections allow admin requests to read the state of the fleet during a
/// transfer of files.
const CONNECTIONS: u32 = 4;
/// Maximum size of a result in bytes. Lists of digests, ids or hosts are much smaller.
const RESULT: usize = 256 << 20;
const ROWS: usize = 1_000_000;

/// Error of an operation on the shared tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database reported an error, or did not answer.
    #[error("the shared database of the fleet: {0}")]
    Database(#[from] DbError),
    /// This host's own store of deployments failed.
    #[error(transparent)]
    Folder(#[from] deploy::Error),
    /// Another host activated a generation first.
    #[error(
        "another host, {host}, activated {id} meanwhile, and nothing was changed; deploy again if this is still wanted"
    )]
    Overtaken {
        /// Generation that is active now.
        id: Id,
        /// Host that activated it.
        host: String,
    },
    /// A file of a generation is not in the database.
    #[error("file {0} is missing in the shared database of the fleet; deploy the generation again")]
    FileMissing(Digest),
    /// A row does not contain what a host wrote there.
    #[error("{what} in the shared database of the fleet is damaged; deploy the generation again")]
    Damaged {
        /// The damaged row.
        what: String,
    },
    /// Other hosts removed or locked files again and again during the upload.
    #[error("files were removed from the database while this host uploaded them; try again")]
    Incomplete,
    /// The commit of an activation got no answer, and its outcome is unknown.
    #[error(
        "the database did not report whether {0} was activated; if it was, all hosts will serve it, see `carya generations`"
    )]
    InDoubt(Id),
}

/// The shared tables, as one host uses them.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Configuration of the application's database, without `migrations`.
    origin: config::DatabaseConfig,
    settings: config::DatabaseConfig,
    /// Schema or database that qualifies the names of the tables in SQL, with a trailing dot.
    place: String,
    host: String,
    database: OnceCell<Database>,
}

/// The latest activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Number of the activation; the first has number 1.
    pub number: i64,
    /// Active generation.
    pub id: Id,
    /// Generations that were activated and not rolled back, in order. The active one is the last.
    pub history: Vec<Id>,
    /// Host that activated the generation.
    pub host: String,
}

/// Latest report of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Name of the host.
    pub name: String,
    /// Generation that the host serves.
    pub generation: String,
    /// Time since which the host serves the generation.
    pub since: i64,
    /// Time of the report.
    pub seen: i64,
    /// Reason why the host does not serve the active generation.
    pub error: Option<String>,
}

/// The tables, and their columns on PostgreSQL. `put_at` is the last time at which a host needed the row.
const TABLES: [(&str, &str); 5] = [
    ("{parts}", "name text NOT NULL, part bigint NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (name, part)"),
    ("{files}", "digest text PRIMARY KEY, parts bigint NOT NULL, put_at bigint NOT NULL, suspect boolean NOT NULL"),
    ("{generations}", "id text PRIMARY KEY, parts bigint NOT NULL, put_at bigint NOT NULL"),
    (
        "{activations}",
        "number bigint PRIMARY KEY, id text NOT NULL, history text NOT NULL, host text NOT NULL, at bigint NOT NULL",
    ),
    (
        "{hosts}",
        "name text PRIMARY KEY, generation text NOT NULL, since bigint NOT NULL, seen bigint NOT NULL, error text",
    ),
];

/// Converts columns for MySQL, where a `text` in a key needs a length, and a plain `text` is too short for other
/// columns.
fn columns(dialect: Dialect, columns: &str) -> String {
    if dialect != Dialect::MySql {
        return columns.to_owned();
    }
    let key = |columns: String, name| columns.replace(&format!("{name} text"), &format!("{name} varchar(200)"));
    let columns = ["name", "digest", "id", "host", "generation"].into_iter().fold(columns.to_owned(), key);
    columns.replace("bytea", "mediumblob").replace(" text", " mediumtext")
}

impl Tables {
    /// Describes the shared tables in a database, without connecting to it. Statements run with the owner's login on
    /// connections of their own, so that no request waits for them.
    pub(crate) fn new(database: &config::DatabaseConfig, host: &str) -> Self {
        let origin = config::DatabaseConfig { migrations: None, ..database.clone() };
        let settings = config::DatabaseConfig {
            url: database.admin_url.as_ref().unwrap_or(&database.url).clone(),
            reader_url: None,
            admin_url: None,
            replicas: Vec::new(),
            max_connections: CONNECTIONS,
            statement_timeout: STATEMENT,
            lock_timeout: LOCK,
            max_rows: ROWS,
            max_result: RESULT,
            echo: false,
            ..database.clone()
        };
        let place = host_tables::qualifier_in(&settings);
        Self { origin, settings, place, host: host.to_owned(), database: OnceCell::new() }
    }

    /// Returns whether the tables are in this database, with the same settings for the connection.
    pub(crate) fn is_in(&self, database: &config::DatabaseConfig) -> bool {
        self.origin == config::DatabaseConfig { migrations: None, ..database.clone() }
    }

    /// Returns a listener for activations by other hosts.
    pub(crate) fn activations(&self) -> Listener {
        Listener::new(&self.settings, CHANNEL)
    }

    async fn begin(&self, access: Access) -> Result<Connection, DbError> {
        let database = self.database.get_or_try_init(|| Box::pin(self.open())).await?;
        Box::pin(database.begin_as_host(access)).await
    }

    /// Connects, and creates missing tables.
    async fn open(&self) -> Result<Database, DbError> {
        let database = Database::open("fleet", &self.settings).await?;
        for (table, text) in TABLES {
            let ensured = database.ensure(&self.sql(table), &columns(self.settings.dialect, text)).await;
            ensured.map_err(|error| DbError {
                message: format!("{} could not be created: {}", self.sql(table), error.message),
                ..error
            })?;
        }
        Ok(database)
    }

    /// Completes a statement: replaces `{files}` by the qualified name of the table `carya_files`, and `{now}` by the
    /// time of the database.
    fn sql(&self, text: &str) -> String {
        let now = match self.settings.dialect {
            Dialect::Postgres => "extract(epoch FROM now())::bigint",
            Dialect::MySql | Dialect::Sqlite => "UNIX_TIMESTAMP()",
        };
        text.replace("{now}", now).replace('}', "").replace('{', &format!("{}carya_", self.place))
    }

    /// Returns a statement that inserts a row, or replaces the row with the same key. The first `keys` columns are the
    /// key.
    fn put(&self, table: &str, keys: usize, columns: &[&str], values: &str) -> String {
        let all = columns.join(", ");
        self.sql(&match self.settings.dialect {
            Dialect::MySql => format!("REPLACE INTO {table} ({all}) VALUES ({values})"),
            Dialect::Postgres | Dialect::Sqlite => {
                let set: Vec<_> =
                    columns[keys..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
                let (key, set) = (columns[..keys].join(", "), set.join(", "));
                format!("INSERT INTO {table} ({all}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {set}")
            }
        })
    }

    /// Runs one query in a transaction of its own.
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let mut connection = self.begin(Access::ReadOnly).await?;
        let rows = connection.query_as_host(self.sql(sql), params).await?;
        connection.rollback().await?;
        Ok(rows)
    }

    /// Returns the latest activation, or `None` before the first deployment to the fleet.
    pub(crate) async fn head(&self) -> Result<Option<Head>, Error> {
        self.activation("SELECT number, history, host FROM {activations} ORDER BY number DESC LIMIT 1", Vec::new())
            .await
    }

    async fn activation(&self, sql: &str, params: Vec<Value>) -> Result<Option<Head>, Error> {
        let Some(row) = self.query(sql, params).await?.pop() else { return Ok(None) };
        let damaged = || Error::Damaged { what: "an activation".to_owned() };
        let [Value::Int64(number), Value::Text(history), Value::Text(host)] =
            <[Value; 3]>::try_from(row).map_err(|_| damaged())?
        else {
            return Err(damaged());
        };
        let history: Result<Vec<Id>, _> = history.split_whitespace().map(str::parse).collect();
        let history = history.map_err(|_| damaged())?;
        let id = history.last().ok_or_else(damaged)?.clone();
        Ok(Some(Head { number, id, history, host }))
    }

    /// Writes this host's report: the generation that it serves, for how long, and why it does not serve the active
    /// one.
    pub(crate) async fn report(&self, generation: &str, age: Duration, error: Option<&str>) -> Result<(), Error> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let columns = ["name", "generation", "since", "seen", "error"];
        let sql = self.put("{hosts}", 1, &columns, &format!("?, ?, {{now}} - {age}, {{now}}, ?"));
        let error = error.map_or(Value::Null, |error| Value::Text(error.to_owned()));
        let params = vec![Value::Text(self.host.clone()), Value::Text(generation.to_owned()), error];
        let mut connection = self.begin(Access::ReadWrite).await?;
        connection.execute_as_host(sql, params).await?;
        connection.commit().await?;
        Ok(())
    }

    /// Returns the latest reports of all hosts.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, Error> {
        let sql = "SELECT name, generation, since, seen, error FROM {hosts} ORDER BY name";
        let member = |row: Vec<Value>| match <[Value; 5]>::try_from(row).ok()? {
            [Value::Text(name), Value::Text(generation), Value::Int64(since), Value::Int64(seen), error] => {
                let error = if let Value::Text(error) = error { Some(error) } else { None };
                Some(Member { name, generation, since, seen, error })
            }
            _ => None,
        };
        Ok(self.query(sql, Vec::new()).await?.into_iter().filter_map(member).collect())
    }
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}
