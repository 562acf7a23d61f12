//! Activation of a generation for all hosts: a transaction that inserts a row with the next number into the list of
//! activations. If two hosts activate at the same time, only one of them obtains the number.

use std::time::Duration;

use super::{
    CHANNEL, Error, Head, Tables,
    files::{BATCH, digests, list},
    text,
};
use crate::{
    config::{Access, Dialect},
    deploy::{Id, Manifest, Store},
    sql::{
        error::{DbError, Kind},
        value::Value,
    },
};

/// Maximum number of attempts to upload files, while another host removes or locks them.
const ROUNDS: usize = 5;
/// Maximum time to look up the outcome of a commit that got no answer.
const RESOLVE: Duration = Duration::from_secs(10);

impl Tables {
    /// Makes the last generation of `history` active for all hosts, unless another generation was activated after
    /// activation number `since`. First uploads the missing files of the generation from `store`.
    pub(crate) async fn activate(&self, store: &Store, since: i64, history: &[Id]) -> Result<(), Error> {
        let Some(id) = history.last() else { return Err(Error::Incomplete) };
        let manifest = store.manifest(id)?;
        for _ in 0..ROUNDS {
            self.put_files(store, &manifest).await?;
            match self.append(since + 1, history, &manifest).await {
                Err(Error::Incomplete) => {}
                Err(Error::Database(error)) if error.kind == Kind::Conflict => {}
                result => return result,
            }
        }
        Err(Error::Incomplete)
    }

    /// Runs the transaction of the activation. Other hosts see all of it, or nothing.
    async fn append(&self, number: i64, history: &[Id], manifest: &Manifest) -> Result<(), Error> {
        let mut connection = self.begin(Access::ReadWrite).await?;
        let lines: String = history.iter().map(|id| format!("{id}\n")).collect();
        let params = vec![Value::Int64(number), text(&manifest.id), text(&lines), text(&self.host)];
        // Insert this row first, so that another host's activation waits here and holds no other locks.
        let sql = self.sql("INSERT INTO {activations} (number, id, history, host, at) VALUES (?, ?, ?, ?, {now})");
        match connection.execute_as_host(sql, params).await {
            Err(error) if error.kind == Kind::Constraint => {
                connection.rollback().await?;
                return Err(self.overtaken(number, error).await);
            }
            result => drop(result?),
        }
        self.put_manifest(&mut connection, manifest).await?;
        for batch in digests(manifest).chunks(BATCH) {
            // Renew `put_at` and lock the rows, so that no collection removes the files before the commit.
            let sql = format!("UPDATE {{files}} SET put_at = {{now}} WHERE digest IN ({})", list(batch));
            let found = connection.execute_as_host(self.sql(&sql), Vec::new()).await?.rows_affected;
            if usize::try_from(found).ok() != Some(batch.len()) {
                connection.rollback().await?;
                return Err(Error::Incomplete);
            }
        }
        if self.settings.dialect == Dialect::Postgres {
            // The server sends this to the other hosts after the commit.
            connection.execute_as_host(format!("NOTIFY {CHANNEL}"), Vec::new()).await?;
        }
        match connection.commit().await {
            Err(error) if error.kind == Kind::Lost => self.resolve(number, history, &manifest.id).await,
            result => Ok(result.map(drop)?),
        }
    }

    /// Returns the error for a number that is taken, with the host that has taken it.
    async fn overtaken(&self, number: i64, error: DbError) -> Error {
        match self.numbered(number).await {
            Ok(Some(Head { id, host, .. })) => Error::Overtaken { id, host },
            _ => error.into(),
        }
    }

    async fn numbered(&self, number: i64) -> Result<Option<Head>, Error> {
        let sql = "SELECT number, history, host FROM {activations} WHERE number = ?";
        self.activation(sql, vec![Value::Int64(number)]).await
    }

    /// Returns the outcome of a commit that got no answer. The number identifies the activation, because no number is
    /// assigned twice.
    async fn resolve(&self, number: i64, history: &[Id], id: &Id) -> Result<(), Error> {
        let look = async {
            loop {
                match self.numbered(number).await {
                    Ok(Some(head)) if head.history == history && head.host == self.host => return Ok(()),
                    Ok(Some(Head { id, host, .. })) => return Err(Error::Overtaken { id, host }),
                    _ => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        };
        tokio::time::timeout(RESOLVE, look).await.unwrap_or_else(|_| Err(Error::InDoubt(id.clone())))
    }
}
