//! What the hosts of a fleet share, in tables of the host's own: the files that were deployed, the generations that are
//! made of them, which of those was activated last, and what each host serves. Knows SQL; when to ask is for `fleet` to
//! know.
//!
//! Times are the database's, in seconds since 1970: clocks of hosts differ.

mod activation;
mod collect;
mod files;
mod news;

use std::{str::FromStr, time::Duration};

use sqlx::mysql::MySqlConnectOptions;
use tokio::sync::OnceCell;

pub use self::news::News;
use super::{Access, Connection, Database, Dialect, error::DbError, outbox, value::Value};
use crate::{
    config,
    deploy::{self, Digest, Id},
};

/// A statement of these takes long where the disk does, or where another host's activation is waited for.
const STATEMENT: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(5);
/// Files go up and down while a host is asked about the others.
const CONNECTIONS: u32 = 4;
/// More than there is to list: digests, ids and hosts.
const RESULT: usize = 256 << 20;
const ROWS: usize = 1_000_000;

/// Why what is shared cannot be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database says so, or says nothing.
    #[error("the database that the fleet shares by: {0}")]
    Database(#[from] DbError),
    /// It is this host's own folder that cannot.
    #[error(transparent)]
    Folder(#[from] deploy::Error),
    /// Another host was quicker.
    #[error(
        "another host, {host}, activated {id} meanwhile, and nothing was changed; deploy again if this is still wanted"
    )]
    Overtaken {
        /// What is active now.
        id: Id,
        /// By whom.
        host: String,
    },
    /// A file that a generation needs is not shared.
    #[error("file {0} is not whole in the database that the fleet shares by; deploy the generation again")]
    Gone(Digest),
    /// Something in the tables is not what the host wrote there.
    #[error("{what} in the database that the fleet shares by is damaged; deploy the generation again")]
    Damaged {
        /// Which row.
        what: String,
    },
    /// Others removed files again and again.
    #[error("files were removed from the database while they were put there; try again")]
    Incomplete,
    /// The answer to the commit was lost.
    #[error(
        "the database did not tell whether {0} was activated; if it was, all hosts will serve it, see `carya generations`"
    )]
    Unsure(Id),
}

/// The shared place, as one host sees it.
#[derive(Debug)]
pub struct Shared {
    /// As the application has it.
    origin: config::Database,
    settings: config::Database,
    /// Where the host's tables stand, in SQL.
    place: String,
    host: String,
    database: OnceCell<Database>,
}

/// What was activated last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many activations there were.
    pub number: i64,
    /// What is active.
    pub id: Id,
    /// What was activated and not gone back from, the active one last.
    pub history: Vec<Id>,
    /// The host that activated it.
    pub host: String,
}

/// What a host said of itself last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The generation that it serves.
    pub generation: String,
    /// Since when.
    pub since: i64,
    /// When it said so.
    pub seen: i64,
    /// Why it does not serve what is active.
    pub error: Option<String>,
}

/// The tables, and their columns on PostgreSQL. `put_at` is when somebody needed it last.
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

/// The same for MySQL, where texts in keys have a length, and short ones hold little.
fn columns(dialect: Dialect, columns: &str) -> String {
    if dialect != Dialect::MySql {
        return columns.to_owned();
    }
    let key = |columns: String, name| columns.replace(&format!("{name} text"), &format!("{name} varchar(200)"));
    let columns = ["name", "digest", "id", "host", "generation"].into_iter().fold(columns.to_owned(), key);
    columns.replace("bytea", "mediumblob").replace(" text", " mediumtext")
}

impl Shared {
    /// The place in a database, which is not asked yet. Statements are the owner's, on connections of their own: no
    /// request waits for them.
    pub fn new(database: &config::Database, host: &str) -> Self {
        let origin = config::Database { migrations: None, ..database.clone() };
        let settings = config::Database {
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
        let options = MySqlConnectOptions::from_str(&settings.url.replacen("mariadb://", "mysql://", 1));
        let name = options.as_ref().ok().and_then(MySqlConnectOptions::get_database).unwrap_or_default();
        let place = outbox::table(settings.dialect, name);
        let place = place.strip_suffix(outbox::TABLE).unwrap_or_default().to_owned();
        Self { origin, settings, place, host: host.to_owned(), database: OnceCell::new() }
    }

    /// Whether it is in this database, reached in the same way.
    pub fn is_in(&self, database: &config::Database) -> bool {
        self.origin == config::Database { migrations: None, ..database.clone() }
    }

    /// Says when another host has activated something.
    pub fn news(&self) -> News {
        News::new(&self.settings)
    }

    async fn begin(&self, access: Access) -> Result<Connection, DbError> {
        let database = self.database.get_or_try_init(|| Box::pin(self.open())).await?;
        Box::pin(database.begin_as_host(access)).await
    }

    /// Connects, and makes the tables that are not there.
    async fn open(&self) -> Result<Database, DbError> {
        let database = Database::open("fleet", &self.settings).await?;
        for (table, text) in TABLES {
            let ensured = database.ensure(&self.sql(table), &columns(self.settings.dialect, text)).await;
            ensured.map_err(|error| DbError {
                message: format!(
                    "{} could not be made; give it database.admin_url, a login that may: {}",
                    self.sql(table),
                    error.message
                ),
                ..error
            })?;
        }
        Ok(database)
    }

    /// A statement with the tables where they stand, and the time as this database tells it. Tables are written
    /// `{files}`.
    fn sql(&self, text: &str) -> String {
        let now = match self.settings.dialect {
            Dialect::Postgres => "extract(epoch FROM now())::bigint",
            Dialect::MySql | Dialect::Sqlite => "UNIX_TIMESTAMP()",
        };
        text.replace("{now}", now).replace('}', "").replace('{', &format!("{}carya_", self.place))
    }

    /// Puts a row in place of the one that may have the same key, which is the first of the columns, or the first two.
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

    /// Runs one query by itself.
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        let mut connection = self.begin(Access::ReadOnly).await?;
        let rows = connection.query_as_host(self.sql(sql), params).await?;
        connection.rollback().await?;
        Ok(rows)
    }

    /// What was activated last; none in a fleet to which nothing was deployed yet.
    pub async fn head(&self) -> Result<Option<Head>, Error> {
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

    /// Tells the others what this host serves, for how long it has done so, and why not what is active.
    pub async fn report(&self, generation: &str, age: Duration, error: Option<&str>) -> Result<(), Error> {
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

    /// All hosts that have said something of themselves.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
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
