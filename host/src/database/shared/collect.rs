//! Removing what no host needs any more: lists before the files that they name, each only if it is still as old as it
//! was when it was found.

use std::{collections::BTreeSet, time::Duration};

use super::{Error, Shared, text};
use crate::{
    database::{Access, value::Value},
    deploy::{Digest, Id},
};

/// A host that was not seen for so long may lose in the tables what it serves. It has its own copy.
const RECENT: Duration = Duration::from_secs(60 * 60);
/// A host that was not seen for so long is none any more.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Shared {
    /// Removes generations but for the last `keep` before the active one and those that hosts serve, and the files that
    /// none names. What was needed within `spare` stays.
    pub async fn collect(&self, keep: usize, spare: Duration) -> Result<(), Error> {
        let Some(head) = self.head().await? else { return Ok(()) };
        let recent = RECENT.as_secs();
        let served = format!("SELECT generation FROM {{hosts}} WHERE seen > {{now}} - {recent}");
        let mut kept: BTreeSet<String> = self.texts(&served).await?;
        kept.extend(head.history.iter().rev().take(keep + 1).map(ToString::to_string));

        let spare = spare.as_secs();
        let old = format!("put_at <= {{now}} - {spare}");
        let is_old = |id: &String| !kept.contains(id);
        for id in
            self.texts(&format!("SELECT id FROM {{generations}} WHERE {old}")).await?.iter().filter(|id| is_old(id))
        {
            self.remove("{generations}", "id", id, &old).await?;
        }

        let mut named = BTreeSet::new();
        for id in self.texts("SELECT id FROM {generations}").await? {
            // Without the list, nobody knows which files it names.
            let id: Id = id.parse().map_err(|_| Error::Damaged { what: format!("generation {id}") })?;
            named.extend(self.manifest(&id).await?.files.into_values());
        }
        for digest in self.texts(&format!("SELECT digest FROM {{files}} WHERE {old}")).await? {
            if digest.parse::<Digest>().map_or(true, |digest| !named.contains(&digest)) {
                self.remove("{files}", "digest", &digest, &old).await?;
            }
        }
        let forgotten = FORGOTTEN.as_secs();
        let mut connection = self.begin(Access::ReadWrite).await?;
        let sql = self.sql(&format!("DELETE FROM {{hosts}} WHERE seen < {{now}} - {forgotten}"));
        connection.execute_as_host(sql, Vec::new()).await?;
        connection.commit().await?;
        Ok(())
    }

    /// Removes something with its parts, if it is still old.
    async fn remove(&self, table: &str, key: &str, name: &str, old: &str) -> Result<(), Error> {
        let mut connection = self.begin(Access::ReadWrite).await?;
        let sql = self.sql(&format!("DELETE FROM {table} WHERE {key} = ? AND {old}"));
        if connection.execute_as_host(sql, vec![text(name)]).await?.rows_affected == 1 {
            let sql = self.sql("DELETE FROM {parts} WHERE name = ?");
            connection.execute_as_host(sql, vec![text(name)]).await?;
        }
        connection.commit().await?;
        Ok(())
    }

    async fn texts(&self, sql: &str) -> Result<BTreeSet<String>, Error> {
        let rows = self.query(sql, Vec::new()).await?;
        let first =
            |row: Vec<Value>| if let Some(Value::Text(text)) = row.into_iter().next() { Some(text) } else { None };
        Ok(rows.into_iter().filter_map(first).collect())
    }
}
